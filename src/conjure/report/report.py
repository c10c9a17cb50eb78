"""Results as files: ``DIR/table1.json``, .csv, .tex and .md, each whole or not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..core.text import code
from ..core.text import markdown as escaped
from ..datasets.files import replacing
from ..paper.run import Run
from ..paper.tables import Table
from ..runs.cost import duration
from .latex import latex
from .render import csv_text, markdown


def write_table(run: Run, table: Table, seconds: float) -> list[Path]:
    """Write a table in every format; → the files. The .md also says how it came about."""
    texts = {f"{table.name}{end}.json": json_text(objects) for end, objects in _objects(table)}
    texts |= {
        f"{table.name}.csv": csv_text(table.cells),
        f"{table.name}.tex": latex(table),
        f"{table.name}.md": f"{markdown(table)}\n{provenance(run, seconds)}",
    }
    return [write(run.choice.out / name, text) for name, text in texts.items()]


def provenance(run: Run, seconds: float) -> str:
    """Markdown that says by which command, in what time and on which machine."""
    facts: Mapping[str, object] = {
        "Command": code(run.command),
        "Duration": f"{duration(seconds)}, less what an earlier run had finished",
        "Machine": escaped(", ".join(f"{name} {fact}" for name, fact in _machine(run).items())),
    }
    return "".join(f"- {name}: {fact}\n" for name, fact in facts.items())


def write(path: Path, text: str) -> Path:
    """Write a text file, whole or not at all; what is no Unicode as visible escapes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    return path


def json_text(objects: object) -> str:
    """A list of objects, one a line, so that two runs can be compared line by line."""
    if not isinstance(objects, list):
        return json.dumps(objects, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    lines = ",\n".join(json.dumps(one, ensure_ascii=False, allow_nan=False) for one in objects)
    return f"[\n{lines}\n]\n"


def _objects(table: Table) -> list[tuple[str, object]]:
    return [(end, objects) for end, objects in table.objects().items() if objects or not end]


def _machine(run: Run) -> dict[str, object]:
    from .machine import machine

    return machine(run.process.device)

"""A report as files: ``DIR/table1.md``, .json, .csv and .tex, each complete or absent."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ..core.text import code
from ..core.text import markdown as escaped
from ..datasets.files import replacing
from ..runs.cost import duration
from .latex import latex_text
from .machine import machine
from .plots.style import ENDS
from .render import csv_text, markdown_text
from .report import Report


@dataclass(frozen=True)
class Origin:
    """How a report came about: the command, how long it took, and the device that computed it."""

    command: str
    seconds: float
    device: torch.device

    def lines(self) -> str:
        """Items of a Markdown list."""
        facts = {
            "Command": code(self.command),
            "Duration": f"{duration(self.seconds)}, less what an earlier run had finished",
            "Machine": escaped(
                ", ".join(f"{n} {fact}" for n, fact in machine(self.device).items())
            ),
        }
        return "".join(f"- {name}: {fact}\n" for name, fact in facts.items())


def write_report(report: Report, folder: Path, origin: str) -> list[Path]:
    """Write a report in every format that it has; return its files, pictures included.

    Every report has .md and .json; one with cells .csv; one without pictures .tex. Differences and
    reliabilities have a .json of their own. Pictures are already drawn.

    origin: the last items of the Markdown list, as ``Origin.lines`` makes them
    """
    cells = [cell.object() for cell in report.cells]
    texts = {
        "md": f"{markdown_text(report)}\n{origin}",
        "json": json_lines(cells if report.objects is None else dict(report.objects)),
    }
    for name, found in (
        ("differences", report.differences),
        ("reliability", report.reliabilities),
    ):
        if found:
            texts[f"{name}.json"] = json_lines([asdict(one) for one in found])
    if report.cells:
        texts["csv"] = csv_text(report.cells)
    if not report.pictures:
        texts["tex"] = latex_text(report)
    written = [
        write_text(folder / f"{report.name}{'-' if '.' in end else '.'}{end}", text)
        for end, text in texts.items()
    ]
    return written + [folder / f"{name}.{end}" for name, _ in report.pictures for end in ENDS]


def write_text(path: Path, text: str) -> Path:
    """Write a text file, complete or not at all; invalid Unicode becomes visible escapes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    return path


def json_lines(objects: object) -> str:
    """JSON; a list has one object a line, so that two runs can be compared line by line."""
    if not isinstance(objects, list):
        return json.dumps(objects, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    lines = ",\n".join(json.dumps(one, ensure_ascii=False, allow_nan=False) for one in objects)
    return f"[\n{lines}\n]\n"

"""``conjure distance TEXT --to FILE``: one text and many others, the nearest first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InputError
from ..core.text import brief, number_of, shown, text_fault
from ..datasets.files import read_bytes
from ..datasets.formats import READERS, BadRow, PairRow, Source
from ..datasets.tables import PairTable, listed, read_rows
from ..runs.scorers import ProcessScorer, Result
from .choosing import choose
from .engine import EngineFlags
from .keeping import KeepFlags
from .running import check_out, leave_unreadable, report_bad, run
from .streams import is_stream, kind_of, stdin_bytes
from .wording import estimate_lines, json_text, scorer_facts, signature_line, tell

if TYPE_CHECKING:
    from ..core.spec import Spec

ONE = "compared_with"  # the column of the one text, in what is written
LINE = "text"  # the column of the others, where they came as lines


def one_to_many(
    text: str,
    to: Path,
    *,
    column: str | None,
    out: Path | None,
    kind: str | None,
    overwrite: bool,
    max_memory: int | None,
    as_json: bool,
    flags: dict[str, Any],
) -> int:
    """Measure ``text`` against each text of ``to``; print them or write them, sorted.

    returns the exit status: 1 if some of them failed
    """
    if is_stream(out) and as_json:
        raise InputError("--out - and --json would share stdout: give one of them")
    keep = KeepFlags(overwrite=overwrite)
    engine = EngineFlags.take(flags, keep=keep, out=out, gives_folder="--out FILE")
    kind = kind_of(kind, to, out)
    table = _read(text, to, column, kind)
    if not table.rows:
        report_bad(table)
        raise InputError(f"{'stdin' if is_stream(to) else to} has no text to compare with")
    check_out(out, kind, table, overwrite=overwrite, inputs=[] if is_stream(to) else [to])
    report_bad(table)
    process, spec = choose(flags, engine.loader())
    scorer = ProcessScorer(process, spec, max_memory)
    if reason := scorer.unreadable([text]).get(text):
        raise InputError(reason)
    table, _ = leave_unreadable(table, scorer)
    scored = run(table, scorer, out, kind, keep=keep, arrange=nearest_first)
    table, results = nearest_first(scored.table, scored.results)
    if as_json:
        click.echo(json_text(_object(text, table, results, scorer)))
    elif out is None:
        click.echo(_lines(table, results, scorer))
    if out is not None and not is_stream(out):
        tell(f"{number_of(len(table.rows), 'text')} compared: {out}")
    return 1 if scored.any_failed else 0


def nearest_first(table: PairTable, results: list[Result]) -> tuple[PairTable, list[Result]]:
    """The rows sorted by distance; equal ones stay in their order."""
    order = sorted(range(len(results)), key=lambda place: results[place].value)
    rows = tuple(table.rows[place] for place in order)
    return replace(table, rows=rows), [results[place] for place in order]


def _read(text: str, to: Path, column: str | None, kind: str) -> PairTable:
    """The pairs of ``text`` and each of the others; bad rows are set aside."""
    if column is None:
        names, found = [LINE], read_lines(to)
        column = LINE
    else:
        source = Source("stdin", kind, stdin_bytes()) if is_stream(to) else Source.of(to)
        names, found = read_rows(source)
        if column not in names:
            raise InputError(f"{source} has no column {brief(column)}; it has {listed(names)}")
        if ONE in names:
            raise InputError(f"{source} has a column {ONE!r} already, which holds TEXT1 here")
    rows: list[PairRow] = []
    bad: list[BadRow] = []
    for item in found:
        if isinstance(item, BadRow):
            bad.append(item)
        elif fault := text_fault(item.cells.get(column)):
            bad.append(BadRow(item.line, f"{column} {fault}"))
        else:
            rows.append(PairRow(item.line, {ONE: text, **item.cells}))
    return PairTable((ONE, *names), (ONE, column), tuple(rows), tuple(bad))


def read_lines(to: Path) -> list[PairRow | BadRow]:
    """A text a line, in UTF-8; blank lines are passed over."""
    if to.suffix.lower() in READERS:
        raise InputError(f"{to} is a table: name its column of texts by --column")
    data = stdin_bytes() if is_stream(to) else read_bytes(to)
    found: list[PairRow | BadRow] = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError:
            found.append(BadRow(number, "it is not UTF-8"))
            continue
        if text:
            found.append(PairRow(number, {LINE: text}))
    return found


def _object(
    text: str, table: PairTable, results: list[Result], scorer: ProcessScorer
) -> dict[str, Any]:
    """One JSON object: what all distances share, and their list, the nearest first."""
    spec: Spec = scorer.spec
    return {
        "text": text,
        "distances": [
            {
                "text": other,
                "value": result.value,
                "standard_error": result.standard_error,
                "interval": None
                if result.interval_low is None
                else (result.interval_low, result.interval_high),
                "samples": len(result.per_sample),
                "line": row.line,
            }
            for row, (_, other), result in zip(table.rows, table.pairs(), results, strict=True)
        ],
        "left_out": len(table.bad),
        "estimand": spec.estimand,
        "steps": len(scorer.process.schedule),
        "guidance": scorer.process.guidance,
        "seed": spec.seed,
        **{name: fact for name, fact in scorer_facts(scorer).items() if name != "baseline"},
        "signature": scorer.signature.object(),
    }


def _lines(table: PairTable, results: list[Result], scorer: ProcessScorer) -> str:
    """A line a text for people, then what all share."""
    lines = []
    for (_, other), result in zip(table.pairs(), results, strict=True):
        error = ""
        if result.standard_error is not None:
            error = f" ± {result.standard_error:<8.2g}"
        lines.append(f"{result.value:<10.6g}{error} {shown(other)}")
    lines += estimate_lines(scorer.spec)
    lines.append(signature_line(scorer.signature))
    return "\n".join(lines)

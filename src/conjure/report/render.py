"""A report as text: for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import fields

from ..core.text import markdown as escaped
from ..core.text import printable
from .cells import Cell
from .grids import Grid
from .report import Report


def terminal_text(report: Report) -> str:
    """Title, tables in aligned columns, notes."""
    notes = "\n".join(map(printable, report.notes))
    return "\n\n".join([printable(report.title), *_tables(report, aligned, printable), notes])


def markdown_text(report: Report) -> str:
    """Title, pictures, pipe tables with a heading each, notes as a list."""
    parts = [f"# {escaped(report.title)}"]
    parts += [f"![{escaped(shows)}]({name}.png)" for name, shows in report.pictures]
    parts += _tables(report, pipes, escaped)
    return "\n\n".join([*parts, "\n".join(f"- {escaped(note)}" for note in report.notes)])


def _tables(report: Report, draw: Callable[[Grid], str], safe: Callable[[str], str]) -> list[str]:
    return [part for heading, grid in report.tables for part in (safe(heading), draw(grid))]


def aligned(lines: Grid) -> str:
    """A grid in columns, for a terminal."""
    lines = [[printable(text) for text in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)]
        )
        for line in lines
    )


def pipes(lines: Grid) -> str:
    """A grid as a Markdown table."""
    head, *rows = [[escaped(text).replace("|", "\\|") for text in line] for line in lines]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *rows])


def csv_text(cells: Sequence[Cell]) -> str:
    """One line a cell; the interval takes two columns."""
    file = io.StringIO()
    names = [field.name for field in fields(Cell) if field.name != "interval"]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*names, "interval_low", "interval_high"])
    for cell in cells:
        values = [getattr(cell, name) for name in names]
        low, high = cell.interval or (None, None)
        writer.writerow(["" if value is None else value for value in (*values, low, high)])
    return file.getvalue()

"""How tables look: in a terminal, as Markdown, LaTeX and CSV. Measured and published stay apart."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import TypeVar

from ..core.text import markdown as escaped
from ..core.text import printable
from ..datasets.cards import set_title
from ..paper.rows import title
from ..paper.tables import Table
from .cells import ALL, AVERAGE, DEVIATION, DRAWN, MEASURED, PUBLISHED, Cell, Column
from .differences import Difference

NONE = "–"
DIFFERENCES = "One row less another on the same pairs (*measured*, paired bootstrap)"
_RELIABILITY = "Split-half reliability of the distances over samples (*measured*)"
Grid = list[list[str]]
T = TypeVar("T")


def terminal(table: Table) -> str:
    """Aligned columns, measured above published, and the notes."""
    told = "\n".join(map(printable, notes(table)))
    return "\n\n".join([printable(table.title), *_sections(table, aligned), told])


def markdown(table: Table) -> str:
    """Pipe tables with a heading each, and the notes as a list."""
    parts = [f"# {escaped(table.title)}", *_sections(table, pipes)]
    return "\n\n".join([*parts, "\n".join(f"- {escaped(note)}" for note in notes(table))])


def _sections(table: Table, draw: Callable[[Grid], str]) -> list[str]:
    """Each grid that has rows, behind its heading."""
    grids = (
        ("*measured*", grid(table, MEASURED)),
        ("*published*", grid(table, PUBLISHED)),
        (DIFFERENCES, differences_grid(table.differences)),
        (_RELIABILITY, _halves(table)),
    )
    return [part for heading, lines in grids if len(lines) > 1 for part in (heading, draw(lines))]


def grid(table: Table, source: str) -> Grid:
    """Head and rows of one source's cells, as text; rows of which nothing is there are left out."""
    known = {
        (cell.row, cell.dataset, cell.subset): cell for cell in table.cells if cell.source == source
    }
    rows = [*table.rows] if source == MEASURED else list(dict.fromkeys(row for row, *_ in known))
    lines = [["row", *(_heading(column) for column in table.columns)]]
    for row in rows:
        line = [title(row)]
        for dataset, subset in table.columns:
            cell = known.get((row, dataset, subset))
            deviation = known.get((row, dataset, DEVIATION)) if dataset == AVERAGE else None
            line.append(_figure(cell, deviation))
        if source == MEASURED or any(text != NONE for text in line[1:]):
            lines.append(line)
    return lines


def _heading(column: Column) -> str:
    dataset, subset = column
    return set_title(dataset) if subset == ALL else f"{set_title(dataset)} {subset}"


def _figure(cell: Cell | None, deviation: Cell | None) -> str:
    if cell is None or cell.spearman is None:
        return NONE
    if cell.source == PUBLISHED:
        digits = 1 if round(cell.spearman, 1) == cell.spearman else 2  # as it is printed
        return f"{cell.spearman:.{digits}f}"
    text = number(cell.spearman)
    if deviation is not None and deviation.spearman is not None:
        text += f" ± {number(deviation.spearman)}"
    return text + interval_text(cell.interval)


def interval_text(bounds: tuple[float, float] | None) -> str:
    return f" [{number(bounds[0])}, {number(bounds[1])}]" if bounds else ""


def number(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}"  # adding zero makes 0.0 of −0.0


def differences_grid(differences: Sequence[Difference]) -> Grid:
    """Head and rows as text: what each other row is less than the one that all are taken from."""
    known = {(one.than, one.dataset, one.subset): one for one in differences}
    columns = _once(key[1:] for key in known)
    lines = [[f"{title(one.row)} less" for one in differences[:1]]]
    lines[0] += map(_heading, columns)
    for row in _once(than for than, *_ in known):
        line = [title(row)]
        for column in columns:
            one = known.get((row, *column))
            if one is None or one.difference is None:
                line.append(NONE)
            else:
                sign = "+" if one.difference > 0 else ""
                line.append(sign + number(one.difference) + interval_text(one.interval))
        lines.append(line)
    return lines


def _halves(table: Table) -> Grid:
    lines = [["row", "set", "k", "half against half", "all k (Spearman–Brown)"]]
    for one in table.reliabilities:
        figures = [NONE if value is None else f"{value:.3f}" for value in (one.half, one.full)]
        lines.append([title(one.row), set_title(one.dataset), str(one.samples), *figures])
    return lines


def notes(table: Table) -> list[str]:
    """The table's notes, why shown cells are empty, how rows were measured, who published what."""
    told = [
        c
        for c in table.cells
        if (c.reason is None and c.interval_reason is None)
        or (c.dataset, c.subset) in table.columns
    ]
    return _once([*table.notes, *(f"{line}." for line in brackets(table.cells)), *cell_notes(told)])


def brackets(cells: Iterable[Cell]) -> list[str]:
    """What the intervals in brackets are about: of most rows first, of others with their names."""
    kinds: dict[str, list[str]] = {}
    for cell in cells:
        if cell.interval is not None and cell.over is not None:
            kinds.setdefault(cell.over.partition(";")[0], []).append(title(cell.row))
    found: list[str] = []
    for over, rows in sorted(kinds.items(), key=lambda kind: -len(set(kind[1]))):
        what = (
            f"what 95 % of {over} lie between, and before them their mean"
            if DRAWN in over
            else f"95 % bootstrap intervals over {over}"
        )
        whose = f"Of {', '.join(_once(rows))}" if found else "In brackets"
        found.append(f"{whose}: {what}")
    return found


def cell_notes(cells: Iterable[Cell]) -> list[str]:
    """What is missing and why, then the signatures: each once, with the rows it is true of."""
    empty: dict[tuple[str, str], list[Cell]] = {}
    origins: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if cell.reason is not None:
            empty.setdefault(("No figure", cell.reason), []).append(cell)
        if cell.interval_reason is not None:
            empty.setdefault(("No interval", cell.interval_reason), []).append(cell)
        if cell.signature is not None:
            origins.setdefault((cell.source, str(cell.signature)), []).append(title(cell.row))
    found: list[str] = []
    for (what, reason), them in empty.items():
        rows = ", ".join(_once(title(cell.row) for cell in them))
        where = ", ".join(_once(_heading((cell.dataset, cell.subset)) for cell in them))
        found.append(f"{what} for {rows} on {where}: {reason}")
    for (source, origin), whose in sorted(origins.items(), key=lambda one: one[0][0]):
        found.append(f"{source.capitalize()}: {', '.join(_once(whose))}: {origin}")
    return found


def _once(items: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(items))


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
    """Every cell, one a line; the interval in two columns."""
    file = io.StringIO()
    names = [field.name for field in fields(Cell) if field.name != "interval"]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*names, "interval_low", "interval_high"])
    for cell in cells:
        values = [getattr(cell, name) for name in names]
        low, high = cell.interval or (None, None)
        writer.writerow(["" if value is None else value for value in (*values, low, high)])
    return file.getvalue()

"""Sentences below a table: what its intervals are, what is missing, and how it was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .cells import DRAWN, Cell, Column
from .grids import Titles, column_title, once


def table_notes(
    first: Iterable[str], cells: Sequence[Cell], columns: Sequence[Column], titles: Titles
) -> tuple[str, ...]:
    """``first``, then what the cells say. Cells that are not shown do not tell what they lack."""
    explained = [
        cell
        for cell in cells
        if (cell.reason is None and cell.interval_reason is None)
        or (cell.dataset, cell.subset) in columns
    ]
    about = [f"{line}." for line in interval_notes(cells, titles)]
    return tuple(once([*first, *about, *cell_notes(explained, titles)]))


def interval_notes(cells: Iterable[Cell], titles: Titles) -> list[str]:
    """What the intervals in brackets mean: first for most rows, then for the others by name."""
    kinds: dict[str, list[str]] = {}
    for cell in cells:
        if cell.interval is not None and cell.over is not None:
            title = titles.get(cell.row, cell.row)
            kinds.setdefault(cell.over.partition(";")[0], []).append(title)
    found: list[str] = []
    for over, rows in sorted(kinds.items(), key=lambda kind: -len(set(kind[1]))):
        what = (
            f"the mean of {over}, and in brackets the range that holds 95 % of them"
            if DRAWN in over
            else f"95 % bootstrap intervals over {over}"
        )
        whose = f"Of {', '.join(once(rows))}" if found else "In brackets"
        found.append(f"{whose}: {what}")
    return found


def cell_notes(cells: Iterable[Cell], titles: Titles) -> list[str]:
    """What is missing and why, then the signatures: each once, with the rows that share it."""
    empty: dict[tuple[str, str], list[Cell]] = {}
    origins: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if cell.reason is not None:
            empty.setdefault(("No figure", cell.reason), []).append(cell)
        if cell.interval_reason is not None:
            empty.setdefault(("No interval", cell.interval_reason), []).append(cell)
        if cell.signature is not None:
            title = titles.get(cell.row, cell.row)
            origins.setdefault((cell.source, str(cell.signature)), []).append(title)
    found: list[str] = []
    for (what, reason), them in empty.items():
        rows = ", ".join(once(titles.get(cell.row, cell.row) for cell in them))
        where = ", ".join(once(column_title((cell.dataset, cell.subset)) for cell in them))
        found.append(f"{what} for {rows} on {where}: {reason}")
    for (source, origin), rows_of in sorted(origins.items(), key=lambda one: one[0][0]):
        found.append(f"{source.capitalize()}: {', '.join(once(rows_of))}: {origin}")
    return found

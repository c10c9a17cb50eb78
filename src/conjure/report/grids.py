"""Cells → grids of text: one head and the rows below it. Measured and published stay apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ..core.text import shown
from ..datasets.cards import set_title
from ..datasets.read import Dataset
from .cells import ALL, AVERAGE, DEVIATION, MEASURED, PUBLISHED, Cell, Column
from .differences import RowDifference
from .reliability import RowReliability

NONE = "–"
Grid = list[list[str]]
Titles = Mapping[str, str]  # what tables call a row, where that is not its name
T = TypeVar("T")


def source_grids(
    cells: Sequence[Cell], rows: Sequence[str], columns: Sequence[Column], titles: Titles
) -> tuple[tuple[str, Grid], ...]:
    """Rows by columns: what was measured, and below it what is published of the same columns.

    rows: the measured rows, in order. Published rows follow the order of their cells, and a row
          without any figure in these columns is left out.
    """
    published = once(cell.row for cell in cells if cell.source == PUBLISHED)
    below = _source_grid(cells, published, columns, titles, PUBLISHED)
    head, *lines = below
    lines = [line for line in lines if any(text != NONE for text in line[1:])]
    return (
        (f"*{MEASURED}*", _source_grid(cells, rows, columns, titles, MEASURED)),
        (f"*{PUBLISHED}*", [head, *lines]),
    )


def _source_grid(
    cells: Sequence[Cell],
    rows: Sequence[str],
    columns: Sequence[Column],
    titles: Titles,
    source: str,
) -> Grid:
    known = {(cell.row, cell.dataset, cell.subset): cell for cell in cells if cell.source == source}
    lines = [["row", *map(column_title, columns)]]
    for row in rows:
        line = [titles.get(row, row)]
        for dataset, subset in columns:
            deviation = known.get((row, dataset, DEVIATION)) if dataset == AVERAGE else None
            line.append(figure_text(known.get((row, dataset, subset)), deviation))
        lines.append(line)
    return lines


def set_grid(cells: Iterable[Cell]) -> Grid:
    """Rows by data sets, each figure with its interval."""
    known = {(cell.row, cell.dataset): cell for cell in cells}
    rows = once(row for row, _ in known)
    sets = once(name for _, name in known)
    body = [[row, *(figure_text(known.get((row, name))) for name in sets)] for row in rows]
    return [["row", *map(set_title, sets)], *body]


def differences_grid(differences: Sequence[RowDifference], titles: Titles) -> Grid:
    """A row for each row that the first one is compared with, a column for each set or subset."""
    known = {(one.than, one.dataset, one.subset): one for one in differences}
    columns = once(key[1:] for key in known)
    lines = [[f"{titles.get(one.row, one.row)} less" for one in differences[:1]]]
    lines[0] += map(column_title, columns)
    for row in once(than for than, *_ in known):
        line = [titles.get(row, row)]
        for column in columns:
            one = known.get((row, *column))
            if one is None or one.difference is None:
                line.append(NONE)
            else:
                sign = "+" if one.difference > 0 else ""
                line.append(sign + number(one.difference) + interval_text(one.interval))
        lines.append(line)
    return lines


def reliability_grid(reliabilities: Iterable[RowReliability], titles: Titles) -> Grid:
    """A row for each row and set."""
    lines = [["row", "set", "k", "half against half", "all k (Spearman–Brown)"]]
    for one in reliabilities:
        figures = [NONE if value is None else f"{value:.3f}" for value in (one.half, one.full)]
        row, name = titles.get(one.row, one.row), set_title(one.dataset)
        lines.append([row, name, str(one.samples), *figures])
    return lines


def figure_text(cell: Cell | None, deviation: Cell | None = None) -> str:
    """A figure with its ± and its interval; a dash where there is none.

    A published figure is written as it is printed.
    """
    if cell is None or cell.spearman is None:
        return NONE
    text = printed(cell)
    if deviation is not None and deviation.spearman is not None:
        text += f" ± {printed(deviation)}"
    return text + interval_text(cell.interval)


def printed(cell: Cell) -> str:
    """Spearman × 100 with one decimal; a published figure with two where it is printed so."""
    assert cell.spearman is not None
    if cell.source == PUBLISHED and round(cell.spearman, 1) != cell.spearman:
        return f"{cell.spearman:.2f}"
    return number(cell.spearman)


def interval_text(bounds: tuple[float, float] | None) -> str:
    return f" [{number(bounds[0])}, {number(bounds[1])}]" if bounds else ""


def number(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}"  # adding zero makes 0.0 of −0.0


def column_title(column: Column) -> str:
    dataset, subset = column
    return set_title(dataset) if subset == ALL else f"{set_title(dataset)} {subset}"


def figure_title(data: Dataset) -> str:
    """The title of a set in a figure, with the number of pairs where it was subsampled.

    >>> from conjure.datasets.read import Dataset
    >>> figure_title(Dataset("sets/mine.tsv", None, (1.0, 2.0), None, 3_000))
    'mine.tsv (2 of 3,000)'
    """
    name = shown(set_title(Path(data.name).name), 60)
    if len(data.scores) == data.total:
        return name
    return f"{name} ({len(data.scores):,} of {data.total:,})"


def once(items: Iterable[T]) -> list[T]:
    """The items in order, each at its first place."""
    return list(dict.fromkeys(items))

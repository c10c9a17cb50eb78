"""Tables 1, 2 and 3 of the paper: which rows on which sets, beside the published figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.errors import InputError
from ..datasets.cards import SEVEN
from ..datasets.read import Dataset
from ..report.averages import average_cells
from ..report.cells import (
    ALL,
    AVERAGE,
    Cell,
    Column,
    MeasuredRows,
    cells,
    subsample_notes,
    with_subsets,
)
from ..report.differences import RowDifference, differences
from ..report.grids import source_grids
from ..report.notes import table_notes
from ..report.plots.style import SPEARMAN
from ..report.reliability import RowReliability, reliabilities
from ..report.report import Report
from ..runs.parts import Turns
from . import published
from .measuring import RowsFound, measure_process, measure_rows
from .rows import CONJURING, GROUPS, PARAGON, read_rows, titles_of
from .run import Run
from .variants import in_settings

STEPS = (5, 10, 15, 20, 30, 50)
TABLE2_SETS = ("rg65", "simlex999")
TABLE3_SETS = ("rg65", "simlex999", "stsb")
TITLES = {
    "table1": "Table 1: agreement with people on sentences",
    "table2": "Table 2: agreement with people on words",
    "table3": "Table 3: agreement with people by the number of steps T",
}


def table1(run: Run) -> Report:
    """Every row on the paper's seven sets, and their average."""
    rows = read_rows(run.options.rows or (*GROUPS["diffusion"], PARAGON))
    datasets = run.datasets(SEVEN)
    found = measure_rows(run, rows, datasets)
    made = _all_cells(rows, datasets, found)
    whole = {(cell.row, cell.dataset): cell for cell in made if cell.subset == ALL}
    for row in rows:
        known = {n: (data, found[row][n], whole[row, data.name]) for n, data in datasets.items()}
        made += average_cells(row, known)
    columns = [(name, ALL) for name in datasets]
    if all(name in datasets for name in SEVEN):
        columns.append((AVERAGE, ALL))
    return table_report(
        "table1",
        rows,
        columns,
        made,
        differences(CONJURING, found, datasets),
        reliabilities(found, datasets),
        subsample_notes(datasets),
    )


def table2(run: Run) -> Report:
    """Words: the process beside the text encoder that it is conditioned by, by part of speech."""
    rows = read_rows(run.options.rows or (PARAGON, CONJURING))
    datasets = run.datasets(TABLE2_SETS)
    found = measure_rows(run, rows, datasets)
    return table_report(
        "table2",
        rows,
        [column for name, data in datasets.items() for column in with_subsets(name, data)],
        _all_cells(rows, datasets, found),
        differences(CONJURING, found, datasets, subsets=True),
        reliabilities(found, datasets),
        subsample_notes(datasets),
    )


def table3(run: Run) -> Report:
    """``conjuring`` in processes of T steps; the other settings are as the user chose."""
    datasets = run.datasets(TABLE3_SETS)
    found: RowsFound = {}
    turns = Turns()
    for steps in STEPS:
        row = _at(steps)
        try:
            process = in_settings(run.process, steps=steps)
        except InputError as error:
            run.say(f"row {row} left empty: {error}")
            found[row] = dict.fromkeys(datasets, str(error))
            continue
        run.say(f"T = {steps}")
        with turns.one():
            found[row] = measure_process(process, run.passes, [CONJURING], datasets)[CONJURING]
    turns.end()
    return table_report(
        "table3",
        tuple(found),
        [(name, ALL) for name in datasets],
        _all_cells(tuple(found), datasets, found),
        differences(_at(len(run.process.schedule)), found, datasets),
        reliabilities(found, datasets),
        subsample_notes(datasets),
    )


def table_report(
    name: str,
    rows: Sequence[str],
    columns: Sequence[Column],
    measured: Sequence[Cell],
    compared: Sequence[RowDifference] = (),
    reliable: Sequence[RowReliability] = (),
    subsampled: Sequence[str] = (),
) -> Report:
    """A table of measured cells, with what is published of the same columns below it.

    name:       "table1", "table2" or "table3"
    columns:    those that are shown; ``measured`` may have more
    subsampled: a sentence on the sets that were not taken whole
    """
    printed = published_cells(name, rows, columns)
    both = (*measured, *printed)
    titles = titles_of(dict.fromkeys([*rows, *(cell.row for cell in both)]))
    first = [f"{SPEARMAN}.", *subsampled]
    if any(cell.row.startswith(CONJURING) for cell in printed):
        first.append(published.PROCESS)
    return Report(
        name,
        TITLES[name],
        source_grids(both, rows, columns, titles),
        table_notes(first, both, columns, titles),
        cells=both,
        differences=tuple(compared),
        reliabilities=tuple(reliable),
        titles=titles,
    )


def published_cells(name: str, rows: Sequence[str], columns: Sequence[Column]) -> list[Cell]:
    """What the paper prints for the sets of these columns."""
    sets = list(dict.fromkeys(dataset for dataset, _ in columns))
    if name == "table1":
        return published.table1_cells(sets, rows)
    return published.table2_cells(sets) if name == "table2" else published.table3_cells(sets)


def _at(steps: int) -> str:
    return f"{CONJURING}, T = {steps}"


def _all_cells(
    rows: Sequence[str], datasets: Mapping[str, Dataset], found: MeasuredRows
) -> list[Cell]:
    return [
        cell
        for row in rows
        for name, data in datasets.items()
        for cell in cells(row, data, found[row][name])
    ]

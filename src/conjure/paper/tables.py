"""Tables 1, 2 and 3 of the paper, as cells; ``render`` says how they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..datasets.cards import SEVEN
from ..datasets.read import Dataset
from ..report.cells import (
    ALL,
    AVERAGE,
    Cell,
    Column,
    Distances,
    average_cells,
    cells,
    subsample_notes,
    with_subsets,
)
from ..report.differences import Difference, differences
from ..stats.comparison import split_half
from . import published
from .measuring import Found, measure_process, measure_rows
from .rows import CONJURING, GROUPS, PARAGON, read_rows
from .run import Run

STEPS = (5, 10, 15, 20, 30, 50)
TABLE2_SETS = ("rg65", "simlex999")
TABLE3_SETS = ("rg65", "simlex999", "stsb")


@dataclass(frozen=True)
class Reliability:
    """How alike two halves of the samples rank a set's pairs, and all k by Spearman–Brown."""

    row: str
    dataset: str
    samples: int
    half: float | None
    full: float | None
    reason: str | None


@dataclass(frozen=True)
class Table:
    """A finished table.

    rows, columns: what is shown, in order; ``cells`` has more (subsets and their means)
    notes:         what a reader must know, one sentence each
    """

    name: str
    title: str
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    cells: tuple[Cell, ...]
    differences: tuple[Difference, ...] = ()
    reliabilities: tuple[Reliability, ...] = ()
    notes: tuple[str, ...] = ()

    def objects(self) -> dict[str, list[dict[str, Any]]]:
        """What goes into JSON files, by the end of their names."""
        return {
            "": [cell.object() for cell in self.cells],
            "-differences": [asdict(one) for one in self.differences],
            "-reliability": [asdict(one) for one in self.reliabilities],
        }


def table1(run: Run) -> Table:
    """Every row on the paper's seven sets, and their average."""
    rows = read_rows(run.choice.rows or (*GROUPS["diffusion"], PARAGON))
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
    printed = published.table1([name for name, _ in columns], rows)
    return Table(
        "table1",
        "Table 1: agreement with people on sentences",
        rows,
        tuple(columns),
        (*made, *printed),
        differences(CONJURING, found, datasets),
        _reliabilities(datasets, found),
        _notes(datasets),
    )


def table2(run: Run) -> Table:
    """Words: the process beside the text encoder that it is conditioned by, by part of speech."""
    rows = read_rows(run.choice.rows or (PARAGON, CONJURING))
    datasets = run.datasets(TABLE2_SETS)
    found = measure_rows(run, rows, datasets)
    columns = [column for name, data in datasets.items() for column in with_subsets(name, data)]
    return Table(
        "table2",
        "Table 2: agreement with people on words",
        rows,
        tuple(columns),
        (*_all_cells(rows, datasets, found), *published.table2([*datasets])),
        differences(CONJURING, found, datasets, subsets=True),
        _reliabilities(datasets, found),
        _notes(datasets),
    )


def table3(run: Run) -> Table:
    """``conjuring`` in processes of T steps; the rest of their settings is as the user chose."""
    datasets = run.datasets(TABLE3_SETS)
    made: list[Cell] = []
    found: Found = {}
    for steps in STEPS:
        row = _at(steps)
        try:
            process = run.process.with_settings(steps=steps)
        except InputError as error:
            run.say(f"row {row} left empty: {error}")
            found[row] = dict.fromkeys(datasets, str(error))
            continue
        run.say(f"T = {steps}")
        found[row] = measure_process(process, run.passes, [CONJURING], datasets)[CONJURING]
    made = _all_cells(tuple(found), datasets, found)
    return Table(
        "table3",
        "Table 3: agreement with people by the number of steps T",
        tuple(found),
        tuple((name, ALL) for name in datasets),
        (*made, *published.table3([*datasets])),
        differences(_at(len(run.process.schedule)), found, datasets),
        reliabilities=_reliabilities(datasets, found),
        notes=_notes(datasets),
    )


def _at(steps: int) -> str:
    return f"{CONJURING}, T = {steps}"


def _all_cells(rows: Sequence[str], datasets: Mapping[str, Dataset], found: Found) -> list[Cell]:
    return [
        cell
        for row in rows
        for name, data in datasets.items()
        for cell in cells(row, data, found[row][name])
    ]


def _reliabilities(datasets: Mapping[str, Dataset], found: Found) -> tuple[Reliability, ...]:
    """Of every row that has several samples."""
    made = []
    for row, sets in found.items():
        for name in datasets:
            distances = sets[name]
            if not isinstance(distances, Distances) or len(np.atleast_2d(distances.samples)) < 2:
                continue
            one = split_half(distances.samples)
            made.append(Reliability(row, name, one.samples, one.half, one.full, one.reason))
    return tuple(made)


def _notes(datasets: Mapping[str, Dataset]) -> tuple[str, ...]:
    return ("Spearman × 100 of −distance with human scores.", *subsample_notes(datasets))

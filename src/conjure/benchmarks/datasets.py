"""Where the human-annotated sets lie in a folder, and how they are read.

Each is a TSV without quoting, with at least the columns ``score sentence1 sentence2``; a higher
score means more similar. They are not part of the package: their licences differ.
"""

from __future__ import annotations

import math
import os
import random
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.errors import InputError
from ..formats import BadRow, Row
from ..tables import PairTable, read_pairs

SCORE = "score"
TEXTS = ("sentence1", "sentence2")
SUBSAMPLE_SEED = 0

DATASETS: dict[str, tuple[str, ...]] = {
    "stsb": ("stsb-test.tsv",),
    "sts12": ("sts12.tsv",),
    "sts13": ("sts13.tsv",),
    "sts14": ("sts14.tsv",),
    "sts15": ("sts15.tsv",),
    "sts16": ("sts16.tsv",),
    # all 9,927 pairs, as the paper and those it compares with score it
    "sickr": ("sickr-train.tsv", "sickr-trial.tsv", "sickr-test.tsv"),
    "rg65": ("rg65.tsv",),
    "simlex999": ("simlex999.tsv",),
}


@dataclass(frozen=True)
class Dataset:
    """Pairs with human scores. ``total``: how many there were before any subsample was drawn."""

    name: str
    table: PairTable
    scores: tuple[float, ...]
    total: int


def read_dataset(name: str, folder: str | os.PathLike[str] | None = None) -> Dataset:
    """Read a set by its name from ``folder``, or any file of pairs with a column ``score``.

    Raises InputError for an unknown name, a file that is missing, columns that are missing.
    """
    if name in DATASETS:
        if folder is None:
            raise InputError(f"{name} is read from a folder: give --data-dir")
        paths = [Path(folder, file) for file in DATASETS[name]]
    elif Path(name).suffix:
        paths = [Path(name)]
    else:
        raise InputError(
            f"unknown dataset {name!r}: give one of {', '.join(DATASETS)}, or the path of a TSV "
            f"with the columns {SCORE} {' '.join(TEXTS)}"
        )
    return _joined(name, paths)


def subsample(dataset: Dataset, limit: int) -> Dataset:
    """``limit`` pairs drawn with a fixed seed, in the set's order; all where there are fewer."""
    if limit >= len(dataset.scores):
        return dataset
    chosen = sorted(random.Random(SUBSAMPLE_SEED).sample(range(len(dataset.scores)), limit))
    return replace(
        dataset,
        table=replace(dataset.table, rows=tuple(dataset.table.rows[i] for i in chosen)),
        scores=tuple(dataset.scores[i] for i in chosen),
    )


def _read_scored(path: Path) -> PairTable:
    """The pairs of one file whose score is a number; the others join its bad rows."""
    table = read_pairs(path, TEXTS)
    if SCORE not in table.columns:
        raise InputError(f"{path} has no column {SCORE!r}; it has {', '.join(table.columns)}")
    rows: list[Row] = []
    bad = list(table.bad)
    for row in table.rows:
        if _number(row) is None:
            bad.append(BadRow(row.line, f"{SCORE} {row.cells.get(SCORE)!r} is not a number"))
        else:
            rows.append(row)
    return replace(table, rows=tuple(rows), bad=tuple(sorted(bad, key=lambda item: item.line)))


def _number(row: Row) -> float | None:
    try:
        value = float(row.cells[SCORE])
    except (KeyError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _joined(name: str, paths: list[Path]) -> Dataset:
    """Several files as one set; rows are counted on through them, so that each has its own line."""
    rows: list[Row] = []
    bad: list[BadRow] = []
    columns: dict[str, None] = {}
    offset = 0
    for path in paths:
        table = _read_scored(path)
        columns |= dict.fromkeys(table.columns)
        rows += [replace(row, line=row.line + offset) for row in table.rows]
        where = f" in {path.name}" if len(paths) > 1 else ""
        bad += [replace(item, reason=item.reason + where) for item in table.bad]
        offset += max([0, *(row.line for row in table.rows), *(item.line for item in table.bad)])
    scores = tuple(float(row.cells[SCORE]) for row in rows)
    return Dataset(
        name, PairTable(tuple(columns), TEXTS, tuple(rows), tuple(bad)), scores, len(rows)
    )

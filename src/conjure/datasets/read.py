"""Read and check human-annotated sets: a known set by its name, or any file with scores.

A known set must be whole: the pairs of the set and of each subset are counted, and every score
must lie on the scale. In any other file, rows that cannot be used are left out.
"""

from __future__ import annotations

import math
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.errors import InputError
from ..core.text import brief, shown
from .cards import DATASETS, DatasetCard
from .formats import BadRow, PairRow, Source
from .hub import fetch
from .tables import PairTable, listed, read_pairs

SCORE = "score"
SUBSET = "subset"
TEXTS = ("sentence1", "sentence2")
UNNAMED = "none"  # the subset of a row that names none
SUBSAMPLE_SEED = 0


@dataclass(frozen=True)
class Dataset:
    """Pairs with human scores, row by row.

    subsets: the subset of each pair, or None where the set has none
    total:   the number of pairs before a subsample was drawn
    paths:   the files that were read
    """

    name: str
    table: PairTable
    scores: tuple[float, ...]
    subsets: tuple[str, ...] | None
    total: int
    paths: tuple[Path, ...] = ()


def read_dataset(name: str, folder: str | os.PathLike[str] | None = None) -> Dataset:
    """Read a known set by its name, or the user's own file by its path.

    folder: where the files of a known set are; None reads it from the hub, which does not keep
            subsets

    The user's own file needs the columns ``score sentence1 sentence2`` and may have ``subset``.
    Raises InputError for an unknown name, a missing file or column, a score outside the scale, or
    a number of pairs that is not the published one.
    """
    if name in DATASETS:
        return _read_known(name, DATASETS[name], folder)
    if not Path(name).suffix:
        raise InputError(
            f"unknown dataset {brief(name)}: give one of {', '.join(DATASETS)}, or the path of a "
            f"TSV with the columns {SCORE} {' '.join(TEXTS)}"
        )
    table = _read_scored(Path(name))
    found = _dataset(name, table, with_subsets=SUBSET in table.columns)
    return replace(found, paths=(Path(name),))


def read_scored(source: Source) -> Dataset:
    """Pairs with human scores that came from elsewhere than a file; as of a file of one's own."""
    table = _read_scored(source)
    return _dataset(source.name, table, with_subsets=SUBSET in table.columns)


def subsample(dataset: Dataset, limit: int) -> Dataset:
    """``limit`` pairs drawn with a fixed seed, in the set's order; all if there are fewer."""
    if limit >= len(dataset.scores):
        return dataset
    places = range(len(dataset.scores))
    return rows_at(dataset, sorted(random.Random(SUBSAMPLE_SEED).sample(places, limit)))


def rows_at(dataset: Dataset, places: Sequence[int]) -> Dataset:
    """The set with only the rows at these places."""
    subsets = dataset.subsets
    return replace(
        dataset,
        table=replace(dataset.table, rows=tuple(dataset.table.rows[i] for i in places)),
        scores=tuple(dataset.scores[i] for i in places),
        subsets=None if subsets is None else tuple(subsets[i] for i in places),
    )


def _read_known(name: str, card: DatasetCard, folder: str | os.PathLike[str] | None) -> Dataset:
    if folder is not None:
        paths = [Path(folder, file) for file in card.files]
    elif card.hub is not None:
        paths = [fetch(name, card.hub)]
    else:
        raise InputError(
            f"{name} is not on the hub: give --data-dir, a folder with {', '.join(card.files)} "
            f"({card.source})"
        )
    tables = [_read_scored(path) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        _check_scale(path, table, card)
        if folder is not None and card.subsets is not None and SUBSET not in table.columns:
            raise _no_column(path, SUBSET, table)
    with_subsets = folder is not None and card.subsets is not None
    found = _dataset(name, _joined(paths, tables), with_subsets=with_subsets)
    _check_counts(found, card, ", ".join(path.name for path in paths))
    return replace(found, paths=tuple(paths))


def _dataset(name: str, table: PairTable, *, with_subsets: bool) -> Dataset:
    scores = tuple(float(row.cells[SCORE]) for row in table.rows)
    named = (row.cells.get(SUBSET) for row in table.rows)
    subsets = tuple(UNNAMED if cell in (None, "") else str(cell) for cell in named)
    return Dataset(name, table, scores, subsets if with_subsets else None, len(scores))


def _read_scored(path: Path | Source) -> PairTable:
    """The pairs of one file whose score is a number; the others join its bad rows."""
    table = read_pairs(path, TEXTS)
    if SCORE not in table.columns:
        raise _no_column(path, SCORE, table)
    rows: list[PairRow] = []
    bad = list(table.bad)
    for row in table.rows:
        if score_number(row) is None:
            given = brief(row.cells.get(SCORE))
            bad.append(BadRow(row.line, f"{SCORE} {given} is not a number"))
        else:
            rows.append(row)
    return replace(table, rows=tuple(rows), bad=tuple(sorted(bad, key=lambda item: item.line)))


def score_number(row: PairRow) -> float | None:
    """The human score of a row; None where there is none, or none that is a finite number."""
    cell = row.cells.get(SCORE)
    if isinstance(cell, bool) or (isinstance(cell, str) and "_" in cell):  # 1_5 is 15 to Python
        return None
    try:
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):  # OverflowError: an int of hundreds of digits
        return None
    return value if math.isfinite(value) else None


def _no_column(path: Path | Source, column: str, table: PairTable) -> InputError:
    return InputError(f"{path} has no column {column!r}; it has {listed(table.columns)}")


def _joined(paths: list[Path], tables: list[PairTable]) -> PairTable:
    """Several files as one set; rows are counted on through them, so that each has its own line."""
    rows: list[PairRow] = []
    bad: list[BadRow] = []
    offset = 0
    for path, table in zip(paths, tables, strict=True):
        rows += [replace(row, line=row.line + offset) for row in table.rows]
        bad += [replace(item, reason=f"{item.reason} in {path.name}") for item in table.bad]
        offset += max([0, *(row.line for row in table.rows), *(item.line for item in table.bad)])
    columns = dict.fromkeys(column for table in tables for column in table.columns)
    return PairTable(tuple(columns), TEXTS, tuple(rows), tuple(bad))


def _check_scale(path: Path, table: PairTable, card: DatasetCard) -> None:
    low, high = card.scale
    for row in table.rows:
        if not low <= float(row.cells[SCORE]) <= high:
            raise InputError(
                f"{path}, line {row.line}: {SCORE} {row.cells[SCORE]} is outside the scale "
                f"{low:g} to {high:g}"
            )


def _check_counts(found: Dataset, card: DatasetCard, files: str) -> None:
    if found.total != card.pairs:
        first = next((f"; line {bad.line}: {bad.reason}" for bad in found.table.bad), "")
        raise InputError(
            f"{found.name} has {card.pairs:,} pairs; {files} {'hold' if ',' in files else 'holds'} "
            f"{found.total:,}{first}"
        )
    if found.subsets is not None and (counts := Counter(found.subsets)) != card.subsets:
        raise InputError(
            f"the subsets of {found.name} are {_listed(card.subsets or {})}; "
            f"those in {files} are {_listed(counts)}"
        )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{shown(name, 40)} {count}" for name, count in sorted(counts.items()))

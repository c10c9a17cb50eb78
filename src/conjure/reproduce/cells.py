"""The figures of the tables, one a cell: a row's agreement with people on a set or a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..benchmarks.cards import SEVEN
from ..benchmarks.comparison import average
from ..benchmarks.correlation import Correlation, by_subset, correlate
from ..benchmarks.datasets import SUBSAMPLE_SEED, Dataset
from ..benchmarks.resampling import Array, bootstrap
from ..presentation import correlation_object, percent

ALL, MEAN, WEIGHTED, DEVIATION = "all", "mean", "weighted mean", "standard deviation"
AVERAGE = "average"
MEASURED, PUBLISHED = "measured", "published"

Column = tuple[str, str]  # set and subset


@dataclass(frozen=True)
class Cell:
    """One figure; coefficients and their interval × 100, as the literature prints them.

    row:       as ``--rows`` takes it; table 3 adds ", T = 5"
    dataset:   a set's name, or "average", over the paper's seven
    subset:    "all", a subset's name, or "mean" or "weighted mean" of Spearman's coefficients over
               the subsets; of the average also "standard deviation", the paper's ±
    interval:  95 % bootstrap interval of Spearman's coefficient; over: what was resampled, and
               how many pairs were drawn where the set was not taken whole
    signature: what it takes to measure it again; of a published figure, where it is printed
    source:    "measured" or "published"
    reason:    why there is no figure, or None where there is one
    """

    row: str
    dataset: str
    subset: str = ALL
    spearman: float | None = None
    pearson: float | None = None
    kendall: float | None = None
    n: int | None = None
    p_value: float | None = None
    interval: tuple[float, float] | None = None
    signature: str | None = None
    source: str = MEASURED
    over: str | None = None
    reason: str | None = None

    def object(self) -> dict[str, Any]:
        """The cell as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Distances:
    """A row's distances of one set: (k, n), one line a sample, and how they were measured."""

    samples: Array
    signature: str


Measured = tuple[Dataset, Distances | str, Cell]  # a set, distances of it, the figure on all of it


def cells(row: str, data: Dataset, found: Distances | str) -> list[Cell]:
    """The figures of a row on a set: whole, within each subset, and their means.

    found: the distances, or the reason why there are none
    """
    if isinstance(found, str):
        return [Cell(row, data.name, n=len(data.scores), reason=found)]
    line = found.signature
    made = [cell_of(row, data, ALL, correlate(data.scores, found.samples), line)]
    if data.subsets is None or len(set(data.subsets)) < 2:
        return made
    parts = by_subset(data.scores, data.subsets, found.samples)
    made += [cell_of(row, data, name, part, line) for name, part in parts.each.items()]
    for name, value in ((MEAN, parts.mean), (WEIGHTED, parts.weighted_mean)):
        made.append(
            Cell(
                row,
                data.name,
                name,
                spearman=percent(value),
                n=len(data.scores),
                signature=line,
                reason=parts.reason,
            )
        )
    return made


def average_cells(row: str, sets: Mapping[str, Measured]) -> list[Cell]:
    """The average over the paper's seven sets and the standard deviation across them.

    sets: {name: what is known of the row on the set}; nothing where not all seven are there.
    The interval is of the average: sets are resampled independently, seeds alike in all of them.
    """
    if not all(name in sets for name in SEVEN):
        return []
    chosen = {name: sets[name] for name in SEVEN}
    n = sum(len(data.scores) for data, _, _ in chosen.values())
    mean = average({name: whole.spearman for name, (_, _, whole) in chosen.items()})
    if mean.mean is None:
        first = next(whole.reason for _, _, whole in chosen.values() if whole.reason)
        return [Cell(row, AVERAGE, n=n, reason=f"{mean.reason}: {first}")]
    resampled = [
        bootstrap(np.array(data.scores), [found.samples])[0]
        for data, found, _ in chosen.values()
        if not isinstance(found, str)
    ]
    low, high = np.nanquantile(np.mean(resampled, axis=0), [0.025, 0.975])
    line, over = chosen[SEVEN[0]][2].signature, chosen[SEVEN[0]][2].over
    if any(len(data.scores) < data.total for data, _, _ in chosen.values()):
        over = f"{str(over).partition(';')[0]}; subsamples, drawn with seed {SUBSAMPLE_SEED}"
    return [
        Cell(
            row,
            AVERAGE,
            spearman=mean.mean,
            n=n,
            interval=(100 * float(low), 100 * float(high)),
            signature=line,
            over=over,
        ),
        Cell(row, AVERAGE, DEVIATION, spearman=mean.deviation, n=n, signature=line),
    ]


def cell_of(row: str, data: Dataset, subset: str, found: Correlation, line: str) -> Cell:
    facts = correlation_object(found)
    over = facts.pop("interval_over")
    if len(data.scores) < data.total:
        over += f"; {len(data.scores)} of {data.total} pairs, drawn with seed {SUBSAMPLE_SEED}"
    interval = facts.pop("interval")
    return Cell(
        row,
        data.name,
        subset,
        interval=interval and tuple(interval),
        signature=line,
        over=over,
        **facts,
    )


def with_subsets(name: str, data: Dataset) -> list[Column]:
    """The columns of a set: all of it, then each of its subsets, where there are several."""
    parts = sorted(set(data.subsets or ()))
    return [(name, ALL), *((name, part) for part in parts if len(parts) > 1)]


def subsample_notes(datasets: Mapping[str, Dataset]) -> list[str]:
    """A sentence on the sets that were not taken whole, where there are any."""
    drawn = [
        f"{name}: {len(data.scores):,} of {data.total:,} pairs"
        for name, data in datasets.items()
        if len(data.scores) < data.total
    ]
    return [f"A subsample, drawn with seed {SUBSAMPLE_SEED}: {'; '.join(drawn)}."] if drawn else []

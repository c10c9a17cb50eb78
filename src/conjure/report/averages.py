"""The average of Table 1: over the paper's seven sets, with the ± between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..datasets.cards import SEVEN
from ..datasets.read import SUBSAMPLE_SEED, Dataset
from ..stats.comparison import average
from ..stats.correlation import MIN_RESAMPLED, NO_INTERVAL, chance
from ..stats.resampling import bootstrap, combined
from .cells import AVERAGE, DEVIATION, Cell, Distances, Draws, Measured, central_95

OfSet = tuple[Dataset, Measured, Cell]  # a set, distances of it, the figure on all of it


def average_cells(row: str, sets: Mapping[str, OfSet]) -> list[Cell]:
    """The average over the paper's seven sets and the standard deviation between them.

    sets: {name: what is known of the row on the set}. Empty unless all seven are there.
    The interval is of the average: each set is resampled independently, and all sets share the
    resampled seeds.
    """
    if not all(name in sets for name in SEVEN):
        return []
    chosen = {name: sets[name] for name in SEVEN}
    n = sum(len(data.scores) for data, _, _ in chosen.values())
    mean = average({name: whole.spearman for name, (_, _, whole) in chosen.items()})
    if mean.mean is None:
        first = next(whole.reason for _, _, whole in chosen.values() if whole.reason)
        return [Cell(row, AVERAGE, n=n, reason=f"{mean.reason}: {first}")]
    interval = _interval_of_average([(data, found) for data, found, _ in chosen.values()])
    line, over = chosen[SEVEN[0]][2].signature, chosen[SEVEN[0]][2].over
    if any(len(data.scores) < data.total for data, _, _ in chosen.values()):
        over = f"{str(over).partition(';')[0]}; subsamples, drawn with seed {SUBSAMPLE_SEED}"
    return [
        Cell(
            row,
            AVERAGE,
            spearman=mean.mean,
            n=n,
            interval=interval,
            signature=line,
            over=over,
            interval_reason=None if interval else NO_INTERVAL,
        ),
        Cell(row, AVERAGE, DEVIATION, spearman=mean.deviation, n=n, signature=line),
    ]


def _interval_of_average(sets: Sequence[tuple[Dataset, Measured]]) -> tuple[float, float] | None:
    """Of coefficients × 100; None where a set has too few pairs to be resampled."""
    drawn = [
        each
        for data, found in sets
        if isinstance(found, Draws)
        and not isinstance(each := chance(np.array(data.scores), found.samples), str)
    ]
    if drawn:
        return central_95(100 * np.mean(drawn, axis=0)[0])
    if any(len(data.scores) < MIN_RESAMPLED for data, _ in sets):
        return None
    resampled = [
        bootstrap(np.array(data.scores), [np.atleast_2d(found.samples)])[0]
        for data, found in sets
        if isinstance(found, Distances)
    ]
    low, high = combined(resampled, [1 / len(resampled)] * len(resampled)).interval()
    return 100 * low, 100 * high

"""The difference between one row and each other row, on the same pairs.

Rows share pairs and noise. So whether two rows differ is read off the interval of their
difference, not off the overlap of their own intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..datasets.read import Dataset
from ..stats.comparison import paired_difference
from ..stats.correlation import percent
from .cells import ALL, Column, Distances, MeasuredRows, with_subsets, within


@dataclass(frozen=True)
class RowDifference:
    """Spearman × 100 of ``row`` minus that of ``than``, on the same pairs (paired bootstrap)."""

    row: str
    than: str
    dataset: str
    subset: str
    n: int
    difference: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    over: str
    reason: str | None
    interval_reason: str | None = None


def differences(
    row: str, found: MeasuredRows, datasets: Mapping[str, Dataset], *, subsets: bool = False
) -> tuple[RowDifference, ...]:
    """``row`` against each other row, on whole sets and, if asked, on their subsets.

    Empty where ``row`` itself was not measured. The control is left out: its draws are not paired
    with the samples of any row, and its own range already shows what chance does.
    """
    made = []
    for name, data in datasets.items():
        columns: Iterable[Column] = with_subsets(name, data) if subsets else [(name, ALL)]
        ours = found.get(row, {}).get(name)
        for than, sets in found.items():
            theirs = sets.get(name)
            if than != row and isinstance(ours, Distances) and isinstance(theirs, Distances):
                made += [
                    _difference(row, than, data, subset, ours, theirs) for _, subset in columns
                ]
    return tuple(made)


def _difference(
    row: str, than: str, data: Dataset, subset: str, ours: Distances, theirs: Distances
) -> RowDifference:
    places = within(data, subset)
    apart = paired_difference(
        [data.scores[i] for i in places], ours.samples[..., places], theirs.samples[..., places]
    )
    return RowDifference(
        row,
        than,
        data.name,
        subset,
        apart.n,
        percent(apart.value),
        apart.interval and (100 * apart.interval[0], 100 * apart.interval[1]),
        apart.p_value,
        apart.over,
        apart.reason,
        apart.interval_reason,
    )

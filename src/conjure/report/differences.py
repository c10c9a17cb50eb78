"""One row less the others on the same pairs: rows share pairs and noise, so intervals mislead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..datasets.read import Dataset
from ..stats.comparison import paired_difference
from ..stats.correlation import percent
from .cells import ALL, Column, Distances, Measured, with_subsets, within

Found = Mapping[str, Mapping[str, Measured]]  # row → set → distances, or why there are none


@dataclass(frozen=True)
class Difference:
    """Spearman × 100 of ``row`` less that of ``than``, on the same pairs (paired bootstrap)."""

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
    row: str, found: Found, datasets: Mapping[str, Dataset], *, subsets: bool = False
) -> tuple[Difference, ...]:
    """``row`` against each other row, on whole sets and perhaps on their subsets.

    Nothing where the row itself was not measured. The control is in none: it is as many draws, of
    which no pair is the same as another row's, and its spread says what chance does.
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
) -> Difference:
    places = within(data, subset)
    apart = paired_difference(
        [data.scores[i] for i in places], ours.samples[..., places], theirs.samples[..., places]
    )
    return Difference(
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

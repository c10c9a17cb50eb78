"""Two processes on the same pairs: how alike they rank them, beside what other seeds change.

Two runs of one process under different seeds do not agree fully, since each distance has noise.
So the agreement of two processes is read against that of each process with itself. All three
are taken across seeds: one side is measured under the first k seeds, the other side under the
next k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import InputError
from .correlation import MIN_PAIRS, MIN_RESAMPLED, NO_INTERVAL, mean_distances
from .resampling import Array, Columns, Counts, Sorted, resampled, spearman

Interval = tuple[float, float]


@dataclass(frozen=True)
class Likeness:
    """How alike two processes rank n pairs: Spearman's coefficients of their distances.

    same_seeds:  both under the first k seeds, which share their noise
    other_seeds: one under the first k seeds, the other under the next k; the mean of both ways
    no_change:   each process with itself, the first k seeds against the next k
    below:       the mean of ``no_change`` less ``other_seeds``: what noise does not explain
    corrected:   other_seeds / √(no_change₁ · no_change₂), Spearman's correction for attenuation:
                 the agreement of distances without noise. An estimate can exceed 1
    intervals:   95 % bootstrap intervals over pairs, by the names above; seeds are kept
    reason, interval_reason: why there is no coefficient, and why there is no interval
    """

    n: int
    same_seeds: float | None = None
    other_seeds: float | None = None
    no_change: tuple[float, float] | None = None
    below: float | None = None
    corrected: float | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    reason: str | None = None
    interval_reason: str | None = None


@dataclass(frozen=True)
class Disagreement:
    """A pair that two processes rank differently. Ranks are in 0 … 100; 0 is the nearest pair.

    place:     of the pair among the n
    ranks:     by each process, over all seeds
    by_seeds:  how far the rank moves within a process if only the seeds change, the larger of two
    """

    place: int
    ranks: tuple[float, float]
    by_seeds: float

    @property
    def change(self) -> float:
        """The second rank less the first one."""
        return self.ranks[1] - self.ranks[0]


def likeness(one: ArrayLike, other: ArrayLike) -> Likeness:
    """Compare the rankings of two processes.

    one, other: (2k, n) distances of the same pairs, a row a seed; the same seeds for both

    Raises InputError for other shapes and for values that are not finite.
    """
    halves = [*_halves(one), *_halves(other)]  # one, one, other, other: first seeds, next seeds
    n = len(halves[0])
    if len(halves[2]) != n or np.shape(one) != np.shape(other):
        raise InputError(f"distances must be alike, not {np.shape(one)} and {np.shape(other)}")
    if n < MIN_PAIRS:
        reason = f"a correlation needs at least {MIN_PAIRS} pairs; there are {n}"
        return Likeness(n, reason=reason)
    if min(np.ptp(half) for half in halves) == 0:
        return Likeness(n, reason="all distances of a process are the same")
    a1, a2, b1, b2 = map(Sorted.of, halves)
    couples: list[Columns] = [(a1, b1), (a1, b2), (a2, b1), (a1, a2), (b1, b2)]
    found = _figures(np.array([[_coefficient(couple)] for couple in couples]))
    values = {name: float(each[0]) for name, each in found.items()}
    few = n < MIN_RESAMPLED
    return Likeness(
        n,
        same_seeds=values["same_seeds"],
        other_seeds=values["other_seeds"],
        no_change=(values["no_change_one"], values["no_change_other"]),
        below=values["below"],
        corrected=_existing(values["corrected"]),
        intervals={} if few else _intervals(_figures(resampled(couples))),
        interval_reason=NO_INTERVAL if few else None,
    )


def disagreements(one: ArrayLike, other: ArrayLike) -> list[Disagreement]:
    """Each of the n pairs, those first whose ranks differ most; arguments as of ``likeness``."""
    means = [mean_distances(_checked(each)) for each in (one, other)]
    ranks = [_rank(values) for values in means]
    moved = np.max([np.abs(np.subtract(*map(_rank, _halves(each)))) for each in (one, other)], 0)
    order = np.argsort(-np.abs(ranks[1] - ranks[0]), kind="stable")
    return [
        Disagreement(int(i), (float(ranks[0][i]), float(ranks[1][i])), float(moved[i]))
        for i in order
    ]


def _figures(coefficients: Array) -> dict[str, Array]:
    """(5, m) coefficients, in the order of ``couples`` → the figures of ``Likeness``, (m,) each."""
    same, one_way, other_way, first, second = coefficients
    across, floor = (one_way + other_way) / 2, (first + second) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        both_positive = (first > 0) & (second > 0)
        corrected = np.where(both_positive, across / np.sqrt(first * second), np.nan)
    return {
        "same_seeds": same,
        "other_seeds": across,
        "no_change_one": first,
        "no_change_other": second,
        "below": floor - across,
        "corrected": corrected,
    }


def _intervals(figures: Mapping[str, Array]) -> dict[str, Interval]:
    """The central 95 % of each figure's resamples; none where some do not exist."""
    bounds = {
        name: np.quantile(each, [0.025, 0.975])
        for name, each in figures.items()
        if np.isfinite(each).all()
    }
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def _coefficient(couple: Columns) -> float:
    once: Counts = np.ones((1, len(couple[0].order)), dtype=np.int64)
    x, y = (column.ranks(once) for column in couple)
    return float(spearman(once, x, y)[0])


def _halves(distances: ArrayLike) -> tuple[Array, Array]:
    """The mean over the first half of the seeds, and over the second half: (n,) each."""
    values = _checked(distances)
    half = len(values) // 2
    return mean_distances(values[:half]), mean_distances(values[half:])


def _checked(distances: ArrayLike) -> Array:
    values = np.asarray(distances, dtype=np.float64)
    if values.ndim != 2 or len(values) < 2 or len(values) % 2:
        raise InputError(f"distances must be (2k, n), an even number of seeds, not {values.shape}")
    if not np.isfinite(values).all():
        raise InputError("a distance is not finite")
    return values


def _rank(values: Array) -> NDArray[np.float64]:
    """Ranks in 0 … 100; ties share the mean rank."""
    from scipy.stats import rankdata

    if len(values) == 1:
        return np.zeros(1)
    return np.asarray(100 * (rankdata(values) - 1) / (len(values) - 1), dtype=np.float64)


def _existing(value: float) -> float | None:
    return value if np.isfinite(value) else None

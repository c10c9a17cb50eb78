"""Compare rows: paired differences, averages over sets, and the reliability of distances.

A value that does not exist is None, and ``reason`` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from .correlation import (
    MIN_PAIRS,
    MIN_RESAMPLED,
    NO_INTERVAL,
    PAIRS,
    Correlation,
    checked,
    correlate,
    fault,
    mean_distances,
    resampled_over,
)
from .resampling import Array, Sorted, bootstrap, combined, means, replicates, spearman

SPLITS = 100
SPLIT_SEED = 0


@dataclass(frozen=True)
class Difference:
    """Spearman's coefficient of one row minus that of another row, on the same n pairs.

    interval: 95 % bootstrap interval. Both rows use the same resampled pairs. Rows with the same
              number of samples are assumed to share their seeds
    p_value:  two-sided, from the same resamples: twice the share of them on the rarer side of
              zero, with the estimate counted as one more
    over:     what the interval covers, as in ``Correlation``, for the row with more samples
    interval_reason: why there is a difference but no interval
    """

    n: int
    value: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    over: str = PAIRS
    reason: str | None = None
    interval_reason: str | None = None


@dataclass(frozen=True)
class Average:
    """The plain mean over sets, and the ± beside it.

    deviation: the population standard deviation across sets (division by n), as the paper's ±;
               None for one set
    """

    mean: float | None
    deviation: float | None
    n: int
    reason: str | None = None


@dataclass(frozen=True)
class Reliability:
    """How consistently distances rank the pairs, whatever the seeds.

    half: Spearman's coefficient between the mean distances of two halves of the samples, averaged
          over random splits
    full: the same, corrected to all k samples by Spearman–Brown
    """

    samples: int
    half: float | None = None
    full: float | None = None
    reason: str | None = None


def paired_difference(scores: ArrayLike, one: ArrayLike, other: ArrayLike) -> Difference:
    """How much better ``one`` agrees with the scores than ``other``, with its uncertainty.

    scores:     (n,)
    one, other: distances of the same pairs, (n,) or (k, n) as in ``correlate``
    """
    gold, first = checked(scores, one)
    _, second = checked(scores, other)
    n, over = len(gold), resampled_over(one, other)
    if reason := fault(gold, first) or fault(gold, second):
        return Difference(n, over=over, reason=reason)
    if n < MIN_RESAMPLED:
        value = _spearman(gold, -mean_distances(first)) - _spearman(gold, -mean_distances(second))
        return Difference(n, value, over=over, interval_reason=NO_INTERVAL)
    found = combined(bootstrap(gold, [first, second]), [1, -1])
    apart = found.spread()
    low, high = np.quantile(apart, [0.025, 0.975])
    smaller = min((apart <= 0).sum(), (apart >= 0).sum())
    return Difference(
        n=n,
        value=found.value,
        interval=(float(low), float(high)),
        p_value=min(1.0, 2 * float(smaller + 1) / (len(apart) + 1)),
        over=over,
    )


def agreement(one: ArrayLike, other: ArrayLike) -> Correlation:
    """How similarly two processes rank the same pairs: the correlation of their distances.

    one, other: (n,) or (k, n) as in ``correlate``, of the same shape and the same seeds. The
                bootstrap and the jackknife treat both in the same way

    Raises InputError for other shapes.
    """
    first, second = (np.atleast_2d(np.asarray(d, dtype=np.float64)) for d in (one, other))
    n = first.shape[-1]
    for samples in (first, second):
        checked(np.zeros(n), samples)
    if first.shape != second.shape:
        raise InputError(f"distances must be (k, n) alike, not {first.shape} and {second.shape}")
    columns = [means(first), means(second)]
    over = resampled_over(one, other)
    if n < MIN_PAIRS:
        reason = f"a correlation needs at least {MIN_PAIRS} pairs; there are {n}"
        return Correlation(n, over=over, reason=reason)
    if min(np.ptp(each[0]) for each in columns) == 0:
        return Correlation(n, over=over, reason="all distances of a process are the same")
    plain = replace(correlate(-columns[0][0], columns[1][0]), over=over)
    if plain.interval is None or len(first) == 1:
        return plain
    couples = [(Sorted.of(x), Sorted.of(y)) for x, y in zip(*columns, strict=True)]
    return replace(plain, interval=replicates(couples).interval())


def average(values: Mapping[str, float | None]) -> Average:
    """The mean and deviation of one figure over sets: {set: figure}.

    The mean is None if a set has no figure: a mean over fewer sets is not comparable.
    """
    if not values:
        raise InputError("there is no set to average over")
    missing = [name for name, value in values.items() if value is None]
    if missing:
        return Average(None, None, len(values), f"no figure for {', '.join(missing)}")
    figures = np.array(list(values.values()), dtype=np.float64)
    deviation = float(figures.std()) if len(figures) > 1 else None
    return Average(float(figures.mean()), deviation, len(figures))


def split_half(distances: ArrayLike) -> Reliability:
    """The reliability of (k, n) distances of n pairs, one row a sample. Seeded.

    If k is odd, each split leaves one sample out. Raises InputError as ``correlate`` does.
    """
    values = np.asarray(distances, dtype=np.float64)
    _, samples = checked(np.zeros(values.shape[-1:]), values)
    k, n = samples.shape
    if k < 2:
        return Reliability(k, reason="one sample cannot be split: take at least two")
    if n < 2:
        return Reliability(k, reason=f"ranks need at least two pairs; there are {n}")
    length = k // 2
    draw = np.random.default_rng(SPLIT_SEED)
    found = np.empty(SPLITS)
    for split in range(SPLITS):
        order = draw.permutation(k)
        first, second = samples[order[:length]], samples[order[length : 2 * length]]
        found[split] = _spearman(mean_distances(first), mean_distances(second))
    if not np.isfinite(found).all():
        return Reliability(k, reason="all distances of a half are the same: nothing to rank")
    half = float(found.mean())
    return Reliability(k, half, _lengthened(half, k / length))


def _lengthened(reliability: float, factor: float) -> float:
    """Spearman–Brown: the reliability of ``factor`` times as many samples.

    The formula treats reliability as a share of variance. A value that is not above zero is no
    share and is returned unchanged.
    """
    if reliability <= 0:
        return reliability
    return factor * reliability / (1 + (factor - 1) * reliability)


def _spearman(x: Array, y: Array) -> float:
    """Spearman's coefficient; NaN if a side is constant."""
    once = np.ones((1, len(x)), dtype=np.int64)
    return float(spearman(once, Sorted.of(x).ranks(once), Sorted.of(y).ranks(once))[0])

"""Rows beside rows: differences, averages over sets, and how reliable distances are.

As in ``correlation``, what does not exist is None, and ``reason`` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from .correlation import (
    LEAST_PAIRS,
    PAIRS,
    PAIRS_AND_SEEDS,
    Correlation,
    checked,
    correlate,
    fault,
    mean_distances,
)
from .resampling import Array, Counts, Sorted, averaged, bootstrap, draws, spearman

SPLITS = 100
SPLIT_SEED = 0


@dataclass(frozen=True)
class Difference:
    """Spearman's coefficient of one row less that of another, on the same n pairs.

    interval: 95 % bootstrap interval; both rows see the same resampled pairs, and the same
              resampled seeds where they have the same number of samples
    p_value:  two-sided, from the same resamples: twice the share of them on the rarer side of
              zero, where the estimate is counted as one more
    over:     "pairs", or "pairs and seeds" where either row has several samples
    """

    n: int
    value: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    over: str = PAIRS
    reason: str | None = None


@dataclass(frozen=True)
class Average:
    """The plain mean over sets, and the ± beside it.

    deviation: the standard deviation across sets, with n − 1 in its divisor; None for one set.
    The paper prints a ± and does not say which divisor it uses.
    """

    mean: float | None
    deviation: float | None
    n: int
    reason: str | None = None


@dataclass(frozen=True)
class Reliability:
    """How far distances from other seeds would rank the pairs alike.

    half: Spearman's coefficient between the mean distances of two halves of the samples, averaged
          over random splits; full: Spearman–Brown's correction of it to all k samples
    """

    samples: int
    half: float | None = None
    full: float | None = None
    reason: str | None = None


def paired_difference(scores: ArrayLike, one: ArrayLike, other: ArrayLike) -> Difference:
    """How much better ``one`` agrees with the scores than ``other``, with its uncertainty.

    scores: (n,); one, other: distances of the same pairs, (n,) or (k, n) as in ``correlate``.
    """
    gold, first = checked(scores, one)
    _, second = checked(scores, other)
    over = PAIRS if len(first) == len(second) == 1 else PAIRS_AND_SEEDS
    if reason := fault(gold, first) or fault(gold, second):
        return Difference(len(gold), over=over, reason=reason)
    value = _spearman(gold, -mean_distances(first)) - _spearman(gold, -mean_distances(second))
    found = bootstrap(gold, [first, second])
    apart = found[0] - found[1]
    apart = apart[np.isfinite(apart)]
    low, high = np.quantile(apart, [0.025, 0.975])
    smaller = min((apart <= 0).sum(), (apart >= 0).sum())
    return Difference(
        n=len(gold),
        value=value,
        interval=(float(low), float(high)),
        p_value=min(1.0, 2 * float(smaller + 1) / (len(apart) + 1)),
        over=over,
    )


def agreement(one: ArrayLike, other: ArrayLike) -> Correlation:
    """How alike two processes rank the same pairs: the correlation of their distances.

    one, other: (n,) or (k, n) as in ``correlate``, with the same k, whose seeds both share: a
    resample draws the same pairs and the same seeds for both, and is corrected as ``bootstrap``
    says. Raises InputError for other shapes.
    """
    first, second = (np.atleast_2d(np.asarray(d, dtype=np.float64)) for d in (one, other))
    n = first.shape[-1]
    for samples in (first, second):
        checked(np.zeros(n), samples)
    if first.shape != second.shape:
        raise InputError(f"distances must be (k, n) alike, not {first.shape} and {second.shape}")
    means = [mean_distances(first), mean_distances(second)]
    over = PAIRS if len(first) == 1 else PAIRS_AND_SEEDS
    if n < LEAST_PAIRS:
        reason = f"a correlation needs at least {LEAST_PAIRS} pairs; there are {n}"
        return Correlation(n, over=over, reason=reason)
    if min(map(np.ptp, means)) == 0:
        return Correlation(n, over=over, reason="all distances of a process are the same")
    plain = correlate(-means[0], means[1])
    resampled = _bootstrap_together(first, second)
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return replace(plain, interval=(float(low), float(high)), over=over)


def _bootstrap_together(first: Array, second: Array) -> Array:
    """Spearman's coefficient of two rows of (k, n) distances in every resample."""
    k, n = first.shape
    once: Counts = np.ones((1, n), dtype=np.int64)
    found, of_all = [], []  # of_all: the same seeds, but every pair once
    for drawn in draws(n, [k]):
        x, y = (Sorted.of(averaged(samples, drawn.seeds[k])) for samples in (first, second))
        found.append(spearman(drawn.pairs, x.ranks(drawn.pairs), y.ranks(drawn.pairs)))
        whole = spearman(once, x.ranks(once), y.ranks(once))
        of_all.append(np.repeat(whole, len(drawn.pairs)))
    plain = _spearman(mean_distances(first), mean_distances(second))
    cost = plain - np.nanmean(np.concatenate(of_all))
    return np.asarray(np.clip(np.concatenate(found) + cost, -1, 1))


def average(values: Mapping[str, float | None]) -> Average:
    """The mean and deviation of one figure over sets: {set: figure}.

    None where a set has none: an average over fewer sets is another figure.
    """
    if not values:
        raise InputError("there is no set to average over")
    missing = [name for name, value in values.items() if value is None]
    if missing:
        return Average(None, None, len(values), f"no figure for {', '.join(missing)}")
    figures = np.array(list(values.values()), dtype=np.float64)
    deviation = float(figures.std(ddof=1)) if len(figures) > 1 else None
    return Average(float(figures.mean()), deviation, len(figures))


def split_half(distances: ArrayLike) -> Reliability:
    """The reliability of (k, n) distances of n pairs, one row a sample. Seeded.

    Of an odd k, each split leaves one sample out. Raises InputError as ``correlate`` does.
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

    It takes reliability for a share of variance. What is not above zero is no such share, and
    is left as it is.
    """
    if reliability <= 0:
        return reliability
    return factor * reliability / (1 + (factor - 1) * reliability)


def _spearman(x: Array, y: Array) -> float:
    """Spearman's coefficient; NaN where a side is constant."""
    once = np.ones((1, len(x)), dtype=np.int64)
    return float(spearman(once, Sorted.of(x).ranks(once), Sorted.of(y).ranks(once))[0])

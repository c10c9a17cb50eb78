"""Agreement of distances with human scores: rank and linear correlation, with an interval.

A distance falls as similarity rises, so −distance is correlated with the human scores. A
coefficient that does not exist is None, and ``reason`` says why; no error is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from .resampling import Array, Counts, Sorted, averaged, bootstrap, spearman

MIN_PAIRS = 3  # two points always lie on a line
MIN_RESAMPLED = 10  # resamples of fewer pairs are too similar to give an interval
NO_INTERVAL = f"fewer than {MIN_RESAMPLED} pairs"
MAX_PERMUTED = 8  # 8! = 40,320 orders
PAIRS, PAIRS_SAME_SEEDS = "pairs", "pairs, for the seeds as drawn"
PAIRS_AND_SEEDS = "pairs and seeds"


@dataclass(frozen=True)
class Correlation:
    """Agreement of −distance with human scores over n pairs; coefficients are in −1 … 1.

    kendall:  τ-b, which accounts for ties
    p_value:  two-sided, of Spearman's coefficient, for the seeds as drawn. Up to eight pairs it is
              exact, over all orders; for more pairs it is scipy's t approximation
    interval: 95 % bootstrap interval of Spearman's coefficient, see ``resampling``
    over:     what the interval covers: "pairs" (other pairs; nothing is random), "pairs and
              seeds" (other pairs and other seeds), or, for one sample, "pairs, for the seeds as
              drawn" (other pairs under the same noise)
    reason:   why there is no coefficient, or None if there is one
    interval_reason: why there is a coefficient but no interval: fewer than ten pairs
    """

    n: int
    spearman: float | None = None
    pearson: float | None = None
    kendall: float | None = None
    p_value: float | None = None
    interval: tuple[float, float] | None = None
    over: str = PAIRS
    reason: str | None = None
    interval_reason: str | None = None


@dataclass(frozen=True)
class SubsetCorrelations:
    """The correlation within each subset, by name, and the averages of Spearman's coefficients.

    mean:          each subset counts the same
    weighted_mean: each subset counts by its number of pairs
    reason:        why both are None: a subset has no coefficient
    """

    each: dict[str, Correlation]
    mean: float | None
    weighted_mean: float | None
    reason: str | None


def correlate(scores: ArrayLike, distances: ArrayLike) -> Correlation:
    """Correlate human similarity scores with −distance.

    scores:    (n,)
    distances: (k, n), one row a sample; all pairs of a row share its seed, and coefficients are of
               the mean over samples. Or (n,), if nothing is drawn at random

    The bootstrap is seeded: the same input gives the same interval. Raises InputError for shapes
    that do not fit and for numbers that are not finite.
    """
    gold, samples = checked(scores, distances)
    over = resampled_over(distances)
    reason = fault(gold, samples)
    if reason is not None:
        return Correlation(len(gold), over=over, reason=reason)
    spearman, pearson, kendall, p_value = coefficients(gold, samples)
    few = len(gold) < MIN_RESAMPLED
    return Correlation(
        n=len(gold),
        spearman=spearman,
        pearson=pearson,
        kendall=kendall,
        p_value=p_value,
        interval=None if few else bootstrap(gold, [samples])[0].interval(),
        over=over,
        interval_reason=NO_INTERVAL if few else None,
    )


def coefficients(scores: Array, samples: Array) -> tuple[float, float, float, float]:
    """Spearman's, Pearson's and Kendall's coefficients, and the p-value of the first.

    scores: (n,); samples: (k, n); ``fault`` must be None for them
    """
    from scipy.stats import kendalltau, pearsonr

    similarity = -mean_distances(samples)
    rank, p_value = _spearman_test(scores, similarity)
    pearson = float(pearsonr(scores, similarity).statistic)
    return rank, pearson, float(kendalltau(scores, similarity).statistic), p_value


def chance(scores: Array, draws: Array) -> Array | str:
    """The coefficients that distances without any knowledge of the texts give by chance.

    scores: (n,)
    draws:  (m, n), m independent draws of such distances

    → (3, m), Spearman's, Pearson's and Kendall's coefficients of −distance; or why there are none
    """
    reason = next((why for draw in draws if (why := fault(scores, draw[None]))), None)
    if reason is not None:
        return reason
    from scipy.stats import kendalltau, pearsonr

    once: Counts = np.ones((1, len(scores)), dtype=np.int64)
    gold = Sorted.of(scores).ranks(once)
    ranks = (spearman(once, gold, Sorted.of(-draw).ranks(once))[0] for draw in draws)
    each = [
        (rank, pearsonr(scores, -draw).statistic, kendalltau(scores, -draw).statistic)
        for rank, draw in zip(ranks, draws, strict=True)
    ]
    return np.array(each, dtype=np.float64).T


def resampled_over(*distances: ArrayLike) -> str:
    """What an interval from these distances covers (``Correlation.over``).

    Of several rows, the one with the most samples decides.
    """
    shapes = [np.shape(each) for each in distances]
    if any(len(shape) > 1 and shape[0] > 1 for shape in shapes):
        return PAIRS_AND_SEEDS
    return PAIRS_SAME_SEEDS if any(len(shape) > 1 for shape in shapes) else PAIRS


def by_subset(
    scores: ArrayLike, subsets: Sequence[str], distances: ArrayLike
) -> SubsetCorrelations:
    """Correlate within each subset, in the order in which they first appear.

    subsets: the subset of each of the n pairs; the rest is as in ``correlate``.
    """
    gold, _ = checked(scores, distances)
    if len(subsets) != len(gold):
        raise InputError(f"there are {len(gold)} scores and {len(subsets)} subsets")
    member, values = np.array(subsets), np.asarray(distances, dtype=np.float64)
    each = {
        name: correlate(gold[member == name], values[..., member == name])
        for name in dict.fromkeys(subsets)
    }
    found = [(part.spearman, part.n) for part in each.values() if part.spearman is not None]
    if len(found) < len(each):
        reason = next(f"{name}: {part.reason}" for name, part in each.items() if part.reason)
        return SubsetCorrelations(each, None, None, reason)
    coefficients, sizes = zip(*found, strict=True)
    return SubsetCorrelations(
        each,
        mean=float(np.mean(coefficients)),
        weighted_mean=float(np.average(coefficients, weights=sizes)),
        reason=None,
    )


def check_scores(scores: ArrayLike) -> None:
    """Raise InputError if no correlation with these human scores can exist."""
    if reason := _fault_of_scores(np.asarray(scores, dtype=np.float64)):
        raise InputError(reason)


def checked(scores: ArrayLike, distances: ArrayLike) -> tuple[Array, Array]:
    """Scores as (n,) and distances as (k, n). Raises InputError for other shapes or for NaN."""
    gold = np.asarray(scores, dtype=np.float64)
    samples = np.atleast_2d(np.asarray(distances, dtype=np.float64))
    if gold.ndim != 1 or samples.ndim != 2 or len(samples) < 1 or samples.shape[1] != len(gold):
        raise InputError(
            f"scores must be (n,) and distances (n,) or (k, n), not {gold.shape} and "
            f"{np.shape(distances)}"
        )
    for name, values in (("score", gold), ("distance", samples)):
        if not np.isfinite(values).all():
            raise InputError(f"a {name} is not finite")
    return gold, samples


def mean_distances(samples: Array) -> Array:
    """The mean over samples, (k, n) → (n,). Pairs with equal distances have equal means."""
    return averaged(samples, np.ones(len(samples), dtype=np.int64))


def fault(scores: Array, samples: Array) -> str | None:
    """Why these scores and (k, n) distances have no correlation; None if they have one."""
    if reason := _fault_of_scores(scores):
        return reason
    if np.ptp(mean_distances(samples)) == 0:
        return "all distances are the same: there is nothing to correlate"
    return None


def _fault_of_scores(scores: Array) -> str | None:
    if len(scores) < MIN_PAIRS:
        return f"a correlation needs at least {MIN_PAIRS} pairs; there are {len(scores)}"
    if np.ptp(scores) == 0:
        return f"all human scores are {scores[0]:g}: there is nothing to correlate with"
    return None


def _spearman_test(x: Array, y: Array) -> tuple[float, float]:
    """Spearman's coefficient and its two-sided p-value."""
    from scipy.stats import spearmanr

    found = spearmanr(x, y)
    if len(x) > MAX_PERMUTED:
        return float(found.statistic), float(found.pvalue)
    once: Counts = np.ones((1, len(x)), dtype=np.int64)
    ranks, orders = Sorted.of(y).ranks(once)[0], np.array(list(permutations(range(len(x)))))
    chance = spearman(once, Sorted.of(x).ranks(once), ranks[orders])
    as_far = np.abs(chance) >= abs(found.statistic) - 1e-12
    return float(found.statistic), float(as_far.mean())


def correlation_object(found: Correlation) -> dict[str, Any]:
    """A correlation as a JSON object, with coefficients × 100.

    ``interval_over`` says what the interval covers. Values that do not exist are null, with a
    ``reason`` or an ``interval_reason``.
    """
    interval = found.interval and [100 * bound for bound in found.interval]
    return {
        "spearman": percent(found.spearman),
        "pearson": percent(found.pearson),
        "kendall": percent(found.kendall),
        "interval": interval,
        "interval_over": found.over,
        "p_value": found.p_value,
        "n": found.n,
        "reason": found.reason,
        "interval_reason": found.interval_reason,
    }


def percent(coefficient: float | None) -> float | None:
    """A coefficient × 100, as the literature prints it."""
    return None if coefficient is None else 100 * coefficient

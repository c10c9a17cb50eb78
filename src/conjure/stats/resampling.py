"""Intervals of Spearman's coefficient: a bootstrap over pairs, and a jackknife over seeds.

All pairs of a run share the noise of its seeds, so pairs and seeds are crossed. The variance of a
coefficient has three parts: one from the choice of pairs, one from the choice of seeds, and one
from the noise of each pair under each seed. The bootstrap over pairs shows the first and the third
part. The jackknife, which leaves out one seed at a time, shows the second and the third. The third
part is then subtracted once. If it counted twice, intervals would be too wide where it dominates,
as in the difference of two rows. Obuchowski & Rockette (1995) treat readers and cases of
diagnostic trials in this way.

A resample is stored as counts: how often each pair was drawn. Each column is sorted once, and the
ranks in a resample follow from the counts. So 2,000 resamples of 10,000 pairs take seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

RESAMPLES = 2000
SEED_RESAMPLES = 200  # resamples of the pairs for each seed that is left out
CHUNK = 50  # resamples held in memory at once
BOOTSTRAP_SEED = 0
LEVEL = 0.95
_MAX_COEFFICIENT = 1 - 1e-12  # a coefficient whose arctanh is finite


def draws(pairs: int, resamples: int = RESAMPLES) -> Iterator[Counts]:
    """Yield resamples as (m, pairs) counts: how often each pair was drawn. Seeded."""
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        chosen = generator.integers(pairs, size=(rows, pairs)) + pairs * np.arange(rows)[:, None]
        yield np.bincount(chosen.ravel(), minlength=rows * pairs).reshape(rows, pairs)


def averaged(distances: Array, seeds: Counts) -> Array:
    """The weighted mean over seeds: distances (k, n), weights (k,) → (n,).

    It adds seed by seed, so that pairs with equal distances have equal means, to the last bit.
    """
    total: Array = np.zeros(distances.shape[1])
    for row, count in zip(distances, seeds, strict=True):
        total += count * row
    return total / int(seeds.sum())


@dataclass(frozen=True)
class Sorted:
    """One column of values, sorted once, to compute its ranks in any resample.

    order:  (n,) the pairs by rising value
    starts: (g,) the places in ``order`` where groups of ties begin
    group:  (n,) the group of ties of each pair
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    group: NDArray[np.intp]

    @classmethod
    def of(cls, values: Array) -> Sorted:
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        group = np.empty(len(values), dtype=np.intp)
        group[order] = np.cumsum(begins) - 1
        return cls(order, np.flatnonzero(begins), group)

    def ranks(self, counts: Counts) -> Array:
        """The centred ranks in resamples: (m, n) counts → (m, n); ties share the mean rank."""
        drawn = np.add.reduceat(counts[:, self.order], self.starts, axis=1)
        middle: Array = np.cumsum(drawn, axis=1) - (drawn - 1) / 2
        size = counts.sum(axis=1, keepdims=True)
        return np.asarray(middle[:, self.group] - (size + 1) / 2)


def spearman(counts: Counts, x: Array, y: Array) -> Array:
    """Spearman's coefficient in each resample, (m,); NaN if a side is constant.

    counts: (m, n), how often each pair was drawn
    x, y:   (m, n), the centred ranks
    """
    product = (counts * x * y).sum(axis=1)
    scale = np.sqrt((counts * x * x).sum(axis=1) * (counts * y * y).sum(axis=1))
    with np.errstate(invalid="ignore"):
        return np.asarray(product / scale)


@dataclass(frozen=True)
class LeaveOneOut:
    """A statistic with one of k ≥ 2 seeds left out, for each seed.

    whole:     (k,), over all pairs
    resampled: (k, SEED_RESAMPLES), in the first resamples of the pairs
    """

    whole: Array
    resampled: Array

    def between(self) -> float:
        """The variance from the choice of seeds, without the noise of each pair; at least 0.

        It is the jackknife's variance less 1 − 1/k of its part from the noise of each pair, which
        the resampled pairs show. If all of that part were subtracted, a few seeds that agree by
        chance would hide the variance between seeds, and intervals would cover too little.
        """
        k = len(self.whole)
        apart = self.resampled - self.resampled.mean(axis=0)
        own = float(apart.var(axis=1, ddof=1).sum())
        jackknife = float(((self.whole - self.whole.mean()) ** 2).sum())
        return (k - 1) / k * max(0.0, jackknife - (1 - 1 / k) * own)


@dataclass(frozen=True)
class Replicates:
    """A statistic of n pairs, with its values for other pairs and other seeds.

    value:   over all pairs and all seeds
    pairs:   (resamples,), over resampled pairs and all seeds; NaN if it does not exist
    without: {k: leave-one-seed-out values}, k ≥ 2; rows with the same k share their seeds
    """

    value: float
    pairs: Array
    without: Mapping[int, LeaveOneOut]

    def stretch(self) -> float:
        """The factor by which the seeds widen the interval over pairs; 1 if they add nothing.

        It is √(1 + (t/z)² V_seeds/V_pairs): the variance between k seeds has k − 1 degrees of
        freedom, so it takes Student's t in place of the normal quantile z.
        """
        of_pairs = float(np.nanvar(self.pairs, ddof=1))
        seeds = {k: part.between() for k, part in self.without.items()}
        if of_pairs == 0 or sum(seeds.values()) == 0:
            return 1.0
        from scipy.stats import norm, t

        tail = (1 + LEVEL) / 2
        added = sum((t.ppf(tail, k - 1) / norm.ppf(tail)) ** 2 * each for k, each in seeds.items())
        return float(np.sqrt(1 + added / of_pairs))

    def spread(self) -> Array:
        """The resamples that exist, moved away from the value by the factor ``stretch``."""
        pairs = self.pairs[np.isfinite(self.pairs)]
        return np.asarray(self.value + self.stretch() * (pairs - self.value))

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of a coefficient, widened on Fisher's scale to stay within −1 … 1."""
        pairs, factor = self.pairs[np.isfinite(self.pairs)], self.stretch()
        bounds = np.quantile(pairs, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        if factor > 1:
            value, bounds = _fisher(self.value), _fisher(bounds)
            bounds = np.tanh(value + factor * (bounds - value))
        return float(bounds[0]), float(bounds[1])


def _fisher(coefficients: Array | float) -> Array:
    return np.asarray(np.arctanh(np.clip(coefficients, -_MAX_COEFFICIENT, _MAX_COEFFICIENT)))


def combined(parts: Sequence[Replicates], weights: Sequence[float]) -> Replicates:
    """The weighted sum of statistics: a difference, or a mean over sets.

    It is taken resample by resample and seed by seed, which keeps parts that were resampled
    together paired.
    """

    def added(arrays: Iterable[Array | float]) -> Array:
        return np.asarray(sum(w * np.asarray(a) for w, a in zip(weights, arrays, strict=True)))

    def without(k: int) -> LeaveOneOut:
        nothing = LeaveOneOut(np.zeros(k), np.zeros((k, 1)))  # for a part with another k
        each = [part.without.get(k, nothing) for part in parts]
        return LeaveOneOut(added(one.whole for one in each), added(one.resampled for one in each))

    sizes = sorted({k for part in parts for k in part.without})
    return Replicates(
        float(added(part.value for part in parts)),
        added(part.pairs for part in parts),
        {k: without(k) for k in sizes},
    )


Columns = tuple[Sorted, Sorted]  # two columns of the same pairs, to be correlated


def resampled(couples: Sequence[Columns], resamples: int = RESAMPLES) -> Array:
    """Spearman's coefficient of each couple of columns, all in the same resamples.

    → (couples, resamples)
    """
    found = np.empty((len(couples), resamples))
    done = 0
    for counts in draws(len(couples[0][0].order), resamples):
        columns = {id(column): column for couple in couples for column in couple}
        ranks = {name: column.ranks(counts) for name, column in columns.items()}
        for n, (x, y) in enumerate(couples):
            found[n, done : done + len(counts)] = spearman(counts, ranks[id(x)], ranks[id(y)])
        done += len(counts)
    return found


def replicates(couples: Sequence[Columns], resamples: int = RESAMPLES) -> Replicates:
    """The replicates of Spearman's coefficient.

    couples: the columns over all seeds, then, for k ≥ 2 seeds, the columns without each seed
    """
    n, k = len(couples[0][0].order), len(couples) - 1
    once: Counts = np.ones((1, n), dtype=np.int64)
    value, *without = (float(spearman(once, x.ranks(once), y.ranks(once))[0]) for x, y in couples)
    groups = {}
    if k:  # a constant column has no coefficient; it counts as 0
        few = resampled(couples[1:], min(SEED_RESAMPLES, resamples))
        groups[k] = LeaveOneOut(np.nan_to_num(np.array(without)), np.nan_to_num(few))
    return Replicates(value, resampled(couples[:1], resamples)[0], groups)


def means(samples: Array) -> list[Array]:
    """The mean of (k, n) distances over samples; for k ≥ 2 also the means without each sample."""
    k = len(samples)
    every: Counts = np.ones(k, dtype=np.int64)
    kept = [every, *(every - np.eye(k, dtype=np.int64) if k > 1 else ())]
    return [averaged(samples, one) for one in kept]


def bootstrap(scores: Array, rows: Sequence[Array], resamples: int = RESAMPLES) -> list[Replicates]:
    """Spearman's coefficient of −distance with the scores, for several rows.

    scores: (n,), not constant
    rows:   (k, n) distances each; their means over k are not constant

    All rows use the same resampled pairs, so that ``combined`` may take their replicates.
    """
    gold = Sorted.of(scores)
    return [
        replicates([(gold, Sorted.of(-mean)) for mean in means(row)], resamples) for row in rows
    ]

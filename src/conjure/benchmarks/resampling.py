"""The bootstrap over pairs and seeds, and Spearman's coefficient of many resamples at once.

All pairs of a run share the seeds' noise, so a resample draws pairs with replacement and seeds
with replacement, and averages each pair's distances over the drawn seeds. A resample is kept as
counts (how often each pair and each seed was drawn): ranks then follow from one sort a column and
seed draw, by adding up counts, and 2,000 resamples of 10,000 pairs take seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

RESAMPLES = 2000
CHUNK = 50  # resamples held in memory at once
BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Draws:
    """Some resamples that drew the same seeds.

    pairs: (m, n), how often each of the n pairs was drawn in each of m resamples
    seeds: for each number k of seeds that was asked for, (k,) how often each was drawn
    """

    pairs: Counts
    seeds: dict[int, Counts]


def draws(pairs: int, seeds: Sequence[int], resamples: int = RESAMPLES) -> Iterator[Draws]:
    """Resamples of so many pairs, and of each number of seeds in ``seeds``; seeded.

    Rows with the same number of seeds are taken to share them: they get the same draw.
    """
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    sizes = sorted(set(seeds))
    drawn = np.hstack([_counts(generator, k, resamples) for k in sizes])
    # Resamples are exchangeable, so they may come sorted by their seeds: each draw is met once.
    ends = np.cumsum(sizes)[:-1]
    for together, run in groupby(sorted(map(tuple, drawn.tolist()))):
        parts = np.split(np.array(together, dtype=np.int64), ends)
        chosen = dict(zip(sizes, parts, strict=True))
        left = len(list(run))
        while left > 0:
            size = min(left, CHUNK)
            yield Draws(_counts(generator, pairs, size), chosen)
            left -= size


def _counts(generator: np.random.Generator, n: int, rows: int) -> Counts:
    """How often each of n things is drawn in n draws with replacement: (rows, n)."""
    chosen = generator.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n)


def averaged(distances: Array, seeds: Counts) -> Array:
    """The mean over the drawn seeds: (k, n) and (k,) → (n,).

    Added up seed by seed, so that pairs with equal distances keep equal means, to the last bit.
    """
    total: Array = np.zeros(distances.shape[1])
    for row, count in zip(distances, seeds, strict=True):
        total += count * row
    return total / int(seeds.sum())


@dataclass(frozen=True)
class Sorted:
    """One column sorted once, from which the ranks in any resample follow.

    order: (n,) the pairs by rising value; starts: (g,) where in it each group of ties begins;
    group: (n,) the group of each pair
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
        """Each pair's rank in resamples of (m, n) counts, ties sharing theirs, less the mean."""
        drawn = np.add.reduceat(counts[:, self.order], self.starts, axis=1)
        middle: Array = np.cumsum(drawn, axis=1) - (drawn - 1) / 2
        size = counts.sum(axis=1, keepdims=True)
        return np.asarray(middle[:, self.group] - (size + 1) / 2)


def spearman(counts: Counts, x: Array, y: Array) -> Array:
    """Spearman's coefficient in each resample; NaN where a side is constant.

    counts: (m, n) how often each pair was drawn; x, y: (m, n) their centred ranks. → (m,)
    """
    product = (counts * x * y).sum(axis=1)
    scale = np.sqrt((counts * x * x).sum(axis=1) * (counts * y * y).sum(axis=1))
    with np.errstate(invalid="ignore"):
        return np.asarray(product / scale)


def bootstrap(scores: Array, rows: Sequence[Array], resamples: int = RESAMPLES) -> Array:
    """Spearman's coefficient of −distance with the scores in every resample, for several rows.

    scores: (n,), not constant; rows: (k, n) distances each, whose means over k are not constant;
    they are resampled with the same pairs (and seeds, where k is the same).
    → (rows, resamples), NaN where a resample has no coefficient: one pair over and over, say.

    A seed drawn twice averages away less noise than two seeds do, which lowers every resample's
    coefficient and, in large noisy sets, would leave the estimate itself outside the interval.
    So coefficients are raised by what drawing seeds costs on average over all pairs; with k = 1
    that is nothing.
    """
    once = np.ones((1, len(scores)), dtype=np.int64)
    gold = Sorted.of(scores)
    found = np.empty((len(rows), resamples))
    of_all = np.empty((len(rows), resamples))  # the same seeds, but every pair once
    columns: list[Sorted] = []
    seeds: dict[int, Counts] | None = None
    done = 0
    for drawn in draws(len(scores), [len(row) for row in rows], resamples):
        if drawn.seeds is not seeds:
            seeds = drawn.seeds
            columns = [Sorted.of(-averaged(row, seeds[len(row)])) for row in rows]
            whole = [spearman(once, gold.ranks(once), column.ranks(once)) for column in columns]
        end = done + len(drawn.pairs)
        ranks = gold.ranks(drawn.pairs)
        for n, column in enumerate(columns):
            found[n, done:end] = spearman(drawn.pairs, ranks, column.ranks(drawn.pairs))
            of_all[n, done:end] = whole[n]
        done = end
    means = [Sorted.of(-averaged(row, np.ones(len(row), dtype=np.int64))) for row in rows]
    plain = np.array([spearman(once, gold.ranks(once), column.ranks(once)) for column in means])
    cost = plain - np.nanmean(of_all, axis=1, keepdims=True)
    return np.asarray(np.clip(found + cost, -1, 1))

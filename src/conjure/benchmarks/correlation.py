"""How well distances agree with people: rank and linear correlation, with an interval.

A distance falls as similarity rises, so what is correlated with the human scores is −distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import InputError

Array = NDArray[np.float64]

RESAMPLES = 2000
CHUNK = 100  # resamples held in memory at once
BOOTSTRAP_SEED = 0
LEAST_PAIRS = 3  # two points always lie on a line


@dataclass(frozen=True)
class Correlation:
    """Agreement of −distance with human scores over n pairs; coefficients are in −1 … 1.

    p_value:  two-sided, of the Spearman coefficient (scipy's t approximation)
    interval: 95 % percentile bootstrap interval of the Spearman coefficient, over pairs
    """

    spearman: float
    pearson: float
    n: int
    p_value: float
    interval: tuple[float, float]


def correlate(scores: Sequence[float], distances: Sequence[float]) -> Correlation:
    """Correlate human similarity scores with −distance.

    scores, distances: (n,) each, row-aligned. Seeded: the same input gives the same interval.
    Raises InputError for fewer than three pairs and where either side is constant.
    """
    from scipy.stats import pearsonr, spearmanr

    check_scores(scores)
    gold = np.asarray(scores, dtype=np.float64)
    similarity = -np.asarray(distances, dtype=np.float64)
    if np.ptp(similarity) == 0:
        raise InputError("all distances are the same: there is nothing to correlate")
    rank = spearmanr(gold, similarity)
    draw = np.random.default_rng(BOOTSTRAP_SEED)
    chunks = (draw.integers(len(gold), size=(CHUNK, len(gold))) for _ in range(RESAMPLES // CHUNK))
    resampled = np.concatenate([_spearman(gold[i], similarity[i]) for i in chunks])
    # A resample may hold one pair over and over: it has no correlation, and is left out.
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return Correlation(
        spearman=float(rank.statistic),
        pearson=float(pearsonr(gold, similarity).statistic),
        n=len(gold),
        p_value=float(rank.pvalue),
        interval=(float(low), float(high)),
    )


def check_scores(scores: Sequence[float]) -> None:
    """Raise InputError where no correlation with these human scores can exist."""
    if len(scores) < LEAST_PAIRS:
        raise InputError(
            f"a correlation needs at least {LEAST_PAIRS} pairs; there are {len(scores)}"
        )
    if len(set(scores)) == 1:
        raise InputError(f"all human scores are {scores[0]:g}: there is nothing to correlate with")


def _spearman(x: Array, y: Array) -> Array:
    """Spearman's coefficient of each row: (m, n) twice → (m,); NaN where a side is constant."""
    from scipy.stats import rankdata

    x, y = rankdata(x, axis=-1), rankdata(y, axis=-1)
    x = x - x.mean(axis=-1, keepdims=True)
    y = y - y.mean(axis=-1, keepdims=True)
    scale = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    with np.errstate(invalid="ignore"):
        return np.asarray((x * y).sum(axis=-1) / scale)

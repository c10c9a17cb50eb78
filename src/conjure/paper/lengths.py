"""Agreement with people by the length of the texts, from the pass of Table 1."""

from __future__ import annotations

import numpy as np

from ..core.types import Pair
from ..datasets.read import Dataset
from ..stats.correlation import Correlation, correlate
from ..stats.resampling import Array

# Bin → largest number of words. A pair has the mean of its two texts, rounded up.
BINS = {"1–5": 5, "6–10": 10, "11–15": 15, "16–20": 20, "21–30": 30, "31+": float("inf")}
MIN_PAIRS = 20  # with fewer, the interval covers most of the scale


def bin_of(pair: Pair) -> str:
    """The bin of a pair; words are separated by white space.

    >>> bin_of(("a dog", "a small brown dog in the snow")), bin_of(("king", "queen"))
    ('1–5', '1–5')
    """
    words = np.ceil(sum(len(text.split()) for text in pair) / 2)
    return next(name for name, largest in BINS.items() if words <= largest)


def by_length(data: Dataset, distances: Array) -> dict[str, Correlation]:
    """The correlation in each bin that has pairs: {bin: correlation}.

    distances: (k, n) as in ``correlate``. A bin of fewer than MIN_PAIRS pairs has its n and a
    reason, but no coefficient.
    """
    bins = np.array([bin_of(pair) for pair in data.table.pairs()])
    scores = np.array(data.scores)
    found = {}
    for name in BINS:
        member = bins == name
        if n := int(member.sum()):
            found[name] = (
                correlate(scores[member], distances[:, member])
                if n >= MIN_PAIRS
                else Correlation(n, reason=f"fewer than {MIN_PAIRS} pairs")
            )
    return found

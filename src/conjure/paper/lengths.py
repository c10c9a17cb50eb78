"""Agreement with people by the length of the prompts, from the pass of the table itself."""

from __future__ import annotations

import numpy as np

from ..core.types import Pair
from ..datasets.read import Dataset
from ..stats.correlation import Correlation, correlate
from ..stats.resampling import Array

# The most words of each bin. A pair counts by the mean of its two texts, halves upwards.
BINS = {"1–5": 5, "6–10": 10, "11–15": 15, "16–20": 20, "21–30": 30, "31+": float("inf")}
LEAST = 20  # pairs: the interval of fewer takes up most of the scale


def bin_of(pair: Pair) -> str:
    """The bin of a pair's length; words are what white space separates.

    >>> bin_of(("a dog", "a small brown dog in the snow")), bin_of(("king", "queen"))
    ('1–5', '1–5')
    """
    words = np.ceil(sum(len(text.split()) for text in pair) / 2)
    return next(name for name, most in BINS.items() if words <= most)


def by_length(data: Dataset, distances: Array) -> dict[str, Correlation]:
    """The correlation in each bin that has pairs: {bin: …}; distances: (k, n) as in ``correlate``.

    A bin of fewer than LEAST pairs has its n and a reason, and no coefficient.
    """
    bins = np.array([bin_of(pair) for pair in data.table.pairs()])
    scores = np.array(data.scores)
    found = {}
    for name in BINS:
        member = bins == name
        if n := int(member.sum()):
            found[name] = (
                correlate(scores[member], distances[:, member])
                if n >= LEAST
                else Correlation(n, reason=f"fewer than {LEAST} pairs")
            )
    return found

"""Figure 2: distances between the paper's words, and a test whether their classes show.

Each group has eight words of two classes. The classes show if distances within them are smaller
than distances across. A permutation test over all divisions of the words into two classes of the
same sizes tells how often chance does as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ..stats.resampling import Array

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..runs.passes import Passes


@dataclass(frozen=True)
class WordGroup:
    """Words of two classes, in the order of the figure: {class: its words}."""

    name: str
    classes: dict[str, tuple[str, ...]]

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(word for words in self.classes.values() for word in words)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class of each word."""
        return tuple(name for name, words in self.classes.items() for _ in words)


GROUPS = (
    WordGroup(
        "animals",
        {
            "dogs": ("puppy", "poodle", "dalmatian", "pug"),
            "sea animals": ("whale", "shark", "dolphin", "sealion"),
        },
    ),
    WordGroup(
        "verbs",
        {
            "rising": ("elevate", "ascend", "soar", "glide"),
            "sorrow": ("disappoint", "grieve", "worry", "regret"),
        },
    ),
)


@dataclass(frozen=True)
class Separation:
    """How far the classes in a matrix of distances are apart, with a permutation test.

    within, between: mean distance of pairs within a class, and of pairs across classes
    p_value:         share of all divisions into classes of these sizes, the true one included,
                     whose between − within is at least as large; one-sided
    min_p:           the smallest p-value that this number of divisions can give
    divisions:       their number: 35 for eight words in classes of four
    """

    within: float
    between: float
    p_value: float
    min_p: float
    divisions: int


def word_matrices(
    passes: Passes, process: GenerativeProcess, words: Sequence[str], samples: int
) -> Array:
    """The ``jeffreys`` distance between any two words, a matrix a sample: (samples, n, n)."""
    from ..core.estimands import jeffreys

    pairs = list(combinations(words, 2))
    found = np.zeros((samples, len(words), len(words)))
    place = {word: n for n, word in enumerate(words)}
    for (one, other), terms in zip(
        pairs, passes.measure(process, pairs, samples=samples), strict=True
    ):
        i, j = place[one], place[other]
        found[:, i, j] = found[:, j, i] = jeffreys(terms).numpy()
    return found


def separation(matrix: Array, labels: Sequence[str]) -> Separation:
    """Test whether the classes of a symmetric (n, n) matrix show; labels: the class of each word.

    The test is exact: it tries every division of the words into two classes of the given sizes. It
    assumes neither normal nor independent distances.
    """
    first = frozenset(n for n, label in enumerate(labels) if label == labels[0])
    words = range(len(labels))
    divisions = {
        frozenset({members, frozenset(words) - members})
        for members in map(frozenset, combinations(words, len(first)))
    }
    true = frozenset({first, frozenset(words) - first})
    within, between = _means(matrix, true)
    observed = between - within
    slack = 1e-12 * abs(matrix).max()  # a sum in another order differs in the last digits
    as_far = 0
    for division in divisions:
        inside, across = _means(matrix, division)
        as_far += bool(across - inside >= observed - slack)
    return Separation(within, between, as_far / len(divisions), 1 / len(divisions), len(divisions))


def _means(matrix: Array, classes: frozenset[frozenset[int]]) -> tuple[float, float]:
    """The mean entry within the classes, and across them, off the diagonal."""
    together = np.zeros(matrix.shape, dtype=bool)
    for members in classes:
        together[np.ix_(list(members), list(members))] = True
    above = np.triu(np.ones(matrix.shape, dtype=bool), 1)
    return float(matrix[above & together].mean()), float(matrix[above & ~together].mean())

"""Figure 2: how far apart the paper's words are, and whether their classes show.

Each group is eight words of two classes. That a class shows means that distances within classes
are smaller than those between them; whether chance would do as much is told by a permutation
test over all ways of dividing the words into classes of the same sizes.
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
    """Words of two classes, in the order in which the figure shows them: {class: its words}."""

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
    """How far classes stand apart in a matrix of distances, tested by permutation.

    within, between: mean distance of pairs of one class, and of pairs across
    p_value:         share of all divisions into classes of these sizes, the true one among them,
                     whose between − within is at least as large; one-sided
    least_p:         the smallest p-value that so many divisions can give
    divisions:       how many there are: 35 of eight words into four and four
    """

    within: float
    between: float
    p_value: float
    least_p: float
    divisions: int


def word_matrices(
    passes: Passes, process: GenerativeProcess, words: Sequence[str], samples: int
) -> Array:
    """Jeffreys' distance between any two words, one matrix a sample: (samples, n, n), symmetric."""
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

    The test is exact: it goes through every division of the words into two classes of the sizes
    that there are, so that no number of words or of their pairs is assumed to be normal or
    independent.
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
    slack = 1e-12 * abs(matrix).max()  # sums in another order differ in the last digits
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

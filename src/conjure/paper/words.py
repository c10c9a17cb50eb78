"""Figure 2: distances between the paper's words, a matrix a sample.

Each group has eight words of two classes. ``Matrix.between_within`` tests whether the classes show.
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

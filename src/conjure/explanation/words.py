"""Which words: the pairs in which one word is left out or replaced, and what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.process import GenerativeProcess
from ..core.reading import unreadable
from ..core.registry import per_sample
from ..core.text import brief, number_of
from ..core.types import Pair
from ..similarity import Distance
from .record import Array, Words

NEUTRAL = "something"  # a word of little content that stands where a noun does


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text: what blanks separate. Punctuation stays with its word.

    >>> words_of("a bag of  chips.")
    ('a', 'bag', 'of', 'chips.')
    """
    return tuple(text.split())


def without(words: Sequence[str], place: int) -> str:
    """The text without one of its words; empty for the only one."""
    return " ".join([*words[:place], *words[place + 1 :]])


def replaced(words: Sequence[str], place: int, neutral: str) -> str:
    """The text with one of its words replaced."""
    return " ".join([*words[:place], neutral, *words[place + 1 :]])


@dataclass(frozen=True)
class WordPlan:
    """Which pairs tell what words do.

    texts:    (text1, text2); words: of each
    variants: for each text a tuple of (without the word, with it replaced), None for what cannot
              be read
    alone:    the words that can be read alone
    notes:    what is left out and why
    """

    texts: Pair
    words: tuple[tuple[str, ...], tuple[str, ...]]
    neutral: str
    variants: tuple[tuple[tuple[str | None, str | None], ...], ...]
    alone: frozenset[str]
    notes: tuple[str, ...]

    def pairs(self) -> list[Pair]:
        """All pairs, each once, the one of the two texts first."""
        found: dict[Pair, None] = {self.texts: None}
        for side in (0, 1):
            for variant in self.variants[side]:
                found |= {self._pair(side, text): None for text in variant if text is not None}
        for first in self.words[0]:
            for second in self.words[1]:
                if {first, second} <= self.alone:
                    found[first, second] = None
        return list(found)

    def words_found(self, distances: Mapping[Pair, Distance], rows: int) -> Words:
        """What the distances of ``pairs`` show. rows: network rows of the plan."""
        samples = distances[self.texts].samples
        whole = _per_sample(distances[self.texts])
        nothing = np.full(samples, np.nan)

        def changes(side: int, kind: int) -> Array:
            found = [
                nothing
                if variant[kind] is None
                else _per_sample(distances[self._pair(side, variant[kind])]) - whole
                for variant in self.variants[side]
            ]
            return np.stack(found)

        between = np.full((len(self.words[0]), len(self.words[1]), samples), np.nan)
        for row, first in enumerate(self.words[0]):
            for column, second in enumerate(self.words[1]):
                if {first, second} <= self.alone:
                    between[row, column] = _per_sample(distances[first, second])
        return Words(
            self.words,
            self.neutral,
            (changes(0, 0), changes(1, 0)),
            (changes(0, 1), changes(1, 1)),
            between,
            rows,
            self.notes,
        )

    def _pair(self, side: int, text: str | None) -> Pair:
        """The pair in which ``text`` stands for the text of that side."""
        assert text is not None
        return (text, self.texts[1]) if side == 0 else (self.texts[0], text)


def plan_words(texts: Pair, neutral: str, process: GenerativeProcess) -> WordPlan:
    """The pairs that tell what the words of two texts do in a process."""
    words = words_of(texts[0]), words_of(texts[1])
    wanted = [
        text
        for side in words
        for place in range(len(side))
        for text in (without(side, place), replaced(side, place, neutral))
    ]
    alone = [word for side in words for word in side]
    unread = set(unreadable(process, [text for text in {*wanted, *alone} if text]))
    variants = tuple(
        tuple(
            (
                _readable(without(side, place), unread),
                _readable(replaced(side, place, neutral), unread),
            )
            for place in range(len(side))
        )
        for side in words
    )
    return WordPlan(
        texts,
        words,
        neutral,
        variants,
        frozenset({*alone} - unread),
        tuple(_notes(words, unread)),
    )


def _readable(text: str, unread: set[str]) -> str | None:
    return text if text and text not in unread else None


def _notes(words: Sequence[Sequence[str]], unread: set[str]) -> list[str]:
    notes = [
        f"{brief(side[0])} is the only word of its text: without it nothing is left."
        for side in words
        if len(side) == 1
    ]
    if unread:
        notes.append(
            f"The process knows nothing of {number_of(len(unread), 'text')} made by leaving out or"
            f" replacing words, such as {brief(min(unread))}: their figures are missing."
        )
    return notes


def _per_sample(distance: Distance) -> Array:
    found: Array = per_sample(distance.terms, distance.estimand).double().numpy()
    return found

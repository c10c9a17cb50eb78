"""What single words do, as bars, tables and a matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.text import printable, shown
from ...explanation.record import Explanation, Words
from .parts import BarData, Bars, Table, bars, mean_reach, number, signed


@dataclass(frozen=True)
class WordsView:
    """What the words of one text do."""

    text: str
    chart: Bars
    table: Table


@dataclass(frozen=True)
class WordMatrix:
    """Word against word: each cell has its number, and how near the words are: 0 far, 1 near."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]
    says: str


def words_views(explanation: Explanation) -> list[WordsView]:
    """For each text: how the distance changes if a word is left out or replaced."""
    words = explanation.words
    if words is None:
        return []
    return [_view(words, n, printable(text)) for n, text in enumerate(explanation.texts)]


def _view(words: Words, n: int, text: str) -> WordsView:
    which, lines, rows = ("first", "second")[n], [], []
    for m, word in enumerate(words.words[n]):
        mean, reach = mean_reach(words.left_out[n][m])
        other, other_reach = mean_reach(words.replaced[n][m])
        lines.append(BarData(word, mean, reach, which, foreign=True))
        cells = (signed(mean, True), number(reach), signed(other, True), number(other_reach))
        rows.append((printable(word), *cells))
    says = "; ".join(
        f"without “{shown(line.label, 40)}”: {signed(line.value, True)}" for line in lines
    )
    replaced = f"replaced by “{shown(words.neutral, 40)}”"
    table = Table(
        f"change of the distance by words of the {which} text",
        ("word", "left out", "± (95 %)", replaced, "± (95 %)"),
        tuple(rows),
        frozenset({0}),
    )
    unit = "change of the distance without the word"
    return WordsView(text, bars(lines, f"Change of the distance {says}.", unit), table)


def word_matrix(words: Words | None) -> WordMatrix | None:
    """The distance of each word of the first text from each of the second, alone."""
    if words is None or not np.isfinite(words.matrix).any():
        return None
    matrix = words.matrix
    low, high = float(np.nanmin(matrix)), float(np.nanmax(matrix))
    span = (high - low) or 1.0
    rows = tuple(
        (
            printable(word),
            tuple(
                (number(float(value)), (high - float(value)) / span if np.isfinite(value) else 0.0)
                for value in line
            ),
        )
        for word, line in zip(words.words[0], matrix, strict=True)
    )
    return WordMatrix(tuple(map(printable, words.words[1])), rows, _nearest(words))


def _nearest(words: Words) -> str:
    """The nearest two words that differ, as a sentence; empty where there are none."""
    first, second = words.words
    found = [
        (float(words.matrix[i, j]), one, other)
        for i, one in enumerate(first)
        for j, other in enumerate(second)
        if one != other and np.isfinite(words.matrix[i, j])
    ]
    if not found:
        return ""
    value, one, other = min(found)
    return (
        f"The nearest words that differ are “{shown(one, 40)}” and “{shown(other, 40)}”, "
        f"at {number(value)}."
    )

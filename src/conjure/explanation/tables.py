"""Explanations as rows, for tables of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import display
from .record import Explanation

DIRECTIONS = ("forward", "backward")


def step_rows(found: Explanation) -> Iterator[dict[str, Any]]:
    """A row a sample, direction and step: its value and its share of the distance."""
    profile = found.profile
    whole = float(profile.sum()) or 1.0
    for (sample, direction, step), value in np.ndenumerate(profile):
        yield {
            "sample": sample + 1,
            "direction": DIRECTIONS[direction],
            "trajectory": found.texts[direction],
            "step": step + 1,
            "value": float(value),
            "share": float(value) / whole,
        }


def word_rows(found: Explanation) -> Iterator[dict[str, Any]]:
    """A row a word: how the distance changes without it, and with it replaced.

    Changes are means over samples with standard errors; None where there is none.
    """
    if (words := found.words) is None:
        return
    for side in (0, 1):
        for place, word in enumerate(words.words[side]):
            row: dict[str, Any] = {"text": found.texts[side], "place": place + 1, "word": word}
            for name, changes in (
                ("left_out", words.left_out[side][place]),
                ("replaced", words.replaced[side][place]),
            ):
                row[name], row[f"{name}_error"] = mean_and_error(changes)
            yield row


def pair_rows(found: Explanation) -> Iterator[dict[str, Any]]:
    """A row a pair of words, one of each text: their distance when they stand alone."""
    if (words := found.words) is None:
        return
    for row, first in enumerate(words.words[0]):
        for column, second in enumerate(words.words[1]):
            value, error = mean_and_error(words.between[row, column])
            yield {"word1": first, "word2": second, "value": value, "standard_error": error}


def mean_and_error(values: Any) -> tuple[float | None, float | None]:
    """The mean over samples and its standard error; None where there is none."""
    if not np.isfinite(values).all():
        return None, None
    mean = float(values.mean())
    if len(values) < 2:
        return mean, None
    return mean, float(values.std(ddof=1) / np.sqrt(len(values)))


def frame(found: Explanation) -> Any:
    """The rows of steps as a DataFrame. Raises InputError without pandas."""
    return display.pandas().DataFrame(list(step_rows(found)))

"""Which words: what leaving out and replacing each word does, and words against words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import InputError
from ...explanation.record import Array, Explanation, Words
from ...explanation.tables import mean_and_error
from .explain_style import EDGE, LEAD, SIZES, A, B, draw_key, line, small_print
from .matrices import ink
from .sheet import COLUMN, GREY, Sheet
from .style import SCALE, house_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WORDS = 0.8  # inches: the column of words
_ROW = 0.2
_CELL = 0.17  # of the matrix, at least
_HEAD = 2 * line("key") + 0.1


def draw_words(found: Explanation) -> Figure:
    """The words of both texts. Raises InputError without them."""
    if (words := found.words) is None:
        raise InputError("this explanation has no words: make it with words=True")
    with house_style():
        said = (
            "above: distance with the word left out or replaced, less d. These are differences of "
            "distances and do not add up to d; below: distance of two words alone"
        )
        if found.distance.samples > 1:
            said += f"; means of {found.distance.samples} samples ± standard error"
        probe = Sheet(COLUMN, 1)
        notes = small_print(probe, said, found)
        bars = (len(words.words[0]) + len(words.words[1])) * _ROW + 0.1
        cell, tall, names = _cells(probe, words)
        matrix = names + tall * len(words.words[0])
        below = len(notes) * line("note") + EDGE
        sheet = Sheet(COLUMN, _HEAD + 0.2 + bars + 0.42 + matrix + 0.1 + below)
        draw_key(sheet, found)
        _bars(sheet, words, _HEAD + 0.2, bars)
        _matrix(sheet, words, _HEAD + 0.2 + bars + 0.42, (cell, tall, names))
        sheet.text(
            EDGE, sheet.height - below, "\n".join(notes), SIZES["note"], color=GREY,
            linespacing=LEAD, gid="note",
        )  # fmt: skip
        return sheet.figure


def _bars(sheet: Sheet, words: Words, top: float, tall: float) -> None:
    """A row a word: filled, left out; hollow, replaced."""
    axes = sheet.axes((_WORDS, top, COLUMN - _WORDS - 0.12, tall))
    place, ticks, labels, colours = 0.0, [], [], []
    for side, colour in ((0, A), (1, B)):
        for n, word in enumerate(words.words[side]):
            for kind, offset, look in (
                ("left_out", -0.16, {"marker": "o", "markerfacecolor": colour}),
                ("replaced", 0.16, {"marker": "D", "markerfacecolor": "white"}),
            ):
                mean, error = mean_and_error(getattr(words, kind)[side][n])
                if mean is None:
                    axes.text(0, place + offset, " none", size=SIZES["note"], va="center",
                              color=GREY)  # fmt: skip
                    continue
                axes.errorbar(
                    mean, place + offset, xerr=error, color=colour, markersize=3,
                    markeredgewidth=0.8, elinewidth=0.8, **look,  # type: ignore[arg-type]
                )  # fmt: skip
            ticks.append(place)
            labels.append(sheet.fitted(word, _WORDS - 0.12, SIZES["key"]))
            colours.append(colour)
            place += 1
        place += 0.5
    axes.set_ylim(place - 0.9, -0.6)
    axes.axvline(0, color="black", linewidth=0.7)
    axes.set_yticks(ticks, labels, fontsize=SIZES["key"])
    for tick, colour in zip(axes.get_yticklabels(), colours, strict=True):
        tick.set_color(colour)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=SIZES["label"], length=2)
    axes.set_xlabel("change of d", fontsize=SIZES["key"])
    axes.grid(axis="y", visible=False)
    neutral = sheet.fitted(words.neutral, 0.8, SIZES["label"])
    handles: Any = [
        axes.plot([], [], linestyle="", marker="o", color=GREY, markersize=3)[0],
        axes.plot([], [], linestyle="", marker="D", color=GREY, markersize=3,
                  markerfacecolor="white")[0],
    ]  # fmt: skip
    axes.legend(
        handles, ["left out", f"replaced by {neutral}"], loc="lower right", ncols=2,
        bbox_to_anchor=(1, 1), borderaxespad=0, borderpad=0.1, fontsize=SIZES["label"],
        handletextpad=0.2, columnspacing=1,
    )  # fmt: skip


def _cells(sheet: Sheet, words: Words) -> tuple[float, float, float]:
    """Width and height of a cell of the matrix, and the height of the words above it."""
    count = len(words.words[1])
    cell = min(0.6, (COLUMN - _WORDS - 0.12) / max(1, count))
    longest = max(sheet.measure(_short(sheet, word), SIZES["key"]) for word in words.words[1])
    upright = longest > cell - 0.04
    return cell, max(_CELL, min(0.22, cell)), (longest if upright else line("key")) + 0.06


def _short(sheet: Sheet, word: str) -> str:
    return sheet.fitted(word, _WORDS - 0.12, SIZES["key"])


def _matrix(sheet: Sheet, words: Words, top: float, size: tuple[float, float, float]) -> None:
    """The distance of every word of A to every word of B."""
    from matplotlib.colors import Normalize

    cell, tall, names = size
    values: Array = words.matrix
    known = values[np.isfinite(values)]
    norm = Normalize(0, float(known.max()) if known.size and known.max() > 0 else 1.0)
    fits = sheet.measure("8,888", SIZES["label"]) < cell - 0.02
    upright = names > line("key") + 0.061
    for column, word in enumerate(words.words[1]):
        middle = _WORDS + (column + 0.5) * cell
        sheet.text(
            middle, top + names - 0.04, _short(sheet, word), SIZES["key"], color=B, ha="center",
            va="bottom", rotation=90 if upright else 0,
        )  # fmt: skip
    for row, word in enumerate(words.words[0]):
        under = top + names + row * tall
        sheet.text(
            _WORDS - 0.06, under + tall / 2, _short(sheet, word), SIZES["key"], color=A,
            ha="right", va="center",
        )  # fmt: skip
        for column in range(len(words.words[1])):
            value = values[row, column]
            place = (_WORDS + column * cell + 0.008, under + 0.008, cell - 0.016, tall - 0.016)
            if not np.isfinite(value):
                sheet.box(place, facecolor="white", edgecolor=GREY, linewidth=0.5, hatch="////")
                continue
            image = sheet.picture(place, np.array([[value]]), cmap=SCALE, norm=norm)
            if fits:
                sheet.text(
                    place[0] + place[2] / 2, place[1] + place[3] / 2,
                    f"{value:.3g}" if value < 1000 else f"{value:,.0f}", SIZES["label"],
                    ha="center", va="center", color=ink(image, value),
                )  # fmt: skip

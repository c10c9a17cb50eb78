"""What a page says in sentences: what to take away, and what the figures do not say."""

from __future__ import annotations

import numpy as np

from ...core.text import printable, shown
from ...explanation.record import Explanation, Words
from .images import Array
from .parts import fewest, mean_reach, number, percent, steps_text

_UNEVEN = 0.55  # what one half of a picture must hold to be named


def summary(explanation: Explanation) -> list[tuple[str, str]]:
    """What a person should take away: a question, and the answer with its numbers."""
    distance, shares = explanation.distance, explanation.shares
    said = []
    if near := nearness(explanation):
        said.append(("How near?", near))
    if distance.interval is None:
        said.append(("How sure?", "One noise was taken, so there is no error bar."))
    else:
        low, high = map(number, distance.interval)
        said.append(
            ("How sure?", f"95 % interval {low} to {high}, over {distance.samples} noises.")
        )
    if not shares.sum() > 0:
        return [*said, ("Where?", "Nowhere: the two processes do not differ.")]
    both, cells = shares.sum(axis=0), explanation.where.sum(axis=0)
    steps, half = fewest(both), fewest(cells)
    text = steps_text(steps, len(both))
    verb = "hold" if len(steps) > 1 else "holds"
    held = percent(float(both[steps].sum()))
    said.append(("When?", f"{text[0].upper()}{text[1:]} {verb} {held} of it."))
    held = percent(float(cells.ravel()[half].sum()))
    count = f"{len(half):,} of {cells.size:,} positions"
    said.append(("Where?", f"{_side(cells)}{count} hold {held}."))
    forward, backward = map(percent, explanation.directions)
    said.append(
        (
            "Which way?",
            f"{forward} on the first text's way to its picture, {backward} on the second's.",
        )
    )
    if explanation.words is not None and (word := _strongest(explanation.words)):
        said.append(("Which word?", word))
    return said


def nearness(explanation: Explanation) -> str | None:
    """The distance on the scale of the process's reference; None if there is no reference."""
    reference = getattr(explanation.distance, "reference", None)
    if reference is None:
        return None
    words: str = reference.words(explanation.distance.value)
    return f"{words[0].upper()}{words[1:]}."


def _side(cells: Array) -> str:
    """The half of the picture that holds most, as a sentence; empty for an odd or flat map."""
    rows, columns = cells.shape
    if rows % 2 or columns % 2:
        return ""
    sides = {
        "upper": cells[: rows // 2],
        "lower": cells[rows // 2 :],
        "left": cells[:, : columns // 2],
        "right": cells[:, columns // 2 :],
    }
    name, held = max(sides.items(), key=lambda side: float(side[1].sum()))
    share = float(held.sum())
    if share < _UNEVEN:
        return f"No half of the picture holds more than {percent(share)}. "
    return f"The {name} half of the picture holds {percent(share)}. "


def _strongest(words: Words) -> str | None:
    """The word whose absence changes the distance most, of those whose interval leaves 0 out."""
    found: list[tuple[float, float | None, str, str]] = []
    for n, which in enumerate(("first", "second")):
        for word, changes in zip(words.words[n], words.left_out[n], strict=True):
            mean, reach = mean_reach(changes)
            if np.isfinite(mean):
                found.append((mean, reach, word, which))
    clear = [one for one in found if one[1] is None or abs(one[0]) > one[1]]
    if not clear:
        return "No word's absence changes the distance beyond its 95 % interval." if found else None
    mean, reach, word, which = max(clear, key=lambda one: abs(one[0]))
    error = "" if reach is None else f" ± {number(reach)} (95 %)"
    return (
        f"Without “{shown(word, 40)}” in the {which} text, the distance "
        f"{'grows' if mean > 0 else 'falls'} by {number(abs(mean))}{error}."
    )


def caveats(explanation: Explanation) -> list[str]:
    """What the figures do not say, and what the explanation notes."""
    said = [
        "The number belongs to this process. Another model, sampler, guidance or number of steps "
        "gives another.",
        "It has no upper end, and it is no metric: the triangle inequality need not hold.",
        "Maps show where the two predictions differ. Each prediction looks at the whole picture, "
        "so a large share does not say that the cause lies there.",
    ]
    if explanation.pictures is not None:
        said.append(
            "The distance is measured before pictures are decoded. A difference that can be "
            "measured need not be one that can be seen."
        )
    if explanation.words is not None:
        said.append(
            "What a word does is a difference of two distances. These do not add up to the "
            "distance: a word acts through the words beside it."
        )
    if explanation.distance.signature.provenance.get("name") == "emoji":
        said.append(
            "The process “emoji” is small and has seen only drawings of emoji. Do not draw "
            "conclusions about the world, or about people, from it."
        )
    notes = [*explanation.notes, *(explanation.words.notes if explanation.words else ())]
    return said + [printable(note) for note in notes]

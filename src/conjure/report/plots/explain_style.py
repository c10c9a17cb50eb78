"""What the figures of an explanation share: type, the colours of two texts, key and small print."""

from __future__ import annotations

from ...explanation.record import Explanation
from .pictures import wrapped
from .sheet import Sheet
from .style import COLOURS

A, B = COLOURS[0], COLOURS[1]
EDGE = 0.04  # inches: what stays empty at the edges
SIZES = {"key": 7.0, "label": 6.0, "note": 5.0}  # points
LEAD = 1.25  # line height by size of type


def draw_key(sheet: Sheet, found: Explanation) -> None:
    """Which text is A and which is B, and the distance."""
    width = sheet.width - 2 * EDGE - 0.16
    distance = found.distance
    said = f"d = {distance.value:.4g}"
    if distance.standard_error is not None:
        said += f" ± {distance.standard_error:.2g}"
    room = sheet.measure(said, SIZES["key"]) + 0.1
    for row, (letter, colour, text) in enumerate(zip("AB", (A, B), found.texts, strict=True)):
        top = 0.03 + row * line("key")
        sheet.text(EDGE, top, letter, SIZES["key"], color=colour, weight="bold", gid=letter)
        fitted = sheet.fitted(text, width - (room if row == 0 else 0), SIZES["key"])
        sheet.text(EDGE + 0.14, top, fitted, SIZES["key"], gid=f"text-{letter}")
    sheet.text(sheet.width - EDGE, 0.03, said, SIZES["key"], ha="right", gid="distance")


def small_print(sheet: Sheet, said: str, found: Explanation) -> list[str]:
    """What is shown and the signature, in lines as wide as the sheet."""
    text = f"{said}. {found.distance.signature}"
    return wrapped(text, sheet.width - 2 * EDGE, SIZES["note"], sheet.measure)


def percent(share: float) -> str:
    """A share in a few characters.

    >>> percent(0.0961), percent(0.004), percent(0.0), percent(1.0)
    ('10 %', '<1 %', '0 %', '100 %')
    """
    return "<1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def line(name: str) -> float:
    """The height of a line of that type, in inches."""
    return SIZES[name] * LEAD / 72

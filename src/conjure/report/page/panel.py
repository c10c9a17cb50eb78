"""Both trajectories with what the process predicts under either prompt (Figure 1 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...explanation.record import Explanation, Pictures
from .images import SMALL, Array, picture_uri
from .parts import Table, blocks, edges, fewest, percent, steps_text

QUARTER = 0.25
_STEPS = 10  # columns at most; of more steps some are shown
_SEEN = 0.0005  # share of a step that is outlined, at least
_WHICH = ("first", "second")


@dataclass(frozen=True)
class Shot:
    """A picture and its words."""

    uri: str
    says: str


@dataclass(frozen=True)
class Outline:
    """The parts that hold a quarter of a step's share, on a grid of rows × columns, as SVG path."""

    rows: int
    columns: int
    path: str


@dataclass(frozen=True)
class Column:
    """One step: what is predicted under the first text, the trajectory, under the second text."""

    step: str
    share: str
    large: bool
    shots: tuple[Shot, Shot, Shot]
    outline: Outline | None


@dataclass(frozen=True)
class Half:
    """The trajectory of one text; ``end`` is x_0 as a picture."""

    columns: tuple[Column, ...]
    end: Shot
    share: str
    said: str
    table: Table


def halves(explanation: Explanation) -> tuple[Half, ...]:
    """Both halves of the panel, of the sample that the pictures are of."""
    pictures = explanation.pictures
    if pictures is None:
        return ()
    maps = explanation.maps[pictures.sample]  # (2, steps, h, w)
    return tuple(_half(pictures, maps, n) for n in range(2))


def _half(pictures: Pictures, maps: Array, n: int) -> Half:
    total = float(maps.sum())
    shares = maps[n].sum(axis=(1, 2)) / (total if total > 0 else 1.0)
    large, chosen = fewest(shares), _chosen(shares)
    columns = tuple(
        _column(pictures, maps[n, j], n, j, float(shares[j]), j in large) for j in chosen
    )
    said = ""
    if large:
        framed = steps_text(large, len(shares))
        said = f"Framed: the fewest steps that hold half of this way's share: {framed}."
    if len(chosen) < len(shares):
        said += f" {len(chosen)} of {len(shares)} steps are shown; the table has all."
    end = Shot(
        picture_uri(pictures.trajectory[n, -1]), f"The picture that the {_WHICH[n]} text ends in"
    )
    share = percent(float(shares.sum()))
    return Half(columns, end, share, said.strip(), _table(maps[n], shares, _WHICH[n]))


def _column(pictures: Pictures, cells: Array, n: int, j: int, share: float, large: bool) -> Column:
    steps = pictures.predicted.shape[1]
    about = f"step {j + 1} of {steps}, {percent(share)} of this sample's distance"
    first, second = (
        Shot(
            picture_uri(pictures.predicted[n, j, m], SMALL),
            f"Predicted under the {text} text: {about}",
        )
        for m, text in enumerate(_WHICH)
    )
    state = Shot(
        picture_uri(pictures.trajectory[n, j], SMALL), f"The {_WHICH[n]} text's way: {about}"
    )
    outline = _outline(cells) if share >= _SEEN else None
    return Column(str(j + 1), percent(share), large, (first, state, second), outline)


def _chosen(shares: Array) -> list[int]:
    """At most ten steps: evenly spaced, the first, the last and the largest among them.

    >>> _chosen(np.array([0.1, 0.7, 0.2]))
    [0, 1, 2]
    """
    if len(shares) <= _STEPS:
        return list(range(len(shares)))
    top = int(np.argmax(shares))
    even = {int(j) for j in np.linspace(0, len(shares) - 1, _STEPS).round()}
    if top not in even:
        inner = even - {0, len(shares) - 1}
        even.remove(min(inner, key=lambda j: abs(j - top)))
        even.add(top)
    return sorted(even)


def _outline(cells: Array) -> Outline | None:
    """The fewest blocks that hold a quarter of a step's share, as one path of their outer edges."""
    (rows, columns), coarse = cells.shape, blocks(cells)
    inside = {divmod(place, coarse.shape[1]) for place in fewest(coarse, QUARTER)}
    if not inside:
        return None
    ys, xs = edges(rows), edges(columns)
    path = []
    for y, x in sorted(inside):
        across, down = f"h{xs[x + 1] - xs[x]}", f"v{ys[y + 1] - ys[y]}"
        for neighbour, edge in (
            ((y - 1, x), f"M{xs[x]} {ys[y]}{across}"),
            ((y + 1, x), f"M{xs[x]} {ys[y + 1]}{across}"),
            ((y, x - 1), f"M{xs[x]} {ys[y]}{down}"),
            ((y, x + 1), f"M{xs[x + 1]} {ys[y]}{down}"),
        ):
            if neighbour not in inside:
                path.append(edge)
    return Outline(rows, columns, "".join(path))


def _table(maps: Array, shares: Array, which: str) -> Table:
    coarse = [blocks(step) for step in maps]
    rows = tuple(
        (
            str(j + 1),
            percent(float(share)),
            f"{len(fewest(coarse[j], QUARTER))} of {coarse[j].size}",
        )
        for j, share in enumerate(shares)
    )
    head = ("step", "share of this sample's distance", "parts that hold a quarter of it")
    return Table(f"steps of the {which} text's way", head, rows)

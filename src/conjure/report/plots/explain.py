"""The core figure of an explanation: Figure 1 of the paper with every share in it.

Two halves, one a trajectory. In each: what either text predicts at every step (x̂₀), the trajectory
between them, the map of the squared difference, and the share of every step in the distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.text import number_of
from ...explanation.record import Array, Explanation, Pictures
from .explain_style import EDGE, LEAD, SIZES, A, B, draw_key, line, percent, small_print
from .sheet import COLUMN, GREY, HEAT, Sheet
from .style import house_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COLUMNS = 10
OUTLINED = 3  # cells
_LABELS = 0.5  # inches: the column of row labels
_BARS = 0.3  # inches: the height of the shares
_WIDE = 6.75  # inches: two columns and what lies between them


@dataclass(frozen=True)
class Grid:
    """Where things stand, in inches.

    groups: the steps of each column, all in order; one each where there is room
    cell:   width of a column; tall: height of its pictures
    rows:   the labels of the rows; x: the left edge of a half
    """

    groups: tuple[range, ...]
    cell: float
    tall: float
    rows: tuple[str, ...]
    x: float = 0.0

    def left(self, column: int) -> float:
        """The left edge of a column; the column after the last is that of x_0."""
        apart = 0.05 if column == len(self.groups) else 0.0
        return self.x + _LABELS + column * self.cell + apart

    @property
    def half(self) -> float:
        """The height of one half."""
        return line("key") + 0.14 + len(self.rows) * self.tall + _BARS + 0.16


def draw_steps(found: Explanation, *, wide: bool = False) -> Figure:
    """The core figure, one column of a paper wide; if ``wide``, two columns, the halves abreast."""
    with house_style():
        grid = _grid(found)
        head, width = 2 * line("key") + 0.08, _WIDE if wide else COLUMN
        notes = _notes(Sheet(width, 1), found, grid)
        tall = grid.half if wide else 2 * grid.half
        sheet = Sheet(width, head + tall + 0.34 + len(notes) * line("note") + EDGE)
        draw_key(sheet, found)
        most = _largest(found, grid)
        shares = _grouped(found.shares, grid)  # (2, columns)
        outlined = largest_cells(shares)
        for half in (0, 1):
            top = head if wide else head + half * grid.half
            place = replace(grid, x=half * (_WIDE - COLUMN)) if wide else grid
            _half(sheet, found, place, half, top, most)
            _shares(sheet, place, half, top, shares, outlined)
        _scale(sheet, head + tall + 0.06, most / _whole(found))
        sheet.text(
            EDGE, head + tall + 0.34, "\n".join(notes), SIZES["note"], color=GREY,
            linespacing=LEAD, gid="note",
        )  # fmt: skip
        return sheet.figure


def largest_cells(shares: Array) -> list[tuple[int, int]]:
    """The (half, column) of the largest shares, the largest first; none that is 0."""
    order = np.argsort(-shares, axis=None, kind="stable")[:OUTLINED]
    cells = [(int(n) // shares.shape[1], int(n) % shares.shape[1]) for n in order]
    return [cell for cell in cells if shares[cell] > 0]


def step_groups(steps: int) -> tuple[range, ...]:
    """Steps in at most ten columns, in order; columns differ by one step at most.

    >>> step_groups(3), len(step_groups(50)), step_groups(11)[:2]
    ((range(0, 1), range(1, 2), range(2, 3)), 10, (range(0, 1), range(1, 2)))
    """
    columns = min(steps, MOST_COLUMNS)
    bounds = [column * steps // columns for column in range(columns + 1)]
    return tuple(range(low, high) for low, high in zip(bounds, bounds[1:], strict=False))


def _grid(found: Explanation) -> Grid:
    groups = step_groups(found.maps.shape[2])
    cell = min(0.55, (COLUMN - _LABELS - 0.05 - EDGE) / (len(groups) + 1))
    if found.pictures is None:
        height, width = found.maps.shape[3:]
        rows: tuple[str, ...] = ("where",)
    else:
        height, width = found.pictures.finals.shape[2:4]
        rows = ("A predicts", "trajectory", "B predicts", "where")
    ratio = min(2.0, max(0.25, height / width))
    return Grid(groups, cell, cell * ratio, rows)


def _half(sheet: Sheet, found: Explanation, grid: Grid, half: int, top: float, most: float) -> None:
    """Title, step numbers, rows of pictures and the row of maps."""
    letter, colour = "AB"[half], (A, B)[half]
    title = f"on the trajectory of {letter}: {percent(float(found.directions[half]))} of d"
    sheet.text(grid.x + EDGE, top, title, SIZES["key"], color=colour, gid=f"half-{letter}")
    under = top + line("key") + 0.14
    for row, label in enumerate(grid.rows):
        middle = under + (row + 0.5) * grid.tall
        look = {"A predicts": A, "B predicts": B}.get(label, "black")
        sheet.text(grid.x + EDGE, middle, label, SIZES["label"], va="center", color=look)
    for column, group in enumerate(grid.groups):
        shown = _shown_step(found, half, group)
        places = [
            (grid.left(column), under + row * grid.tall, grid.cell, grid.tall)
            for row in range(len(grid.rows))
        ]
        if found.pictures is not None:
            for place, picture in zip(places, _column(found.pictures, half, shown), strict=False):
                sheet.picture(_inside(place), picture)
        heat = found.maps[:, half, group.start : group.stop].sum(axis=1).mean(axis=0)
        sheet.picture(
            _inside(places[-1]), heat, cmap=HEAT, vmin=0, vmax=most, interpolation="nearest"
        )
    if found.pictures is not None:
        place = (grid.left(len(grid.groups)), under + grid.tall, grid.cell, grid.tall)
        sheet.picture(_inside(place), found.pictures.trajectory[half, -1])
        sheet.text(place[0] + grid.cell / 2, under + 2 * grid.tall + 0.02, "$x_0$",
                   SIZES["label"], ha="center", parse_math=True)  # fmt: skip


def _column(pictures: Pictures, half: int, step: int) -> tuple[Any, Any, Any]:
    """What stands in one column: A's prediction, the trajectory, B's prediction."""
    return (
        pictures.predicted[half, step, 0],
        pictures.trajectory[half, step],
        pictures.predicted[half, step, 1],
    )


def _shown_step(found: Explanation, half: int, group: range) -> int:
    """The step of a group that has the largest share."""
    return group.start + int(np.argmax(found.shares[half, group.start : group.stop]))


def _shares(
    sheet: Sheet,
    grid: Grid,
    half: int,
    top: float,
    shares: Array,
    outlined: list[tuple[int, int]],
) -> None:
    """Step numbers above, bars of shares below, and outlines around the largest cells."""
    colour = (A, B)[half]
    numbers = top + line("key") + 0.13
    under = top + line("key") + 0.14
    floor = under + len(grid.rows) * grid.tall + _BARS
    room = _BARS - line("label") - 0.02
    most = float(shares.max()) or 1.0
    sheet.text(grid.x + EDGE, floor, "share of d", SIZES["label"], va="bottom")
    for column, group in enumerate(grid.groups):
        left, share = grid.left(column), float(shares[half, column])
        middle = left + grid.cell / 2
        sheet.text(middle, numbers, f"{group.start + 1}", SIZES["label"], ha="center",
                   va="bottom", color=GREY)  # fmt: skip
        height = room * share / most
        sheet.box(
            (left + 0.15 * grid.cell, floor - height, 0.7 * grid.cell, height),
            facecolor=colour, edgecolor="none",
        )  # fmt: skip
        if (half, column) in outlined:
            box = (left, under, grid.cell, len(grid.rows) * grid.tall)
            sheet.box(box, fill=False, edgecolor="white", linewidth=2.2, zorder=3)
            sheet.box(box, fill=False, edgecolor="black", linewidth=1.1, zorder=3)
        look: dict[str, Any] = {"size": SIZES["note"], "color": GREY}
        if (half, column) in outlined:
            look = {"size": SIZES["label"], "weight": "bold"}
        sheet.text(
            middle, floor - height - 0.015, text=percent(share), ha="center", va="bottom",
            gid=f"share-{half}-{column}", **look,
        )  # fmt: skip
    ends = (grid.left(0), grid.left(len(grid.groups) - 1) + grid.cell)
    sheet.line(ends, (floor, floor), color="black", linewidth=0.6)
    sheet.text(grid.x + EDGE, numbers, "step", SIZES["label"], va="bottom", color=GREY)


def _grouped(shares: Array, grid: Grid) -> Array:
    """(2, steps) → (2, columns), sums."""
    starts = [group.start for group in grid.groups]
    found: Array = np.add.reduceat(shares, starts, axis=1)
    return found


def _largest(found: Explanation, grid: Grid) -> float:
    """The largest entry of a map that is drawn; 1 if all are 0."""
    starts = [group.start for group in grid.groups]
    most = float(np.add.reduceat(found.maps.mean(axis=0), starts, axis=1).max())
    return most or 1.0


def _whole(found: Explanation) -> float:
    """What all maps add up to; 1 if that is 0."""
    return float(found.maps.mean(axis=0).sum()) or 1.0


def _scale(sheet: Sheet, top: float, most: float) -> None:
    """The colours of the maps. most: the share of the brightest."""
    ramp = np.linspace(0, 1, 256)[None]
    left, width = _LABELS, 0.8
    sheet.text(EDGE, top + 0.04, "where", SIZES["label"], va="center")
    sheet.picture((left, top, width, 0.08), ramp, cmap=HEAT, vmin=0, vmax=1)
    sheet.text(left, top + 0.1, "0", SIZES["note"])
    sheet.text(left + width, top + 0.1, f"{100 * most:.2g} %", SIZES["note"], ha="right")
    sheet.text(
        left + width + 0.08, top + 0.04, "of d at a latent position and step", SIZES["label"],
        va="center",
    )  # fmt: skip


def _notes(sheet: Sheet, found: Explanation, grid: Grid) -> list[str]:
    """The small print: what is shown, and the signature."""
    distance = found.distance
    taken = number_of(distance.samples, "sample")
    said = [f"{distance.estimand}, mean of {taken}"]
    if distance.standard_error is not None:
        said[0] += " ± standard error"
    if found.pictures is not None:
        kind = "pictures" if found.pictures.decoded else "latents in false colour"
        said.append(f"{kind} of sample {found.pictures.sample + 1}; maps and shares of all")
    if len(grid.groups) < found.maps.shape[2]:
        said.append(
            "a column is several steps, numbered by the first; it shows the one of largest share, "
            "and the sum of the maps"
        )
    said.append("outlined: the largest shares")
    return small_print(sheet, "; ".join(said), found)


def _inside(place: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """A place less a hair of white around it."""
    left, top, width, height = place
    return left + 0.008, top + 0.008, width - 0.016, height - 0.016

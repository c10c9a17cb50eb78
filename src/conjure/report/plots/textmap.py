"""Texts as points in a plane, with labels that do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.text import number_of
from ...stats.arrangement import Scaling
from .labels import Box, Label, place_labels
from .pictures import canvas, drawable, line_height, paragraphs, wrapped
from .style import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDE = 1.3  # inches: most that a label takes
_RADIUS = 2.6  # points: of a mark
_NOTE = 5.5


@dataclass(frozen=True)
class TextMap:
    """What a map shows: ``scaling.points``, (n, 2), with a label each. classes: or None."""

    texts: Sequence[str]
    scaling: Scaling
    classes: Sequence[str] | None
    title: str
    note: str


def draw_text_map(shown: TextMap) -> tuple[Figure, Axes]:
    """A new figure with the map. Call it within ``house_style``."""
    n = len(shown.texts)
    width = 5.0 if n <= 40 else min(9.0, 5.0 + (n - 40) * 0.05)
    figure, measure = canvas(width)
    title = paragraphs(shown.title, width - 0.2, 9, measure)
    note = paragraphs(shown.note, width - 0.2, _NOTE, measure)
    side = width - 0.75
    head = len(title) * line_height(9) + 0.2
    names = list(dict.fromkeys(shown.classes or ()))
    legend = 0.22 * -(-len(names) // 3) + 0.05 if names else 0.0
    foot = 0.5 + legend + (len(note) + 0.8) * line_height(_NOTE)
    total = head + side + foot
    figure.set_size_inches(width, total)
    axes = figure.add_axes((0.62 / width, foot / total, side / width, side / total))
    left_out = draw_map(axes, shown)
    if names:
        axes.legend(
            ncols=3,
            loc="upper left",
            bbox_to_anchor=(-0.02, -0.42 / side),
            borderaxespad=0,
            columnspacing=1.2,
            handletextpad=0.2,
            labelspacing=0.3,
        )
    if left_out:
        note = [
            *note[:-1],
            f"{note[-1]}  {number_of(left_out, 'label')} left out for want of room.",
        ]
    figure.text(0.1 / width, 1 - 0.08 / total, "\n".join(title), size=9, va="top", gid="title")
    grey: dict[str, Any] = {"size": _NOTE, "color": "#595959", "va": "bottom", "linespacing": 1.3}
    figure.text(0.1 / width, 0.05 / total, "\n".join(note), gid="note", **grey)
    return figure, axes


def draw_map(axes: Axes, shown: TextMap) -> int:
    """The map in these axes, whose size must be final; returns how many labels found no room."""
    points = shown.scaling.points[:, :2]
    classes = shown.classes or [""] * len(points)
    for number, name in enumerate(dict.fromkeys(classes)):
        here = points[[one == name for one in classes]]
        style: Any = {
            "color": COLOURS[number % len(COLOURS)],
            "marker": MARKERS[number % len(MARKERS)],
            "label": drawable(name),
        }
        axes.plot(here[:, 0], here[:, 1], linestyle="none", markersize=2 * _RADIUS, **style)
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    reach = float(np.ptp(points, axis=0).max()) * 0.62 or 1.0
    axes.set_xlim(middle[0] - reach, middle[0] + reach)  # one scale for both dimensions
    axes.set_ylim(middle[1] - reach, middle[1] + reach)
    axes.set_box_aspect(1)
    axes.set_xlabel("dimension 1 (√d)")
    axes.set_ylabel("dimension 2 (√d)", labelpad=1)
    axes.tick_params(labelsize=7)
    return _label(axes, shown, points)


def _label(axes: Axes, shown: TextMap, points: Any) -> int:
    """Put a label beside each point, with a line to it where it is not near."""
    n = len(points)
    size = 7.5 if n <= 40 else 6.0
    _, measure = canvas(1)
    labels = [wrapped(drawable(text), _WIDE, size, measure, 1)[0] for text in shown.texts]
    figure = axes.get_figure(root=True)
    assert figure is not None
    axes.apply_aspect()
    scale = 72 / figure.dpi  # points of type a pixel
    box = axes.get_window_extent()
    room = Box(box.x0 * scale, box.y0 * scale, box.x1 * scale, box.y1 * scale)
    there = axes.transData.transform(points) * scale
    sizes = [(measure(label, size) * 72, size) for label in labels]
    found = place_labels([(x, y) for x, y in there], sizes, room, _RADIUS)
    for label, point, at in zip(labels, there, found, strict=True):
        if at is not None:
            _write(axes, label, (float(point[0]), float(point[1])), at, size)
    return sum(one is None for one in found)


def _write(axes: Axes, label: str, point: tuple[float, float], at: Label, size: float) -> None:
    line: Any = {
        "arrowstyle": "-",
        "color": "#909090",
        "linewidth": 0.5,
        "shrinkA": 0,
        "shrinkB": 3,
    }
    axes.annotate(
        label,
        tuple(axes.transData.inverted().transform(_pixels(axes, point))),
        xytext=(at.x - point[0], at.y - point[1]),
        textcoords="offset points",
        size=size,
        ha="center",
        va="center",
        arrowprops=line if at.reach > 9 else None,
        gid="label",
    )


def _pixels(axes: Axes, point: tuple[float, float]) -> tuple[float, float]:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return point[0] * figure.dpi / 72, point[1] * figure.dpi / 72

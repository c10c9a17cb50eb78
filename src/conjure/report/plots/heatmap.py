"""A matrix of distances as a heat map in the order of its clustering, with the tree above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import InputError
from ...stats.arrangement import Clusters
from ...stats.resampling import Array
from .matrices import decimals_of, ink, round_ticks
from .pictures import Measure, canvas, drawable, line_height, paragraphs, wrapped
from .style import COLOURS, SCALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

UNIT = "squared difference of predictions, summed over latent entries"
_NUMBERS = 12  # texts, up to which cells hold their numbers
NUMBERS_WITH_ERRORS = 8  # and up to which they hold standard errors, too
_LABELS = 150  # texts, up to which rows have labels
_COLUMN_LABELS = 60  # texts, up to which columns have them, too
_WIDE = 1.5  # inches: most that a label takes
_TREE, _STRIP, _GAP = 0.7, 0.14, 0.05  # inches: heights, and the gap between parts
_NOTE = 5.5  # points
_CLASSES = 26  # letters there are


@dataclass(frozen=True)
class HeatMap:
    """What a heat map shows.

    values:  (n, n) distances, row against column, in the order of ``texts``
    errors:  (n, n) their standard errors, or None
    classes: the class of each text, or None
    title:   a line above it; unit: of the values; note: small lines below it
    """

    texts: Sequence[str]
    values: Array
    errors: Array | None
    clusters: Clusters
    classes: Sequence[str] | None
    title: str
    unit: str
    note: str

    @property
    def order(self) -> list[int]:
        return [int(place) for place in self.clusters.order]

    @property
    def labels(self) -> list[str]:
        """The texts in the order of the tree, as the font can draw them."""
        return [drawable(self.texts[place]) for place in self.order]


def draw_heat_map(shown: HeatMap) -> tuple[Figure, Axes]:
    """A new figure: tree, classes, matrix, colour scale, note. Call it within ``house_style``."""
    n = len(shown.texts)
    width = 5.0 if n <= 25 else min(9.0, 5.0 + (n - 25) * 0.08)
    figure, measure = canvas(width)
    size = _type_size(width - _WIDE, n)
    labels = [wrapped(label, _WIDE, size, measure, 1)[0] for label in shown.labels]
    left = 0.18 + (max(measure(label, size) for label in labels) if n <= _LABELS else 0.0)
    left += (_STRIP + _GAP) if shown.classes else 0.0
    side = width - left - 0.22
    below = 0.1
    if n <= _COLUMN_LABELS:
        below += max(measure(label, size) for label in labels)
    title = paragraphs(shown.title, width - 0.2, 9, measure)
    note = paragraphs(shown.note, width - 0.2, _NOTE, measure)
    names = _legend_lines(shown, width - 0.2, measure)
    foot = (len(note) + 0.8) * line_height(_NOTE) + len(names) * line_height(8) + 0.1 * bool(names)
    head = len(title) * line_height(9) + 0.15
    strip = (_STRIP + _GAP) if shown.classes else 0.0
    total = head + _TREE + strip + side + below + 0.62 + foot
    figure.set_size_inches(width, total)

    def place(x: float, y: float, wide: float, high: float) -> Axes:
        """Axes whose lower left corner is (x, y) inches from the top left corner."""
        return figure.add_axes((x / width, 1 - y / total, wide / width, high / total))

    top = head + _TREE + strip
    axes = place(left, top + side, side, side)
    image = _cells(axes, shown, labels, size)
    _tree(place(left, head + _TREE - _GAP, side, _TREE - _GAP), shown.clusters, n)
    if shown.classes:
        _strip(place(left, top - _GAP, side, _STRIP), shown, side / n, across=True)
        _strip(place(left - _GAP - _STRIP, top + side, _STRIP, side), shown, side / n, across=False)
        axes.tick_params(axis="y", pad=(_GAP + _STRIP) * 72 + 3)
    bar = figure.colorbar(
        image, cax=place(left, top + side + below + 0.2, side, 0.1), orientation="horizontal"
    )
    _scale(bar, shown)
    figure.text(0.1 / width, 1 - 0.08 / total, "\n".join(title), size=9, va="top", gid="title")
    for line, text in enumerate(reversed(names)):
        y = (len(note) + 0.8) * line_height(_NOTE) + 0.05 + line * line_height(8)
        figure.text(0.1 / width, y / total, text, size=8, va="bottom", gid="classes")
    grey: dict[str, Any] = {"size": _NOTE, "color": "#595959", "va": "bottom", "linespacing": 1.3}
    figure.text(0.1 / width, 0.05 / total, "\n".join(note), gid="note", **grey)
    return figure, axes


def draw_cells(axes: Axes, shown: HeatMap) -> None:
    """The heat map in axes of the user's own: cells and labels, with a title."""
    n = len(shown.texts)
    box = axes.get_window_extent()
    side = min(box.width, box.height) / axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    _, measure = canvas(1)
    size = _type_size(side, n)
    labels = [wrapped(label, _WIDE, size, measure, 1)[0] for label in shown.labels]
    _cells(axes, shown, labels, size)
    axes.set_title(shown.title)


def _type_size(side: float, n: int) -> float:
    """Points of type that fit into a row of ``side`` / n inches, at most 8."""
    return min(8.0, max(1.5, side / n * 72 * 0.85))


def _cells(axes: Axes, shown: HeatMap, labels: Sequence[str], size: float) -> AxesImage:
    from matplotlib.colors import LogNorm

    n, order = len(labels), shown.order
    values = shown.values[np.ix_(order, order)]
    positive = values[values > 0]
    if not len(positive):
        raise InputError("all distances are 0, so there is nothing to draw")
    low, high = float(positive.min()), float(positive.max())
    drawn = np.ma.array(values.clip(min=low), mask=np.eye(n, dtype=bool))
    scale = LogNorm(low, high if high > low else low * 1.01)
    image = axes.imshow(drawn, cmap=SCALE, norm=scale, aspect="auto", interpolation="nearest")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if n <= _LABELS:
        axes.set_yticks(range(n), labels, size=size)
    else:
        axes.set_yticks([])
    if n <= _COLUMN_LABELS:
        axes.set_xticks(range(n), labels, size=size, rotation=90)
    else:
        axes.set_xticks([])
    if n <= _NUMBERS:
        errors = None if shown.errors is None else shown.errors[np.ix_(order, order)]
        _numbers(axes, image, values, errors)
    return image


def _numbers(axes: Axes, image: AxesImage, values: Array, errors: Array | None) -> None:
    n, decimals, low = len(values), decimals_of(values), float(values[values > 0].min())
    small = 8.0 if n <= NUMBERS_WITH_ERRORS else 6.5
    centre: dict[str, Any] = {"ha": "center", "va": "center"}
    for i in range(n):
        for j in range(n):
            if i == j:
                axes.text(j, i, "0", color="#595959", size=small, **centre)
                continue
            colour = ink(image, max(float(values[i, j]), low))
            up = 0.0 if errors is None or n > NUMBERS_WITH_ERRORS else 0.17
            text = f"{values[i, j]:.{decimals}f}"
            axes.text(j, i - up, text, color=colour, size=small, **centre)
            if up and errors is not None:
                below = f"±{errors[i, j]:.{decimals}f}"
                axes.text(j, i + 0.23, below, color=colour, size=6.5, **centre)


def _tree(axes: Axes, clusters: Clusters, n: int) -> None:
    """The dendrogram: height is the mean distance at which two clusters join."""
    from scipy.cluster.hierarchy import dendrogram

    drawn = dendrogram(clusters.linkage, no_plot=True)
    for across, heights in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        places = [x / 10 - 0.5 for x in across]  # SciPy puts leaf i at 10 i + 5
        axes.plot(places, heights, color="#404040", linewidth=0.8, solid_joinstyle="miter")
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(0, None)
    axes.set_axis_off()


def class_letters(classes: Sequence[str]) -> dict[str, str]:
    """A letter for each class, in the order of their first appearance; "" after Z."""
    names = list(dict.fromkeys(classes))
    return {name: chr(ord("A") + n) if n < _CLASSES else "" for n, name in enumerate(names)}


def _strip(axes: Axes, shown: HeatMap, cell: float, *, across: bool) -> None:
    """The class of each row or column, as a colour and a letter. cell: its width in inches."""
    from matplotlib.colors import to_rgb

    assert shown.classes is not None
    letters = class_letters(shown.classes)
    number = {name: n for n, name in enumerate(letters)}
    classes = [shown.classes[place] for place in shown.order]
    colours = np.array([[to_rgb(COLOURS[number[name] % len(COLOURS)]) for name in classes]])
    axes.imshow(colours if across else colours.swapaxes(0, 1), aspect="auto", interpolation="none")
    axes.set_axis_off()
    size = min(7.0, cell * 72 * 0.8)
    if size < 3:
        return
    for n, name in enumerate(classes):
        x, y = (n, 0) if across else (0, n)
        colour = "white" if _dark(colours[0, n]) else "black"
        axes.text(x, y, letters[name], size=size, color=colour, ha="center", va="center_baseline")


def _dark(rgb: Array) -> bool:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722]) <= 0.179


def _legend_lines(shown: HeatMap, width: float, measure: Measure) -> list[str]:
    """Which letter stands for which class."""
    if not shown.classes:
        return []
    letters = class_letters(shown.classes)
    if len(letters) > _CLASSES:
        return [f"{len(letters)} classes, which share colours"]
    names = ",  ".join(f"{letter} {drawable(name)}" for name, letter in letters.items())
    return wrapped(names, width, 8, measure)


def _scale(bar: Any, shown: HeatMap) -> None:
    positive = shown.values[shown.values > 0]
    low, high = float(positive.min()), float(positive.max())
    ticks = [tick for tick in round_ticks(low) if low <= tick <= high]
    while len(ticks) > 7:
        ticks = ticks[::2]
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=8)
    bar.set_label(f"{shown.unit} (logarithmic)", fontsize=7.5)
    bar.outline.set_visible(False)

"""Coefficients with their intervals: along a scale, beside names, or along the timesteps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...benchmarks.correlation import Correlation
from .style import COLOURS, INTERVALS, MARKERS, SCALE, SPEARMAN, house_style, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """A coefficient × 100 with its interval over n pairs; None where there is none: a gap."""

    value: float | None
    interval: tuple[float, float] | None
    n: int = 0

    @classmethod
    def of(cls, found: Correlation) -> Point:
        low, high = found.interval or (math.nan, math.nan)
        interval = None if found.interval is None else (100 * low, 100 * high)
        return cls(None if found.spearman is None else 100 * found.spearman, interval, found.n)


Series = Mapping[str, Sequence[Point]]  # a name in the legend: one point for each place


def draw_beside_names(
    names: Sequence[str], series: Series, out: Path, *, title: str, unit: str = SPEARMAN
) -> list[Path]:
    """A row for each name, in it a point for each series; for settings without an order."""
    with house_style():
        figure, [axes] = new_figure(1.4 + len(names) * (0.12 + 0.16 * len(series)))
        for n, (label, points) in enumerate(series.items()):
            shift = _spread(n, len(series), 0.5)
            places = [place + shift for place in range(len(names))]
            _bars(axes, places, points, _look(n, label), across=True)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)  # the first on top
        axes.grid(False, axis="y")
        for edge in range(1, len(names)):
            axes.axhline(edge - 0.5, color="#E3E3E3", linewidth=0.6)
        axes.set_xlabel(unit)
        low, high = axes.get_xlim()
        if low < 0 < high:
            axes.axvline(0, color="black", linewidth=0.8)
        _legend(figure, axes, title)
        return save(figure, out.parent, out.name)


def draw_along(
    places: Sequence[float], series: Series, out: Path, *, title: str, axis: str
) -> list[Path]:
    """Lines along a numeric setting, which ``axis`` names with its unit."""
    with house_style():
        figure, [axes] = new_figure(3.4)
        reach = min(after - before for before, after in pairwise(places))
        for n, (label, points) in enumerate(series.items()):
            shift = _spread(n, len(series), 0.3 * reach)
            moved = [place + shift for place in places]
            _bars(axes, moved, points, _look(n, label, linewidth=1.0))
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.set_xlabel(axis)
        axes.set_ylabel(SPEARMAN.replace(" of ", "\nof ", 1), fontsize=8)
        _zero(axes)
        _legend(figure, axes, title)
        return save(figure, out.parent, out.name)


def draw_panels(
    places: Sequence[str],
    panels: Mapping[str, Mapping[str, Point]],
    out: Path,
    *,
    title: str,
    axis: str,
) -> list[Path]:
    """A panel for each set over the same ordered places, two panels wide.

    panels: {heading: {place: point}}; below each place stands its n, and where a panel has no
    point for it, or one without a value, there is a gap.
    """
    with house_style():
        rows = -(-len(panels) // 2)
        figure, grid = new_figure(0.9 + 1.75 * rows, rows=rows, columns=2)
        for axes, (heading, points) in zip(grid, panels.items(), strict=False):
            there = [points.get(place, Point(None, None)) for place in places]
            _bars(axes, range(len(places)), there, _look(0, heading, linewidth=1.0))
            ticks = [f"{place}\n{point.n:,}" for place, point in zip(places, there, strict=True)]
            axes.set_xticks(range(len(places)), ticks, fontsize=6.5)
            axes.set_xlim(-0.5, len(places) - 0.5)
            axes.set_title(heading)
        _share_y(grid[: len(panels)])
        for axes in grid[: len(panels)]:
            _zero(axes)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        figure.suptitle(f"{title}\n{INTERVALS}", fontsize=9, x=0.02, ha="left")
        figure.supylabel(SPEARMAN, fontsize=8)
        figure.supxlabel(axis, fontsize=8)
        return save(figure, out.parent, out.name)


def draw_priors(
    curves: Mapping[str, Mapping[int, Sequence[Point]]], out: Path, *, title: str
) -> list[Path]:
    """Figure 3, left. curves: {prior: {samples: a point for each step}}; a panel for each prior."""
    from matplotlib import colormaps

    headings = {
        "pointwise": ("pointwise: one step alone", "step (1 is pure noise)"),
        "cumulative": ("cumulative: all steps up to one", "last step that counts"),
    }
    with house_style():
        figure, panels = new_figure(5.8, rows=2)
        for axes, (prior, lines) in zip(panels, curves.items(), strict=True):
            heading, axis = headings[prior]
            for n, (samples, points) in enumerate(lines.items()):
                shift = _spread(n, len(lines), 0.5)
                places = [step + shift for step in range(1, len(points) + 1)]
                shade = colormaps[SCALE](0.9 - 0.9 * n / max(1, len(lines) - 1))
                look = _look(n, f"k = {samples}", linewidth=1.0)
                _bars(axes, places, points, {**look, "color": shade})
            axes.set_title(heading)
            axes.set_xticks(range(1, len(points) + 1))
            axes.set_xlabel(axis)
        _share_y(panels)
        for axes in panels:
            _zero(axes)
        figure.supylabel(SPEARMAN, fontsize=8)
        _legend(figure, panels[0], title, columns=5)
        return save(figure, out.parent, out.name)


def _look(n: int, label: str, linewidth: float = 0.0) -> dict[str, Any]:
    """How the n-th series is drawn; without a line where places have no order."""
    return {
        "marker": MARKERS[n % len(MARKERS)],
        "color": COLOURS[n % len(COLOURS)],
        "markersize": 4,
        "linewidth": linewidth,
        "elinewidth": 1.0,
        "label": label,
    }


def _bars(
    axes: Axes,
    places: Sequence[float],
    points: Sequence[Point],
    look: Mapping[str, Any],
    *,
    across: bool = False,
) -> None:
    """One series as markers with interval bars: upright, or lying where it is ``across``.

    A line breaks where a value is missing.
    """
    where, values = np.array(places, dtype=float), np.full(len(points), np.nan)
    reach = np.full((2, len(points)), np.nan)
    for n, point in enumerate(points):
        if point.value is not None:
            low, high = point.interval or (point.value, point.value)
            values[n] = point.value
            # an interval that was corrected for seeds need not hold the value to the last digit
            reach[:, n] = max(0.0, point.value - low), max(0.0, high - point.value)
    if across:
        axes.errorbar(values, where, xerr=reach, **look)
    else:
        axes.errorbar(where, values, yerr=reach, **look)


def _spread(n: int, count: int, width: float) -> float:
    """Where the n-th of ``count`` stands beside the others, so that bars do not overlap."""
    return 0.0 if count == 1 else width * (n / (count - 1) - 0.5)


def _share_y(panels: Sequence[Axes]) -> None:
    low, high = zip(*(axes.get_ylim() for axes in panels), strict=True)
    for axes in panels:
        axes.set_ylim(min(low), max(high))


def _zero(axes: Axes) -> None:
    """A line at no correlation, where that is in sight."""
    low, high = axes.get_ylim()
    if low < 0 < high:
        axes.axhline(0, color="black", linewidth=0.8)


def _legend(figure: Figure, axes: Axes, title: str, columns: int = 3) -> None:
    """Title, what the bars are, and the series, above the axes."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=columns,
        title=f"{title}\n{INTERVALS}",
        title_fontsize=9,
        alignment="left",
    )

"""Coefficients with their intervals: along a scale, beside names, or along the timesteps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...stats.correlation import Correlation
from .style import COLOURS, MARKERS, SPEARMAN, house_style, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """A coefficient × 100 with its interval over n pairs; None where there is none.

    reason: why there is no coefficient, in the few words that a figure has room for
    """

    value: float | None
    interval: tuple[float, float] | None
    n: int = 0
    reason: str | None = None

    @classmethod
    def of(cls, found: Correlation) -> Point:
        low, high = found.interval or (math.nan, math.nan)
        interval = None if found.interval is None else (100 * low, 100 * high)
        value = None if found.spearman is None else 100 * found.spearman
        return cls(value, interval, found.n, found.reason)


_EDGES = ("solid", "dashed", "dotted", "dashdot")

Series = Mapping[str, Sequence[Point]]  # a name in the legend: one point for each place


def draw_beside_names(
    names: Sequence[str],
    series: Series,
    out: Path,
    *,
    title: str,
    intervals: str,
    unit: str = SPEARMAN,
) -> list[Path]:
    """A row for each name, in it a point for each series; for settings without an order.

    intervals: what the bars are, for the legend; so too below
    """
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
        _legend(figure, axes, f"{title}\n{intervals}")
        return save(figure, out.parent, out.name)


def draw_along(
    places: Sequence[float], series: Series, out: Path, *, title: str, intervals: str, axis: str
) -> list[Path]:
    """Lines with bands along a numeric setting, which ``axis`` names with its unit.

    Every point stands exactly at its place.
    """
    with house_style():
        figure, [axes] = new_figure(3.6)
        for n, (label, points) in enumerate(series.items()):
            _band(axes, places, points, n, label)
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.set_xlabel(axis)
        axes.set_ylabel(SPEARMAN.replace(" of ", "\nof ", 1), fontsize=8)
        _zero(axes)
        _legend(figure, axes, f"{title}\n{intervals}")
        return save(figure, out.parent, out.name)


def draw_panels(
    places: Sequence[str],
    panels: Mapping[str, Mapping[str, Point]],
    out: Path,
    *,
    title: str,
    intervals: str,
    axis: str,
) -> list[Path]:
    """A panel for each set over the same ordered places, two panels wide.

    panels: {heading: {place: point}}; below each place stands its n. Where a panel has no point
    for a place, or one without a value, it says so there.
    """
    with house_style():
        rows = -(-len(panels) // 2)
        figure, grid = new_figure(0.9 + 1.75 * rows, rows=rows, columns=2)
        for axes, (heading, points) in zip(grid, panels.items(), strict=False):
            nothing = Point(None, None, reason="no pairs")
            there = [points.get(place, nothing) for place in places]
            _bars(axes, range(len(places)), there, _look(0, heading, linewidth=1.0))
            _say_why(axes, there)
            ticks = [f"{place}\n{point.n:,}" for place, point in zip(places, there, strict=True)]
            axes.set_xticks(range(len(places)), ticks, fontsize=6.5)
            axes.set_xlim(-0.5, len(places) - 0.5)
            axes.set_title(heading)
        _share_y(grid[: len(panels)])
        for axes in grid[: len(panels)]:
            _zero(axes)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        figure.suptitle(f"{title}\n{intervals}", fontsize=9, x=0.02, ha="left")
        figure.supylabel(SPEARMAN, fontsize=8)
        figure.supxlabel(axis, fontsize=8)
        return save(figure, out.parent, out.name)


def draw_priors(
    curves: Mapping[str, Mapping[str, Sequence[Point]]], out: Path, *, title: str, intervals: str
) -> list[Path]:
    """Figure 3, left: a panel for each prior, in it a line with its band for each label.

    curves: {prior: {label: a point for each step}}
    """
    headings = {
        "pointwise": ("a   pointwise: one step alone", "step (1 is pure noise)"),
        "cumulative": ("b   cumulative: all steps up to one", "last step that counts"),
    }
    with house_style():
        figure, panels = new_figure(5.8, rows=2)
        for axes, (prior, lines) in zip(panels, curves.items(), strict=True):
            heading, axis = headings[prior]
            for n, (label, points) in enumerate(lines.items()):
                _band(axes, range(1, len(points) + 1), points, n, label)
                axes.set_xticks(range(1, len(points) + 1))
            axes.set_title(heading)
            axes.set_xlabel(axis)
        _share_y(panels)
        for axes in panels:
            _zero(axes)
        figure.supylabel(SPEARMAN, fontsize=8)
        _legend(figure, panels[0], f"{title}\n{intervals}", columns=1)
        return save(figure, out.parent, out.name)


def _say_why(axes: Axes, points: Sequence[Point]) -> None:
    """At places without a value, upright in grey, why there is none."""
    for place, point in enumerate(points):
        if point.value is None:
            axes.text(
                place,
                0.5,
                point.reason or "none",
                transform=axes.get_xaxis_transform(),
                rotation=90,
                ha="center",
                va="center",
                color="#595959",
                size=6.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            )


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


def _band(axes: Axes, places: Sequence[float], points: Sequence[Point], n: int, label: str) -> None:
    """The n-th series as a line with a band, whose edges tell bands apart where they overlap."""
    where, nothing = np.array(places, dtype=float), (math.nan, math.nan)
    values = np.array([math.nan if p.value is None else p.value for p in points])
    low, high = np.array([p.interval or nothing for p in points]).T
    look = _look(n, label, linewidth=1.4)
    colour, edge = look["color"], _EDGES[n % len(_EDGES)]
    axes.fill_between(where, low, high, color=colour, alpha=0.12, linewidth=0)
    for bound in (low, high):
        axes.plot(where, bound, color=colour, linewidth=0.8, linestyle=edge)
    del look["elinewidth"]
    axes.plot(where, values, **look)


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
    """Title, what the intervals are, and the series, above the axes."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=columns,
        title=title,
        title_fontsize=9,
        alignment="left",
    )

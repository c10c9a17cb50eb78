"""Charts as inline SVG that follow the page's colours, in light and in dark.

matplotlib draws them with stand-in colours. These are replaced by the style sheet's own. Texts stay
texts, so that they can be read aloud, searched and enlarged.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ...core.uncertainty import estimate, student_t
from ..plots.style import house_style
from .images import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, LINE, FIRST, SECOND = "#010203", "#010204", "#010205", "#010206"
_VARIABLES = {
    INK: "currentColor",
    LINE: "var(--line)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
}
_SIZE = (4.2, 2.7)  # inches: as wide as a phone, so that type there is as large as it is set
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": LINE,
    "font.size": 10,
    "axes.labelsize": 10,
    "legend.fontsize": 10,
}


def chart(name: str, alt: str, draw: Callable[[Axes], object]) -> Markup:
    """What ``draw`` makes of empty axes as SVG. name: unique in the page; alt: what it says."""
    import matplotlib
    from matplotlib.figure import Figure

    with house_style():
        matplotlib.rcParams.update(_SETTINGS)
        figure = Figure(figsize=_SIZE, layout="constrained", facecolor="none")
        axes = figure.subplots()
        axes.set_facecolor("none")
        draw(axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(out.getvalue(), name, alt)


def _inline(svg: str, name: str, alt: str) -> Markup:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    for stand_in, colour in _VARIABLES.items():
        svg = svg.replace(stand_in, colour)
    head = f'<svg class="chart" role="img" aria-label="{escape(alt)}"'
    return Markup(svg.replace("<svg", head, 1))


def profile_chart(profile: Array, alt: str) -> Markup:
    """Shares of the distance over steps, with 95 % intervals. profile: (samples, 2, steps)."""
    mean, reach = share_intervals(profile)

    def draw(axes: Axes) -> None:
        steps = np.arange(1, profile.shape[2] + 1)
        for n, (colour, mark) in enumerate(((FIRST, "o"), (SECOND, "s"))):
            label = ("first text's way", "second text's way")[n]
            axes.plot(
                steps, 100 * mean[n], f"{mark}-", color=colour, markersize=4, lw=1.4, label=label
            )
            if reach is not None:
                low, high = np.maximum(mean[n] - reach[n], 0), mean[n] + reach[n]
                axes.fill_between(steps, 100 * low, 100 * high, color=colour, alpha=0.22, lw=0)
        whole_numbers(axes)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("step, from noise to picture")
        axes.set_ylabel("share of the distance, %")
        axes.figure.legend(loc="outside upper left", ncols=2)

    return chart("when", alt, draw)


def convergence_chart(values: Array, alt: str) -> Markup:
    """The mean of the first samples with its 95 % interval. values: (samples,), two or more.

    Of three samples or more, that of the first two is left out: Student's t makes it so wide that
    nothing else could be read.
    """
    import torch

    found = [estimate(torch.from_numpy(values[:k])) for k in range(1, len(values) + 1)]
    first = min(len(values), 3)

    def draw(axes: Axes) -> None:
        counts = np.arange(1, len(values) + 1)
        means = np.array([one.value for one in found])
        axes.plot(counts, means, "o-", color=INK, markersize=4, lw=1.4)
        low, high = np.array([one.interval for one in found[first - 1 :]]).T
        axes.vlines(counts[first - 1 :], low, high, color=INK, lw=1.4)
        whole_numbers(axes)
        axes.set_xlabel("samples taken")
        axes.set_ylabel("mean distance")

    return chart("sure", alt, draw)


def share_intervals(profile: Array) -> tuple[Array, Array | None]:
    """Each direction and step's share of the distance, and half the width of its 95 % interval.

    profile: (samples, 2, steps) → two arrays (2, steps); the second is None for one sample. A share
    is a ratio of two means over samples, so its error is that of the residuals (delta method):
    term − share × the sample's sum, with Student's t.
    """
    count, sums = len(profile), profile.sum(axis=(1, 2), keepdims=True)
    total = sums.mean()
    if not total > 0:
        return np.zeros(profile.shape[1:]), None
    mean = profile.mean(axis=0) / total
    if count < 2:
        return mean, None
    residuals = profile - mean * sums
    error = residuals.std(axis=0, ddof=1) / np.sqrt(count) / total
    return mean, student_t(0.95, count - 1) * error


def whole_numbers(axes: Axes) -> None:
    """Ticks of the x axis at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))

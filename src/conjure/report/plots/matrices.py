"""Figure 2: matrices of distances between words, as heat maps with their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...stats.resampling import Array
from .style import SCALE, house_style, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm
    from matplotlib.image import AxesImage

Classes = Mapping[str, Sequence[str]]  # class → its words
UNITS = "squared difference of predictions, summed over latent entries,\nmean over steps"
_PANEL = 4.7  # inches: the height of one matrix with its labels


def draw_matrices(
    groups: Sequence[Classes],
    matrices: Sequence[Array],
    errors: Sequence[Array] | None,
    captions: Sequence[str],
    out: Path,
    *,
    title: str,
) -> list[Path]:
    """One heat map a group, one below the other, on one colour scale. Returns the files.

    groups:   the words of each matrix by class, in the order of its rows
    matrices: (n, n) symmetric mean distances of each group's words, at least one above 0
    errors:   (n, n) their standard errors; None where there is one sample
    captions: some lines above each; out: folder / name, to which .png and .svg are added
    """
    from matplotlib.colors import LogNorm

    positive = np.concatenate([matrix[matrix > 0] for matrix in matrices])
    low, high = float(positive.min()), float(positive.max())
    scale = LogNorm(low, high)
    with house_style():
        figure, panels = new_figure(_PANEL * len(groups), rows=len(groups))
        for n, (axes, classes, matrix) in enumerate(zip(panels, groups, matrices, strict=True)):
            image = _heat_map(axes, classes, matrix, errors[n] if errors else None, scale)
            axes.set_title(f"{'abcdefgh'[n]}   {captions[n]}", pad=20)
        bar = figure.colorbar(image, ax=panels, location="bottom", aspect=40, fraction=0.03)
        ticks = [tick for tick in round_ticks(low) if low <= tick <= high]
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        bar.minorticks_off()
        bar.set_label(f"{UNITS} (logarithmic)", fontsize=8)
        bar.outline.set_visible(False)
        figure.suptitle(title, fontsize=9, x=0.02, ha="left")
        return save(figure, out.parent, out.name)


def round_ticks(low: float) -> list[float]:
    """Round numbers from below ``low`` on: 1, 2 and 5 times powers of ten."""
    start = math.floor(math.log10(low))
    return [digit * 10.0**power for power in range(start, start + 7) for digit in (1, 2, 3, 5, 7)]


def _heat_map(
    axes: Axes, classes: Classes, matrix: Array, errors: Array | None, scale: LogNorm
) -> AxesImage:
    words = [word for members in classes.values() for word in members]
    n, decimals = len(words), decimals_of(matrix)
    positive = np.ma.masked_less_equal(matrix, 0)  # a word is at 0 from itself: no finding
    image = axes.imshow(positive, cmap=SCALE, norm=scale)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(range(n), words, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), words)
    for i in range(n):
        for j in range(n):
            if matrix[i, j] <= 0:
                axes.text(j, i, "0", ha="center", va="center", color="#595959", size=8)
                continue
            colour, value = ink(image, matrix[i, j]), f"{matrix[i, j]:.{decimals}f}"
            if errors is None:
                axes.text(j, i, value, ha="center", va="center", color=colour, size=8)
            else:
                below = f"±{errors[i, j]:.{decimals}f}"
                axes.text(j, i - 0.17, value, ha="center", va="center", color=colour, size=8)
                axes.text(j, i + 0.23, below, ha="center", va="center", color=colour, size=6.5)
    start = 0
    for name, members in classes.items():
        if start:
            axes.axhline(start - 0.5, color="white", linewidth=4)
            axes.axvline(start - 0.5, color="white", linewidth=4)
        middle = start + (len(members) - 1) / 2
        axes.text(middle, -0.65, name, ha="center", va="bottom", style="italic", size=8)
        start += len(members)
    return image


def decimals_of(distances: Array) -> int:
    """As many as the largest distance needs to show three digits; 0 from 100 on."""
    return max(0, 2 - math.floor(math.log10(distances.max())))


def ink(image: AxesImage, value: float) -> str:
    """Black or white: the one with more contrast to the colour of the value (WCAG)."""
    channels = np.array(image.cmap(image.norm(np.asarray(value)))[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "black" if luminance > 0.179 else "white"  # where both contrasts are equal

"""Where, when and how sure: the maps of every sample, the profile over steps, convergence in k."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...core.text import number_of
from ...core.uncertainty import estimate
from ...explanation.record import Array, Explanation
from .explain_style import EDGE, LEAD, SIZES, A, B, draw_key, line, small_print
from .sheet import COLUMN, GREY, HEAT, Sheet, overlaid
from .style import house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SAMPLES = 6  # rows of maps
MOST_PROFILES = 12  # small multiples
_LABELS = 0.55  # inches: the column of row labels
_HEAD = 2 * line("key") + 0.1
_PLOT = 1.35  # inches: the height of one plot
_LEFT, _BELOW = 0.46, 0.36  # inches: for its labels


def draw_where(found: Explanation) -> Figure:
    """Maps over the pictures: the mean first, then a row a sample."""
    with house_style():
        pictures = found.pictures
        samples = min(found.maps.shape[0], MOST_SAMPLES)
        columns = 2 if pictures is None else 4
        height, width = found.maps.shape[3:] if pictures is None else pictures.finals.shape[2:4]
        cell = (COLUMN - _LABELS - EDGE) / 4
        tall = cell * min(2.0, max(0.25, height / width))
        maps = found.maps.mean(axis=2)  # (samples, 2, h, w): as the distance, a mean over steps
        rows = [maps.mean(axis=0), *maps[:samples]] if len(maps) > 1 else [maps[0]]
        said = "maps: share of d at a latent position, all steps"
        if pictures is not None:
            said += "; over a picture the colours are mixed with its grey"
        if samples < len(maps):
            said += f"; {samples} of {number_of(len(maps), 'sample')}"
        probe = Sheet(COLUMN, 1)
        notes = small_print(probe, said, found)
        top = _HEAD + line("label") + 0.03
        below = 0.3 + len(notes) * line("note") + EDGE
        sheet = Sheet(COLUMN, top + len(rows) * tall + 0.06 + below)
        draw_key(sheet, found)
        heads = ("forward", "backward") if pictures is None else (
            "picture of A", "forward", "backward", "picture of B"
        )  # fmt: skip
        colours = (A, B) if pictures is None else (A, A, B, B)
        for column, (head, colour) in enumerate(zip(heads, colours, strict=True)):
            middle = _LABELS + (column + 0.5) * cell
            sheet.text(middle, _HEAD, head, SIZES["label"], ha="center", color=colour)
        most = float(max(row.max() for row in rows)) or 1.0
        for n, row in enumerate(rows):
            mean = n == 0 and len(rows) > 1
            sample = None if mean else n - (len(rows) > 1)
            place = (_LABELS, top + n * tall, cell, tall)
            _label(sheet, found, sample, place[1] + tall / 2)
            _maps(sheet, found, row, sample, place, columns, most)
        _scale(sheet, top + len(rows) * tall + 0.1, most / (found.distance.value or 1.0))
        _print(sheet, notes, sheet.height - below + 0.28)
        return sheet.figure


def _label(sheet: Sheet, found: Explanation, sample: int | None, middle: float) -> None:
    if sample is None:
        said = f"mean of\n{number_of(len(found.maps), 'sample')}"
    else:
        said = f"sample {sample + 1}\nd = {found.values[sample]:.4g}"
    sheet.text(EDGE, middle, said, SIZES["label"], va="center", linespacing=LEAD)


def _maps(
    sheet: Sheet,
    found: Explanation,
    maps: Array,
    sample: int | None,
    place: tuple[float, float, float, float],
    columns: int,
    most: float,
) -> None:
    """One row: the maps of both directions, over the pictures of a sample where there are any."""
    left, top, cell, tall = place

    def inside(column: int) -> tuple[float, float, float, float]:
        return left + column * cell + 0.01, top + 0.01, cell - 0.02, tall - 0.02

    first = 0 if columns == 2 else 1
    for direction in (0, 1):
        where = inside(first + direction)
        if sample is None or found.pictures is None:
            look = {"cmap": HEAT, "vmin": 0, "vmax": most, "interpolation": "nearest"}
            sheet.picture(where, maps[direction], **look)
            continue
        picture = found.pictures.finals[sample, direction]
        sheet.picture(inside(3 * direction), picture)
        sheet.picture(where, overlaid(picture, maps[direction], most))


def _scale(sheet: Sheet, top: float, most: float) -> None:
    """The colours of the maps. most: the share of the brightest."""
    ramp = np.linspace(0, 1, 256)[None]
    width = 1.0
    sheet.picture((_LABELS, top, width, 0.08), ramp, cmap=HEAT, vmin=0, vmax=1)
    sheet.text(_LABELS - 0.04, top + 0.04, "0", SIZES["label"], ha="right", va="center")
    sheet.text(
        _LABELS + width + 0.04, top + 0.04, f"{100 * most:.2g} % of d", SIZES["label"], va="center"
    )


def draw_when(found: Explanation) -> Figure:
    """The share of every step on either trajectory, with intervals over samples."""
    with house_style():
        samples = len(found.maps)
        said = "shares of all steps on both trajectories add up to 100 %"
        if samples > 1:
            said += f"; bands: 95 % intervals of each step's mean over {samples} samples"
        sheet, axes = _plot(found, said, _PLOT)
        whole = float(found.profile.mean(axis=0).sum()) or 1.0
        steps = np.arange(1, found.maps.shape[2] + 1)
        for direction, (colour, marker, name) in enumerate(
            ((A, "o", "on the trajectory of A"), (B, "s", "on the trajectory of B"))
        ):
            profile = 100 * found.profile[:, direction] / whole
            axes.plot(
                steps, profile.mean(axis=0), color=colour, marker=marker, markersize=2.5,
                linewidth=1, label=name,
            )  # fmt: skip
            if samples > 1:
                low, high = zip(*(_interval(profile[:, n]) for n in range(len(steps))), strict=True)
                axes.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.set_ylim(0, 1.15 * float(100 * found.shares.max()) or 1.0)
        if samples > 1:
            highest = 100 * found.profile.max() / whole
            axes.set_ylim(0, 1.15 * highest or 1.0)
        axes.set_xlabel("step, from noise to picture")
        axes.set_ylabel("share of d, %")
        _whole_numbers(axes)
        axes.legend(loc="best", fontsize=SIZES["label"], handlelength=1.5)
        return sheet.figure


def _interval(values: Array) -> tuple[float, float]:
    found = estimate(torch.from_numpy(np.ascontiguousarray(values)))
    return found.interval or (found.value, found.value)


def draw_sure(found: Explanation) -> Figure:
    """Convergence in k with its standard error; below, the profile of every sample."""
    with house_style():
        values = found.values
        shown = min(len(values), MOST_PROFILES)
        rows = math.ceil(shown / 4)
        small = 0.62
        said = (
            "above: mean of the first k samples ± standard error, and the distance of each sample"
            "; below: share of d step by step, one sample a panel, on one scale"
        )
        if shown < len(values):
            said += f"; {shown} of {len(values)} samples"
        extra = rows * small + 0.22
        sheet, axes = _plot(found, said, _PLOT, extra)
        counts = np.arange(1, len(values) + 1)
        means = np.cumsum(values) / counts
        errors = [values[:k].std(ddof=1) / math.sqrt(k) if k > 1 else np.nan for k in counts]
        axes.fill_between(counts, means - errors, means + errors, color="black", alpha=0.15, lw=0)
        axes.plot(counts, means, color="black", linewidth=1.1, label="mean of k ± standard error")
        axes.plot(
            counts, values, linestyle="", marker="o", markersize=2.5, color="#009E73",
            label="one sample",
        )  # fmt: skip
        axes.set_xlabel("k, number of samples")
        axes.set_ylabel("d")
        _whole_numbers(axes)
        axes.legend(loc="best", fontsize=SIZES["label"], handlelength=1.5)
        _profiles(sheet, found, shown, _HEAD + _PLOT + _BELOW + 0.1, small)
        return sheet.figure


def _profiles(sheet: Sheet, found: Explanation, shown: int, top: float, small: float) -> None:
    """Small multiples: both directions of each sample, all on one scale."""
    whole = float(found.profile.mean(axis=0).sum()) or 1.0
    shares = 100 * found.profile[:shown] / whole
    most = float(shares.max()) or 1.0
    width = (COLUMN - _LEFT - EDGE) / 4
    steps = np.arange(1, shares.shape[2] + 1)
    for sample in range(shown):
        row, column = divmod(sample, 4)
        place = (_LEFT + column * width, top + row * small + 0.12, width - 0.08, small - 0.2)
        axes = sheet.axes(place)
        axes.plot(steps, shares[sample, 0], color=A, linewidth=0.9)
        axes.plot(steps, shares[sample, 1], color=B, linewidth=0.9, linestyle="--")
        axes.set_ylim(0, 1.05 * most)
        axes.set_xticks([])
        axes.set_yticks([0, most], ["0", f"{most:.2g} %"] if column == 0 else ["", ""])
        axes.tick_params(labelsize=SIZES["note"], length=2)
        axes.set_title(f"sample {sample + 1}", fontsize=SIZES["note"], pad=2)


def _plot(found: Explanation, said: str, tall: float, extra: float = 0.0) -> tuple[Sheet, Axes]:
    """A sheet with key, axes of that height and small print; ``extra`` inches lie between."""
    notes = small_print(Sheet(COLUMN, 1), said, found)
    below = len(notes) * line("note") + EDGE
    sheet = Sheet(COLUMN, _HEAD + tall + _BELOW + extra + below)
    draw_key(sheet, found)
    axes = sheet.axes((_LEFT, _HEAD, COLUMN - _LEFT - 2 * EDGE, tall))
    axes.tick_params(labelsize=SIZES["label"], length=2)
    axes.xaxis.label.set_fontsize(SIZES["key"])
    axes.yaxis.label.set_fontsize(SIZES["key"])
    _print(sheet, notes, sheet.height - below)
    return sheet, axes


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))


def _print(sheet: Sheet, notes: list[str], top: float) -> None:
    sheet.text(
        EDGE, top, "\n".join(notes), SIZES["note"], color=GREY, linespacing=LEAD, gid="note"
    )  # fmt: skip

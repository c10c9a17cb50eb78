"""How far words moved between two processes: targets, and bystanders below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.text import shown
from .style import COLOURS, house_style, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Moved:
    """One word; figures are shares of a typical distance. See ``comparison.erasure.Movement``."""

    word: str
    target: bool
    itself: float | None
    error: float | None
    relations: float
    no_change: float


def draw_moved(words: Sequence[Moved], out: Path, *, title: str) -> list[Path]:
    """A row for each word: its own divergence on the left, its relations on the right."""
    own = any(one.itself is not None for one in words)
    with house_style():
        figure, axes = new_figure(1.6 + 0.24 * len(words), 1, 2 if own else 1)
        if own:
            _own(axes[0], words)
        _relations(axes[-1], words, named=not own)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
        handles = {
            label: handle
            for each in axes
            for handle, label in zip(*each.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower left", ncols=4)
        return save(figure, out.parent, out.name)


def _own(axes: Axes, words: Sequence[Moved]) -> None:
    for target, label, marker, colour in (
        (True, "target", "s", COLOURS[1]),
        (False, "bystander", "o", COLOURS[0]),
    ):
        places = [n for n, one in enumerate(words) if one.target == target]
        values = [words[n].itself or 0.0 for n in places]
        errors = [words[n].error or 0.0 for n in places]
        axes.errorbar(
            values, places, xerr=errors, fmt=marker, color=colour, markersize=4, label=label
        )
    axes.set_xlabel("itself: divergence,\nshare of a typical distance")
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    _rows(axes, words, named=True)


def _relations(axes: Axes, words: Sequence[Moved], *, named: bool) -> None:
    for n, one in enumerate(words):
        axes.plot([one.no_change, one.relations], [n, n], color="#999999", linewidth=1.0)
    places = range(len(words))
    axes.plot(
        [one.no_change for one in words],
        places,
        "|",
        color="black",
        markersize=8,
        label="no change (other seeds)",
    )
    for target, label, marker, colour in (
        (True, "target", "s", COLOURS[1]),
        (False, "bystander", "o", COLOURS[0]),
    ):
        chosen = [n for n in places if words[n].target == target]
        moved = [words[n].relations for n in chosen]
        axes.plot(moved, chosen, marker, color=colour, markersize=4, label=label)
    axes.set_xlabel("relations: mean change,\nshare of the mean distance")
    axes.set_xlim(left=0)
    _rows(axes, words, named=named)


def _rows(axes: Axes, words: Sequence[Moved], *, named: bool) -> None:
    axes.set_yticks(range(len(words)), [shown(one.word, 24) if named else "" for one in words])
    axes.set_ylim(len(words) - 0.5, -0.5)  # the first on top
    axes.grid(False, axis="y")

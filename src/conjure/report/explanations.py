"""An explanation as a file or a folder: what each kind of file shows, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError
from ..datasets.files import check_folder, check_output
from ..datasets.tables import write_rows
from ..explanation.record import Explanation
from ..explanation.tables import pair_rows, step_rows, word_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
DATA = (".npz",)
FIGURES = ("steps",)  # the first is the one that a single file shows
_ENDS = (".png", ".svg")  # of a figure in a folder


@dataclass(frozen=True)
class Output:
    """Where an explanation goes.

    path:   a file of a known kind, or a folder; figure: which figure a single file shows
    """

    path: Path
    figure: str = FIGURES[0]

    @property
    def folder(self) -> bool:
        """Whether it is a folder: one that exists, or a name without an ending."""
        return self.path.is_dir() or not self.path.suffix

    def check(self, *, overwrite: bool, words: bool) -> None:
        """Raise InputError where it could not be written, before anything is computed."""
        if not self.folder and self.path.suffix.lower() not in kinds():
            raise InputError(
                f"{self.path}: unknown kind of file; use {', '.join(kinds())}, or a folder (a name "
                "without an ending)"
            )
        if self.figure == "words" and not words:
            raise InputError("--figure words shows what words do: give --words, too")
        if self.folder or self.path.suffix.lower() in PICTURES:
            from .plots.style import check_matplotlib

            check_matplotlib()
        if not self.folder:
            check_output(self.path, overwrite=overwrite)
            if not os.access(self.path.parent, os.W_OK | os.X_OK):
                raise InputError(f"cannot write to {self.path.parent}: Permission denied")
            return
        check_folder(self.path)
        if self.path.is_dir() and any(self.path.iterdir()) and not overwrite:
            raise InputError(f"{self.path} is not empty; give --overwrite to write into it")


def kinds() -> tuple[str, ...]:
    """The endings of files that an explanation can be written to."""
    return (*PICTURES, *DATA)


def write_explanation(found: Explanation, output: Output) -> list[Path]:
    """Write it; returns the files."""
    if output.folder:
        return list(_write_folder(found, output.path))
    suffix = output.path.suffix.lower()
    if suffix in PICTURES:
        _write_figure(found, output.figure, output.path)
    else:
        found.save(output.path)
    return [output.path]


def _write_folder(found: Explanation, folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in FIGURES:
        if name == "words" and found.words is None:
            continue
        for end in _ENDS:
            _write_figure(found, name, folder / f"{name}{end}")
            yield folder / f"{name}{end}"
    for name, rows in (("steps", step_rows), ("words", word_rows), ("word-pairs", pair_rows)):
        if table := list(rows(found)):
            write_rows(folder / f"{name}.csv", tuple(table[0]), table)
            yield folder / f"{name}.csv"
    found.save(folder / "explanation.npz")
    yield folder / "explanation.npz"


def draw(found: Explanation, figure: str) -> Figure:
    """A figure by its name."""
    from .plots.explain import draw_steps

    drawers: dict[str, Callable[[Explanation], Any]] = {"steps": draw_steps}
    drawn: Figure = drawers[figure](found)
    return drawn


def _write_figure(found: Explanation, name: str, path: Path) -> None:
    from .plots.sheet import write_figure

    write_figure(draw(found, name), path)

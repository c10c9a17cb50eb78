"""An explanation as a file or a folder: what each kind of file shows, and what is refused."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import InputError
from ..datasets.files import check_folder, check_output, reason
from ..datasets.tables import write_rows
from ..explanation.morph import Morph
from ..explanation.record import Explanation
from ..explanation.tables import pair_rows, step_rows, word_rows
from .animation import FILMS, check_film, write_film
from .page import write_page
from .page.sentences import summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
PAGES = (".html",)
DATA = (".npz",)
FIGURES = ("steps", "where", "when", "sure", "words")  # a single file shows the first
_ENDS = (".png", ".svg")  # of a figure in a folder


@dataclass(frozen=True)
class Output:
    """Where an explanation goes.

    path:   a file of a known kind, or a folder; figure: which figure a single file shows
    wide:   whether the figure ``steps`` is two columns of a paper wide
    """

    path: Path
    figure: str = FIGURES[0]
    wide: bool = False

    @property
    def folder(self) -> bool:
        """Whether it is a folder: one that exists, or a name without an ending."""
        return self.path.is_dir() or not self.path.suffix

    @property
    def film(self) -> bool:
        """Whether it is an animation, which needs a morph and no explanation."""
        return not self.folder and self.path.suffix.lower() in FILMS

    def check(self, *, overwrite: bool, words: bool, samples: int) -> None:
        """Raise InputError where it could not be written, before anything is computed."""
        if not self.folder and self.path.suffix.lower() not in kinds():
            raise InputError(
                f"{self.path}: unknown kind of file; use {', '.join(kinds())}, or a folder (a name "
                "without an ending)"
            )
        if self.wide and self.figure != "steps":
            raise InputError("--wide is for the figure steps alone: leave it out")
        if self.figure == "words" and not words:
            raise InputError("--figure words shows what words do: give --words, too")
        if self.figure == "sure" and samples < 2:
            raise InputError("--figure sure compares samples: give --samples 4 or more")
        if self.folder or self.path.suffix.lower() in (*PICTURES, *PAGES):
            from .plots.style import check_matplotlib

            check_matplotlib()
        if self.film:
            check_film(self.path)
        if not self.folder:
            check_output(self.path, overwrite=overwrite)
            check_writable(self.path.parent)
            return
        check_folder(self.path)
        if self.path.is_dir() and any(self.path.iterdir()) and not overwrite:
            raise InputError(f"{self.path} is not empty; give --overwrite to write into it")


def check_writable(folder: Path) -> None:
    """Raise InputError where no file can be made in a folder, by making one that has no name."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {reason(error)}") from error


def kinds() -> tuple[str, ...]:
    """The endings of files that an explanation can be written to."""
    return (*PAGES, *PICTURES, *FILMS, *DATA)


def write_explanation(found: Explanation, output: Output, made: Morph | None = None) -> list[Path]:
    """Write it; returns the files. made: an animation that a folder gets, too."""
    if output.folder:
        files = list(_write_folder(found, output))
        return files if made is None else [*files, write_film(made, output.path / "morph.gif")]
    suffix = output.path.suffix.lower()
    if suffix in PICTURES:
        _write_figure(found, output.figure, output.path, wide=output.wide)
    elif suffix in PAGES:
        write_page(found, output.path)
    else:
        found.save(output.path)
    return [output.path]


def _write_folder(found: Explanation, output: Output) -> Iterator[Path]:
    folder = output.path
    folder.mkdir(parents=True, exist_ok=True)
    yield write_page(found, folder / "report.html")
    for name in FIGURES:
        if name not in figures_of(found):
            continue
        for end in _ENDS:
            wide = output.wide and name == "steps"
            _write_figure(found, name, folder / f"{name}{end}", wide=wide)
            yield folder / f"{name}{end}"
    for name, rows in (("steps", step_rows), ("words", word_rows), ("word-pairs", pair_rows)):
        if table := list(rows(found)):
            write_rows(folder / f"{name}.csv", tuple(table[0]), table)
            yield folder / f"{name}.csv"
    found.save(folder / "explanation.npz")
    yield folder / "explanation.npz"


def figures_of(found: Explanation) -> tuple[str, ...]:
    """The figures that an explanation has."""
    absent = {"words"} if found.words is None else set()
    absent |= {"sure"} if len(found.maps) < 2 else set()
    return tuple(name for name in FIGURES if name not in absent)


def draw(found: Explanation, figure: str, *, wide: bool = False) -> Figure:
    """A figure by its name, one of ``figures_of``. wide: for ``steps`` alone."""
    from .plots.explain import draw_steps
    from .plots.explain_parts import draw_sure, draw_when, draw_where
    from .plots.explain_words import draw_words

    if wide:
        return draw_steps(found, wide=True)
    drawers = (draw_steps, draw_where, draw_when, draw_sure, draw_words)
    return dict(zip(FIGURES, drawers, strict=True))[figure](found)


def _write_figure(found: Explanation, name: str, path: Path, *, wide: bool) -> None:
    from .plots.sheet import write_figure

    write_figure(draw(found, name, wide=wide), path, alternative_text(found))


def alternative_text(found: Explanation) -> str:
    """What an explanation shows, in words: both texts in full, the numbers, the signature."""
    distance = found.distance
    error = "" if distance.standard_error is None else f" ± {distance.standard_error:.2g}"
    said = [
        f'The distance of "{found.texts[0]}" and "{found.texts[1]}" is {distance.value:.6g}{error}.'
    ]
    said += [answer for _, answer in summary(found)]
    return " ".join([*said, str(distance.signature)])

"""Pictures of texts as one figure: a row a text, a column a sample."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import InputError
from ...core.text import printable
from ...datasets.files import check_output, replacing
from ...display import drawable as drawable
from .style import check_matplotlib, house_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

SUFFIXES = (".png", ".svg", ".pdf")
MOST = 1024  # pictures of one figure
_CELL = 1.15  # inches: side of one picture
_LABEL = 1.5  # inches: the column of texts
_GAP = 0.06
_SIZES = {"label": 8.0, "note": 5.5}  # points
_LEADING = 1.3  # line height by size of type
_DPI = 200
_FRAME = "#b0b0b0"
# Without dates and versions, the same pictures are the same file.
METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

Measure = Callable[[str, float], float]  # a text and its size in points → its width in inches


def check_picture_file(path: Path, *, overwrite: bool) -> None:
    """Raise InputError where the figure could not be drawn or written."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: unknown kind of picture; use {', '.join(SUFFIXES)}")
    check_matplotlib()
    check_output(path, overwrite=overwrite)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {path.parent}: Permission denied")


def check_count(texts: int, samples: int) -> None:
    """Raise InputError for more pictures than a figure holds."""
    if texts * samples > MOST:
        raise InputError(
            f"{texts:,} texts and {samples:,} samples are {texts * samples:,} pictures; one figure"
            f" holds {MOST:,}"
        )


def draw_pictures(pictures: Tensor, texts: Sequence[str], note: str, path: Path) -> None:
    """Write the figure.

    pictures: (n, k, 3, height, width) in 0 … 1
    texts:    the n labels of the rows; long ones are wrapped and shortened
    note:     what is printed small below, such as the signature
    """
    rows, columns, _, height, width = pictures.shape
    tall = _CELL * height / width
    whole = _LABEL + columns * (_CELL + _GAP) + _GAP
    with house_style():
        figure, measure = canvas(whole)
        note_lines = wrapped(drawable(note), whole - 2 * _GAP, _SIZES["note"], measure)
        below = (len(note_lines) + 0.8) * line_height(_SIZES["note"])
        total = rows * (tall + _GAP) + _GAP + below
        figure.set_size_inches(whole, total)
        for row, text in enumerate(texts):
            bottom = total - (row + 1) * (tall + _GAP)
            most = max(1, int(tall / line_height(_SIZES["label"])))
            label = wrapped(drawable(text), _LABEL - 2 * _GAP, _SIZES["label"], measure, most)
            figure.text(
                _GAP / whole,
                (bottom + tall / 2) / total,
                "\n".join(label),
                size=_SIZES["label"],
                linespacing=_LEADING,
                va="center",
                gid=f"label-{row}",
            )
            for column in range(columns):
                left = _LABEL + column * (_CELL + _GAP)
                place = (left / whole, bottom / total, _CELL / whole, tall / total)
                axes = figure.add_axes(place)
                axes.imshow(pictures[row, column].permute(1, 2, 0).numpy(), aspect="auto")
                axes.set(xticks=[], yticks=[])
                # A frame, so that white pictures side by side do not look like one.
                axes.spines[:].set(visible=True, color=_FRAME, linewidth=0.5)
        figure.text(
            _GAP / whole,
            below / total / 2,
            "\n".join(note_lines),
            size=_SIZES["note"],
            linespacing=_LEADING,
            va="center",
            color="#595959",
            gid="note",
        )
        suffix = path.suffix.lower()
        with replacing(path) as draft:
            figure.savefig(draft, format=suffix[1:], dpi=_DPI, metadata=METADATA[suffix])


def wrapped(
    text: str, width: float, size: float, measure: Measure, most: int | None = None
) -> list[str]:
    """A text in lines of at most ``width`` inches; a text of more than ``most`` lines ends in "…".

    Lines break at blanks. A word that is wider than a line is broken anywhere.
    """
    lines, line = [], ""
    for word in printable(" ".join(text.split())).split(" "):
        longer = f"{line} {word}" if line else word
        if measure(longer, size) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = ""
        for letter in word:
            if line and measure(line + letter, size) > width:
                lines.append(line)
                line = ""
            line += letter
    lines.append(line)
    if most is None or len(lines) <= most:
        return lines
    last = lines[most - 1]
    while last and measure(f"{last}…", size) > width:
        last = last[:-1]
    return [*lines[: most - 1], f"{last.rstrip()}…"]


def paragraphs(text: str, width: float, size: float, measure: Measure) -> list[str]:
    """Each line of a text in lines of at most ``width`` inches, as the font can draw them."""
    return [
        line for part in text.split("\n") for line in wrapped(drawable(part), width, size, measure)
    ]


def line_height(size: float) -> float:
    """The height of a line in inches."""
    return size * _LEADING / 72


def canvas(width: float) -> tuple[Figure, Measure]:
    """An empty figure, and how wide its texts are."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    figure = Figure(figsize=(width, 1), dpi=_DPI)
    renderer: Any = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]

    def measure(text: str, size: float) -> float:
        pixels, *_ = renderer.get_text_width_height_descent(text, FontProperties(size=size), False)
        return float(pixels) / _DPI

    return figure, measure

"""A ``Matrix`` as a picture, and as HTML for notebooks."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import InputError
from ..core.text import brief, number_of, shown
from ..datasets.files import replacing
from ..report.plots.heatmap import NUMBERS_WITH_ERRORS, UNIT, HeatMap, draw_cells, draw_heat_map
from ..report.plots.pictures import METADATA
from ..report.plots.style import house_style
from ..report.plots.textmap import TextMap, draw_map, draw_text_map
from .record import Matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("heatmap", "map")
_MOST = 12  # texts, up to which the HTML has all numbers; above, the nearest of each text
_DPI = 200  # 1,000 px wide
_ROWS = 50  # rows of the HTML's table


def plot(matrix: Matrix, ax: Axes | None, kind: str) -> Axes:
    """See ``Matrix.plot``."""
    if kind not in KINDS:
        raise InputError(f"unknown kind of plot {brief(kind)}; choose one of {', '.join(KINDS)}")
    with house_style():
        if ax is None:
            return _figure(matrix, kind)[1]
        if kind == "map":
            draw_map(ax, _text_map(matrix))
        else:
            draw_cells(ax, _heat_map(matrix))
    return ax


def write_picture(matrix: Matrix, path: Path, kind: str = "heatmap") -> None:
    """Write a picture as PNG, SVG or PDF, complete or not at all."""
    suffix = path.suffix.lower()
    with house_style():
        figure, _ = _figure(matrix, kind)
        with replacing(path) as draft:
            figure.savefig(draft, format=suffix[1:], dpi=_DPI, metadata=METADATA[suffix])


def png(matrix: Matrix, dpi: int = 120) -> bytes | None:
    """The heat map as PNG; None without matplotlib, or where all distances are 0."""
    try:
        with house_style():
            figure, _ = _figure(matrix, "heatmap")
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=dpi)
    except InputError:
        return None
    return file.getvalue()


def _figure(matrix: Matrix, kind: str) -> tuple[Figure, Axes]:
    if kind == "map":
        return draw_text_map(_text_map(matrix))
    return draw_heat_map(_heat_map(matrix))


def _heat_map(matrix: Matrix) -> HeatMap:
    title = f"{matrix.estimand}, {number_of(len(matrix), 'text')}, k = {matrix.samples}"
    if matrix.classes is not None:
        title += separation_words(matrix)
    if not matrix.is_symmetric:
        title += "\nrow: the first text, on whose trajectories it is measured; column: the second"
    cells = ""
    if matrix.standard_errors is not None and len(matrix) <= NUMBERS_WITH_ERRORS:
        cells = f" In the cells: mean ± standard error over {matrix.samples} samples."
    return HeatMap(
        matrix.texts,
        matrix.values,
        matrix.standard_errors,
        matrix.cluster(),
        matrix.classes,
        title,
        UNIT,
        f"Order and tree: average linkage.{cells}\n{matrix.signature}",
    )


def separation_words(matrix: Matrix) -> str:
    """The test of the classes as the end of a title; nothing where there is nothing to compare."""
    try:
        test = matrix.between_within()
    except InputError:
        return ""
    least = f" (least possible {test.min_p:.2g})" if test.p_value == test.min_p else ""
    return (
        f"\nmean distance within classes {test.within:.3g}, across {test.between:.3g}; "
        f"permutation test: p = {test.p_value:.2g}{least}"
    )


def _text_map(matrix: Matrix) -> TextMap:
    scaling = matrix.mds()
    title = (
        f"{matrix.estimand}, {number_of(len(matrix), 'text')}: classical scaling of √d\n"
        f"stress {scaling.stress:.2f}; {scaling.shown:.0%} of the positive spectrum shown; "
        f"{scaling.negative:.1%} of the spectrum is negative"
    )
    note = f"A divergence is no metric, so the map is an approximation.\n{matrix.signature}"
    return TextMap(matrix.texts, scaling, matrix.classes, title, note)


def html(matrix: Matrix) -> str:
    """The heat map with its numbers below it, for a notebook. Texts are escaped."""
    title = f"{matrix.estimand}: {number_of(len(matrix), 'text')}, k = {matrix.samples}"
    picture = png(matrix)
    parts = [f"<figure><figcaption>{escape(title)}</figcaption>"]
    if picture is not None:
        data = base64.b64encode(picture).decode()
        alt = f"Heat map of the distances between {number_of(len(matrix), 'text')}"
        parts.append(f'<img alt="{alt}" style="max-width:100%" src="data:image/png;base64,{data}">')
    parts += [_table(matrix), f"<small>{escape(str(matrix.signature))}</small></figure>"]
    return "".join(parts)


def _table(matrix: Matrix) -> str:
    if len(matrix) <= _MOST:
        head = ["", *matrix.texts]
        rows = [
            [text, *(f"{value:.4g}" for value in line)]
            for text, line in zip(matrix.texts, matrix.values, strict=True)
        ]
        return html_table(head, rows)
    rows = [
        [text, ", ".join(f"{shown(one.text, 60)} {one.value:.4g}" for one in near)]
        for text, near in list(matrix.nearest(3).items())[:_ROWS]
    ]
    more = len(matrix) - len(rows)
    table = html_table(["text", "nearest"], rows)
    return f"{table}<p>and {number_of(more, 'more text')}</p>" if more else table


def html_table(head: list[str], rows: list[list[str]]) -> str:
    """A table whose first column names the rows; everything is escaped."""
    cells = [f'<th scope="col">{escape(shown(one))}</th>' for one in head]
    lines = [f"<tr>{''.join(cells)}</tr>"]
    for first, *rest in rows:
        cells = [f'<th scope="row">{escape(shown(first))}</th>']
        cells += [f"<td>{escape(shown(one, 1000))}</td>" for one in rest]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"

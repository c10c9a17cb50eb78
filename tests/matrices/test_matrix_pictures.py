"""Pictures of matrices: nothing overlaps, and what is drawn is what was measured."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.text import Text

from conjure.core.errors import InputError
from conjure.core.spec import Signature
from conjure.matrices.display import html, plot, png, write_picture
from conjure.matrices.record import Matrix
from conjure.report.plots.labels import Box, place_labels
from conjure.report.plots.style import house_style


def made(n: int, classes: int = 3, zero: bool = False) -> Matrix:
    """Points in the plane with names of unlike length as texts."""
    draw = np.random.default_rng(n)
    points = draw.normal(size=(n, 2)) + np.repeat(draw.normal(size=(classes, 2)) * 4, n, axis=0)[:n]
    values = 100 * ((points[:, None] - points[None]) ** 2).sum(axis=2)
    texts = tuple(f"{'long name ' * (i % 4)}<b>{i}</b>" for i in range(n))
    labels = tuple(f"class {i % classes}" for i in range(n))
    values = values * 0 if zero else values
    errors = values / 10
    return Matrix(texts, values, errors, labels, "jeffreys", 2, Signature({"process": "x"}))


def boxes(figure, texts) -> list[Box]:
    figure.canvas.draw()
    found = [
        Text.get_window_extent(text) for text in texts if text.get_text() and text.get_visible()
    ]
    return [Box(one.x0, one.y0, one.x1, one.y1) for one in found]


def overlaps(found: list[Box]) -> int:
    return sum(one.overlaps(other) for one, other in itertools.combinations(found, 2))


@pytest.mark.parametrize("n", [2, 8, 12, 40, 70])
def test_labels_of_a_heat_map_do_not_overlap(n) -> None:
    with house_style():
        axes = plot(made(n), None, "heatmap")
        figure = axes.figure
        rows = boxes(figure, axes.get_yticklabels())
        columns = boxes(figure, axes.get_xticklabels())
        numbers = boxes(figure, axes.texts)
        width, height = figure.bbox.width, figure.bbox.height
    page = Box(0, 0, width, height)
    assert len(rows) == n
    assert overlaps(rows) == overlaps(columns) == overlaps(numbers) == 0
    assert all(one.within(page) for one in [*rows, *columns, *numbers])
    parts = boxes(figure, list(figure.texts))
    assert overlaps(parts) == 0
    assert all(one.within(page) for one in parts)
    assert not any(part.overlaps(label) for part in parts for label in [*rows, *columns])


@pytest.mark.parametrize("n", [2, 8, 40, 120])
def test_labels_of_a_map_overlap_neither_each_other_nor_a_point(n) -> None:
    with house_style():
        axes = plot(made(n), None, "map")
        labels = boxes(axes.figure, axes.texts)
        points = axes.transData.transform(made(n).mds().points)
    assert len(labels) >= 0.7 * min(n, 60)
    assert overlaps(labels) == 0
    for box in labels:
        inside = (points > [box.left, box.bottom]).all(axis=1) & (
            points < [box.right, box.top]
        ).all(axis=1)
        assert not inside.any()
    said = " ".join(text.get_text() for text in axes.figure.texts)
    assert ("left out" in said) == (len(labels) < n)


def test_a_crowd_of_points_leaves_labels_out() -> None:
    found = place_labels([(50.0, 50.0)] * 30, [(40.0, 8.0)] * 30, Box(0, 0, 100, 100), 2.0)
    placed = [one for one in found if one is not None]
    assert 0 < len(placed) < 30


def test_the_numbers_in_the_cells_are_those_of_the_matrix() -> None:
    matrix = made(3)
    with house_style():
        axes = plot(matrix, None, "heatmap")
    order = matrix.cluster().order
    drawn = {text.get_text() for text in axes.texts}
    assert f"{matrix.values[order[0], order[1]]:.0f}" in drawn
    for label, place in zip(axes.get_yticklabels(), order, strict=True):
        assert label.get_text()[:9] == matrix.texts[place][:9]


@pytest.mark.parametrize("kind", ["heatmap", "map"])
@pytest.mark.parametrize("end", ["png", "svg", "pdf"])
def test_pictures_are_written_the_same_twice(tmp_path, kind, end) -> None:
    first, second = tmp_path / f"one.{end}", tmp_path / f"two.{end}"
    write_picture(made(5), first, kind)
    write_picture(made(5), second, kind)
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_bytes()) > 2000


def test_axes_of_ones_own_are_used() -> None:
    from matplotlib.figure import Figure

    for kind in ("heatmap", "map"):
        axes = Figure(figsize=(4, 4)).subplots()
        assert made(6).plot(axes, kind=kind) is axes
        assert axes.has_data()
    with pytest.raises(InputError, match="unknown kind"):
        made(3).plot(kind="pie")


def test_html_is_harmless_and_holds_the_numbers() -> None:
    matrix = made(3)
    found = html(matrix)
    assert "<b>" not in found
    assert "&lt;b&gt;" in found
    assert f"{matrix.values[0, 1]:.4g}" in found
    assert 'alt="Heat map' in found
    many = html(made(60))
    assert "and 10 more texts" in many


def test_zeros_are_said_and_not_drawn() -> None:
    assert png(made(3, zero=True)) is None
    assert "<img" not in html(made(3, zero=True))
    with pytest.raises(InputError, match="all distances are 0"):
        made(3, zero=True).plot()

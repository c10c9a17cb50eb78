"""Pictures: the same input is the same file, text can be read, nothing global is touched."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from conjure.paper.words import GROUPS
from conjure.report.plots.matrices import decimals_of, draw_matrices, ink
from conjure.report.plots.points import (
    Point,
    draw_along,
    draw_beside_names,
    draw_panels,
    draw_priors,
)
from conjure.report.plots.style import COLOURS, house_style
from conjure.stats.correlation import Correlation

WORDS = [group.classes for group in GROUPS]
POINTS = [
    Point(40.0, (30.0, 50.0), 12),
    Point(None, None, 3, "fewer than 20 pairs"),
    Point(-5.0, (-20.0, 10.0), 8),
]


def matrix() -> np.ndarray:
    values = np.random.default_rng(0).random((8, 8)) * 100
    return (values + values.T) * (1 - np.eye(8))


def test_the_same_figure_is_the_same_file_whatever_a_user_has_set(tmp_path) -> None:
    drawn = []
    for folder, size in (("one", 9.0), ("two", 25.0)):
        with matplotlib.rc_context({"font.size": size, "svg.hashsalt": None}):
            paths = draw_matrices(
                WORDS[:1], [matrix()], None, ["so"], tmp_path / folder / "m", title="t"
            )
            assert matplotlib.rcParams["font.size"] == size
        drawn.append([path.read_bytes() for path in paths])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("value", np.linspace(0, 1, 9))
def test_numbers_stand_out_from_their_cells(value) -> None:
    """WCAG asks for a contrast of 4.5 : 1 of text."""
    from matplotlib.figure import Figure

    with house_style():
        axes = Figure().subplots()
        image = axes.imshow([[0.0, 1.0]], cmap="viridis")
        found = ink(image, float(value))
    cell = luminance(image.cmap(image.norm(value))[:3])
    text = {"black": 0.0, "white": 1.0}[found]
    bright, dark = max(cell, text), min(cell, text)
    assert (bright + 0.05) / (dark + 0.05) >= 4.5


def luminance(colour) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("largest", "decimals"), [(0.0123, 4), (0.5, 3), (9.9, 2), (999, 0), (4e5, 0)]
)
def test_three_digits_of_the_largest_are_shown(largest, decimals) -> None:
    assert decimals_of(np.array([[0, largest], [largest, 0]])) == decimals


def test_no_two_series_share_a_colour() -> None:
    assert len(set(COLOURS)) == len(COLOURS)


def test_points_are_correlations_times_100() -> None:
    assert Point.of(Correlation(7, spearman=0.5, interval=(0.25, 0.75))) == Point(50, (25, 75), 7)
    assert Point.of(Correlation(2, reason="too few")) == Point(None, None, 2, "too few")


def test_what_is_missing_says_so_and_zero_is_marked(tmp_path) -> None:
    look = {"title": "so", "intervals": "bars: 95 % intervals over pairs"}
    draw_along([1, 3, 15], {"a": POINTS}, tmp_path / "along", axis="w", **look)
    draw_beside_names("xyz", {"a": POINTS, "b": POINTS}, tmp_path / "beside", **look)
    panels = {"set": {"x": POINTS[0], "z": POINTS[1]}, "other": {"y": POINTS[2]}, "third": {}}
    draw_panels("xyz", panels, tmp_path / "panels", axis="words", **look)
    for name in ("along", "beside", "panels"):
        drawn = (tmp_path / f"{name}.svg").read_text()
        assert "nan" not in drawn
        assert "<!-- bars: 95 % intervals over pairs -->" in drawn
    assert "<!-- 12 -->" in drawn  # of three panels, below its place, the n of a point
    assert drawn.count("<!-- no pairs -->") == 1 + 2 + 3
    assert "<!-- fewer than 20 pairs -->" in drawn


def test_points_stand_exactly_at_the_settings_that_were_measured(tmp_path) -> None:
    """Three series on one numeric axis: at each place three markers at the same x."""
    from matplotlib.figure import Figure

    whole = [Point(value, (value - 5, value + 5), 9) for value in (40.0, 50.0, 45.0)]
    figures = []

    def keep(figure: Figure, folder, name):
        figures.append(figure)
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("conjure.report.plots.points.save", keep)
        series = {"a": whole, "b": whole[::-1], "c": whole}
        draw_along([1, 3, 15], series, tmp_path / "x", title="", intervals="", axis="w")
        curves = {prior: {"k = 1": whole, "k = 5": whole} for prior in ("pointwise", "cumulative")}
        draw_priors(curves, tmp_path / "x", title="", intervals="")
    along, priors = figures
    assert lines_of(along.axes[0]) == [[1, 3, 15]] * 3
    for axes in priors.axes:
        assert lines_of(axes) == [[1, 2, 3]] * 2
        assert [*axes.get_xticks()] == [1, 2, 3]


def lines_of(axes) -> list[list[float]]:
    """Where the markers of each series stand."""
    return [[*line.get_xdata()] for line in axes.lines if line.get_marker() not in ("None", None)]


def test_matrices_share_a_scale_have_names_and_tell_their_errors(tmp_path) -> None:
    large, errors = matrix() + 1, np.full((8, 8), 7.0)
    paths = draw_matrices(
        WORDS,
        [large, large / 50],
        [errors, errors],
        ["animals", "verbs"],
        tmp_path / "m",
        title="",
    )
    drawn = paths[1].read_text()
    for text in ("a   animals", "b   verbs", "±7", "dogs", "sorrow"):
        assert f"<!-- {text} -->" in drawn, text
    assert drawn.count("logarithmic") == 1  # one scale for both
    assert (
        "±"
        not in draw_matrices(WORDS[:1], [large], None, ["animals"], tmp_path / "n", title="")[
            1
        ].read_text()
    )


def test_dollars_in_a_name_are_no_formula(tmp_path) -> None:
    for name in ("we$\\frac{x$", "a$b$"):
        panels, told = {name: {"x": POINTS[0]}}, {"title": name, "axis": name, "intervals": name}
        draw_panels("xyz", panels, tmp_path / "panels", **told)
        drawn = (tmp_path / "panels.svg").read_text()
        assert f"<!-- {name}" in drawn  # as it stands, and not read as a formula

"""Figures of explanations: every text stays on the page, none touches another, shares are right."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from plane_process import Planes

from conjure.explanation.measuring import explain
from conjure.explanation.record import Explanation, Pictures, Words
from conjure.report.explanations import FIGURES, alternative_text, draw, figures_of
from conjure.report.plots.explain import largest_cells, step_groups
from conjure.report.plots.sheet import COLUMN, overlaid, write_figure
from conjure.report.plots.style import house_style

LONG = "W" * 300
ODD = "one\ntwo\x1b[2J\u202e $x_0$ <b> 犬と猫 " * 3


def explanation(texts=("a", "b"), samples=3, steps=4, pictures=True, words=None) -> Explanation:
    """Measured on Gaussians; the pictures are noise."""
    from dataclasses import replace

    found = explain("a", "b", process=Planes(steps=steps), samples=samples)
    draw = np.random.default_rng(0)
    shown = None
    if pictures:
        shown = Pictures(
            True,
            0,
            draw.random((2, steps + 1, 6, 8, 3), dtype=np.float32),
            draw.random((2, steps, 2, 6, 8, 3), dtype=np.float32),
            draw.random((samples, 2, 6, 8, 3), dtype=np.float32),
        )
    distance = replace(found.distance, text1=texts[0], text2=texts[1])
    return replace(found, distance=distance, pictures=shown, words=words)


def words_of(first: tuple[str, ...], second: tuple[str, ...], samples: int = 3) -> Words:
    draw = np.random.default_rng(1)
    sides = (first, second)
    left_out, replaced = (
        tuple(draw.normal(0, 100, (len(side), samples)) for side in sides) for _ in range(2)
    )
    left_out[0][0] = np.nan
    between = draw.random((len(first), len(second), samples)) * 5000
    between[0, 0] = np.nan
    return Words(sides, "something", left_out, replaced, between, 100, ("Nothing is left.",))


def boxes(figure):
    """(text, its box) of all that is printed, in pixels."""
    from matplotlib.text import Text

    with house_style():
        figure.canvas.draw()
        outside = set()  # ticks beyond the ends of an axis are never drawn
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                    if not axes.axison or not low <= tick.get_loc() <= high:
                        outside |= {id(tick.label1), id(tick.label2)}
        found = [
            (text.get_text(), text.get_window_extent())
            for text in figure.findobj(Text)
            if text.get_text().strip() and text.get_visible() and id(text) not in outside
        ]
    return [(text, box) for text, box in found if box.width > 0]


WORDS = words_of(("a", "bag", "W" * 60, "$x_0$"), tuple(f"word{n}" for n in range(12)))
CASES = {
    "plain": explanation(words=words_of(("snow", "leopard"), ("bengal", "tiger"))),
    "long": explanation(texts=(LONG, ODD), words=WORDS),
    "no pictures": explanation(pictures=False, samples=1),
    "one step": explanation(steps=1, samples=1),
    "many steps": explanation(steps=50, samples=20, words=words_of(("a",) * 9, ("b",) * 30)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", [*FIGURES, "wide"])
def test_nothing_overlaps_or_leaves_the_page(case, name) -> None:
    found, wide = CASES[case], name == "wide"
    name = "steps" if wide else name
    if name not in figures_of(found):
        return
    figure = draw(found, name, wide=wide)
    assert figure.get_figwidth() == (6.75 if wide else COLUMN)
    page, printed = figure.bbox, boxes(figure)
    for text, box in printed:
        assert page.x0 <= box.x0 + 0.5, (text, box)
        assert box.x1 <= page.x1 + 0.5, (text, box)
        assert page.y0 <= box.y0 + 0.5, (text, box)
        assert box.y1 <= page.y1 + 0.5, (text, box)
    for (text, box), (other, second) in itertools.combinations(printed, 2):
        apart = (
            box.x1 <= second.x0 + 1
            or second.x1 <= box.x0 + 1
            or box.y1 <= second.y0 + 2
            or second.y1 <= box.y0 + 2
        )
        assert apart, f"{text!r} over {other!r}"


@pytest.mark.parametrize("case", CASES)
def test_shares_printed_are_shares_measured(case) -> None:
    found = CASES[case]
    figure = draw(found, "steps")
    groups = step_groups(found.maps.shape[2])
    printed = {}
    for text in figure.axes[0].texts:
        if match := re.fullmatch(r"share-(\d)-(\d+)", str(text.get_gid())):
            printed[int(match[1]), int(match[2])] = text.get_text()
    assert len(printed) == 2 * len(groups)
    for (half, column), said in printed.items():
        group = groups[column]
        share = 100 * found.profile[:, half, group.start : group.stop].sum() / found.profile.sum()
        assert said == ("<1 %" if 0 < share < 1 else f"{share:.0f} %")


def test_the_largest_cells_are_outlined() -> None:
    shares = np.array([[0.1, 0.4, 0.0], [0.1, 0.3, 0.1]])
    assert largest_cells(shares) == [(0, 1), (1, 1), (0, 0)]
    assert largest_cells(np.zeros((2, 3))) == []
    assert largest_cells(np.array([[1.0], [0.0]])) == [(0, 0)]


@pytest.mark.parametrize("steps", [1, 2, 10, 11, 37, 50, 1000])
def test_groups_hold_every_step_once(steps) -> None:
    groups = step_groups(steps)
    assert [step for group in groups for step in group] == list(range(steps))
    assert len(groups) == min(10, steps)
    assert max(map(len, groups)) - min(map(len, groups)) <= 1


def test_an_explanation_of_distance_0_is_drawn() -> None:
    process = Planes()
    process.components["twin"] = process.components["a"]
    found = explain("a", "twin", process=process, samples=2)
    for name in figures_of(found):
        assert draw(found, name).get_figwidth() == COLUMN


def test_a_map_over_a_picture_keeps_its_places() -> None:
    """The brightest position is bright over its own part of the picture alone."""
    picture, heat = np.full((6, 8, 3), 0.5), np.zeros((3, 4))
    heat[0, 2] = 2.0
    found = overlaid(picture, heat, 2.0).sum(axis=2)
    bright = found > (found.min() + found.max()) / 2
    expected = np.zeros((6, 8), dtype=bool)
    expected[0:2, 4:6] = True
    assert (bright == expected).all()
    assert overlaid(picture, np.zeros((3, 4)), 0.0).shape == (6, 8, 3)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_files_carry_the_texts_in_full(suffix, tmp_path) -> None:
    """A text that is shortened in the figure is whole in its description, and harmless."""
    from PIL import Image

    found, path = (
        explanation(texts=(LONG, "<script>&\x1b]0;犬"), samples=2),
        tmp_path / f"x{suffix}",
    )
    write_figure(draw(found, "when"), path, alternative_text(found))
    content = path.read_bytes()
    if suffix == ".png":
        with Image.open(path) as image:
            said = image.info["Description"]
    elif suffix == ".svg":
        root = ElementTree.fromstring(content)
        said = " ".join(root.itertext())
        assert not [each for each in root.iter() if each.tag.endswith("script")]
    else:
        assert LONG.encode() in content or LONG.encode("utf-16-be") in content
        return
    assert LONG in said
    assert "<script>&\\x1b]0;犬" in said
    assert f"{found.distance.value:.6g}" in said
    assert str(found.distance.signature) in said

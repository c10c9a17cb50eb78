"""Distances show themselves in a notebook, and become tables of pandas."""

from __future__ import annotations

import builtins
import io
import math
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from conjure import display
from conjure.core.errors import InputError
from conjure.core.gaussian import GaussianProcess
from conjure.explanation.measuring import explain
from conjure.explanation.record import Pictures
from conjure.similarity import Distance, distance

HOSTILE = "<script>alert(1)</script> $x_1$ \"'&\u202e\x1b[2J"


@pytest.fixture(scope="module")
def found() -> Distance:
    eye = torch.eye(2)
    process = GaussianProcess({"a": (torch.zeros(2), eye), "b": (torch.ones(2), 2 * eye)}, steps=4)
    return distance("a", "b", process=process, samples=3)


class Reader(HTMLParser):
    """Text, tags and attributes of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("img", "rect"):
            self.open.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag != "rect":
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_a_card_states_the_numbers(found: Distance) -> None:
    read = Reader(found._repr_html_())
    assert not read.open
    assert f"{found.value:.6g} ± {found.standard_error:.2g}" in read.text
    assert "{:.6g} to {:.6g}".format(*found.interval) in read.text
    assert str(found.signature) in read.text
    assert read.tags.count("rect") == found.steps


def test_the_bars_of_a_card_are_the_terms(found: Distance) -> None:
    heights = [
        float(value)
        for name, value in Reader(found._repr_html_()).attributes
        if name == "height" and "." in value
    ]
    terms = (found.terms.forward + found.terms.backward).mean(dim=0).numpy()
    np.testing.assert_allclose(heights, 30 * terms / terms.max(), atol=1e-3)


def test_hostile_texts_stay_texts(found: Distance) -> None:
    html = replace(found, text1=HOSTILE, text2=HOSTILE)._repr_html_()
    read = Reader(html)
    assert "script" not in read.tags
    assert read.text.count("<script>alert(1)</script>") == 2
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert not [name for name, _ in read.attributes if name.startswith("on") or name == "href"]


def test_one_sample_has_no_error_bar(found: Distance) -> None:
    html = replace(found, standard_error=None, interval=None)._repr_html_()
    assert "±" not in html
    assert "interval" not in html


def test_plot_draws_on_the_axes_given(found: Distance) -> None:
    axes = Figure().subplots()
    assert found.plot(axes) is axes
    first, second = axes.get_lines()
    np.testing.assert_allclose(first.get_ydata(), found.terms.forward.mean(dim=0))
    np.testing.assert_allclose(second.get_ydata(), found.terms.backward.mean(dim=0))
    assert axes.get_xlabel()
    assert axes.get_ylabel()


def test_plot_weighs_as_the_estimate_does() -> None:
    eye = torch.eye(2)
    process = GaussianProcess({"a": (torch.zeros(2), eye), "b": (torch.ones(2), 2 * eye)}, steps=4)
    found = distance("a", "b", process=process, samples=3, cross_steps=1)
    total = sum(line.get_ydata() for line in found.plot(Figure().subplots()).get_lines())
    assert total.mean() == pytest.approx(found.value)


def test_plot_makes_a_figure_of_pyplot(found: Distance, monkeypatch) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    axes = found.plot()
    assert axes.figure.number in pyplot.get_fignums()
    pyplot.close(axes.figure)


def test_png_of_any_text(found: Distance) -> None:
    for text in (HOSTILE, "_hidden", "语 😀 $"):
        image = Image.open(io.BytesIO(replace(found, text1=text)._repr_png_()))
        assert image.format == "PNG"
        assert image.width > 600
    axes = replace(found, text1="_hidden").plot(Figure().subplots())
    assert "_hidden" in axes.get_legend().get_texts()[0].get_text()


def test_equal_texts_have_two_lines(found: Distance) -> None:
    assert len(replace(found, text2=found.text1).plot(Figure().subplots()).get_lines()) == 2


def test_to_pandas(found: Distance) -> None:
    [row] = found.to_pandas().to_dict("records")
    assert (row["text1"], row["text2"], row["value"]) == ("a", "b", found.value)
    assert (row["interval_low"], row["interval_high"]) == found.interval
    assert row["signature"] == str(found.signature)
    single = replace(found, standard_error=None, interval=None).to_pandas()
    assert math.isnan(single.standard_error.astype(float)[0])


def test_without_pandas_and_matplotlib(found: Distance, monkeypatch) -> None:
    real = builtins.__import__

    def blocked(name, *rest, **more):
        if name.partition(".")[0] in ("pandas", "matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", blocked)
    monkeypatch.setattr(display.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    with pytest.raises(InputError, match=r"pip install 'conjure\[pandas\]'"):
        found.to_pandas()
    with pytest.raises(InputError, match=r"pip install 'conjure\[plots\]'"):
        found.plot()
    assert found._repr_png_() is None


def test_bars_of_nothing() -> None:
    assert display.bars([0.0, 0.0], "nothing") == ""


def test_an_explanation_shows_itself() -> None:
    eye = torch.eye(4).reshape(4, 4)
    process = GaussianProcess({"a": (torch.zeros(4), eye), "b": (torch.ones(4), 2 * eye)}, steps=3)
    found = explain("a", "b", process=process, samples=2)
    read = Reader(found._repr_html_())
    assert not read.open
    assert f"{found.distance.value:.6g} ± " in read.text
    forward, backward = found.directions
    assert f"{100 * forward:.1f} % and {100 * backward:.1f} %" in read.text
    picture = np.zeros((2, 2, 5, 7, 3), dtype=np.float32)
    pictures = Pictures(True, 0, picture, picture, picture)
    read = Reader(replace(found, pictures=pictures)._repr_html_())
    [source] = [value for name, value in read.attributes if name == "src"]
    assert source.startswith("data:image/png;base64,")
    lines = found.plot(Figure().subplots()).get_lines()
    assert sum(line.get_ydata().sum() for line in lines) == pytest.approx(100)
    assert Image.open(io.BytesIO(found._repr_png_())).format == "PNG"

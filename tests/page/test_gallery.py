"""``conjure explain --pairs``: many pairs on one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from page_texts import HOSTILE, RTL
from reading_pages import Page

import conjure
from conjure.cli import explain as command
from conjure.cli.main import main
from conjure.report.page import gallery, render
from conjure.report.page.parts import number

QUICK = ["--steps", "2", "--device", "cpu"]
PAIRS = [
    ("4.5", "a dog", "a puppy"),
    ("0.5", "a car", "a <b>fish</b>"),
    ("5", "a cat", "a cat"),
    ("none", "a house", "a castle"),
]
ALL = "all pairs, in the order of this page"


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    lines = ["\t".join(("score", "sentence1", "sentence2")), *map("\t".join, PAIRS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def written(table, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("gallery") / "gallery.html"
    arguments = ["explain", "--pairs", str(table), "--by", "disagreement", "--top", "2"]
    assert main([*arguments, "--out", str(out), *QUICK]) == 0
    return out


def test_the_table_holds_every_distance(written) -> None:
    _, *rows = Page(written.read_text(encoding="utf-8")).tables[ALL]
    process = conjure.load(steps=2, device="cpu")
    pairs = [pair[1:] for pair in PAIRS[:3]]  # the last one has no score
    expected = {one.text2: one.value for one in conjure.distances(pairs, process=process)}
    assert {row[2]: row[3] for row in rows} == {text: number(x) for text, x in expected.items()}
    by_distance = sorted(expected, key=expected.get)
    for row in rows:
        assert float(row[5]) == by_distance.index(row[2]) + 1
    assert [row[7] for row in rows if row[2] == "a cat"] == ["1"]


def test_the_cards_are_the_first_rows(written) -> None:
    html = written.read_text(encoding="utf-8")
    read = Page(html)
    assert read.tags.count("article") == 2
    targets = [value for _, name, value in read.attributes if name == "href" and "pair" in value]
    ids = [value for tag, name, value in read.attributes if (tag, name) == ("article", "id")]
    assert targets == [f"#{one}" for one in ids] == ["#pair-1", "#pair-2"]
    assert "conjure explain --steps 2 --device cpu --out pair.html -- " in html
    assert all(alt for alt in read.alts)


def test_layout(opened, written) -> None:
    html = written.read_text(encoding="utf-8")
    for width, scheme in ((360, "dark"), (1280, "light")):
        with opened(html, width, scheme) as page:
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.said == []


def test_hostile_texts_and_names(opened, found) -> None:
    distance = replace(found.distance, text1=HOSTILE, text2=RTL)
    [pair] = gallery.ranked([7], [distance], [None], "distance")
    explained = replace(found, command=HOSTILE, notes=(RTL,))
    cards = [gallery.card(1, pair, 1, explained), gallery.card(2, pair, 1, None)]
    facts = gallery.gallery_context([pair], cards, source=HOSTILE, by="distance", command=RTL)
    html = render("gallery.html", **facts)
    assert not {"script", "iframe"} & {*Page(html).tags}
    assert not [mark for mark in ("\x1b", "\x00", "\u202e") if mark in html]
    with opened(html, 360, script=True) as page:
        assert page.said == []
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate("document.querySelectorAll('[onerror], script').length") == 0


def test_ranks_and_their_difference(found) -> None:
    distances = [replace(found.distance, value=value) for value in (30.0, 10.0, 20.0, 20.0)]
    scores = [5.0, 4.0, 1.0, 1.0]
    order = gallery.ranked([2, 3, 4, 5], distances, scores, "disagreement")
    assert [(one.line, one.rank, one.human_rank, one.difference) for one in order] == [
        (2, 4.0, 1.0, 3.0),
        (3, 1.0, 2.0, -1.0),
        (4, 2.5, 3.5, -1.0),
        (5, 2.5, 3.5, -1.0),
    ]
    order = gallery.ranked([2, 3, 4, 5], distances, [None, *scores[1:]], "distance")
    assert [one.line for one in order] == [2, 4, 5, 3]
    assert order[0].difference is None


def test_a_long_table_says_what_it_leaves_out(found, monkeypatch) -> None:
    monkeypatch.setattr(gallery, "MOST", 3)
    draw = np.random.default_rng(0)
    distances = [replace(found.distance, value=float(draw.random())) for _ in range(5)]
    order = gallery.ranked(range(5), distances, [None] * 5, "distance")
    facts = gallery.gallery_context(order, [], source="x.tsv", by="distance", command="")
    html = render("gallery.html", **facts)
    assert "2 more are left out" in html
    assert len(Page(html).tables[ALL]) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "explain takes two texts"),
        (["a", "b", "--top", "3"], "--top goes with --pairs alone"),
        (["a", "b", "--by", "distance"], "--by goes with --pairs alone"),
        (["a", "b", "--pairs", "{}"], "TEXTS cannot go with --pairs"),
        (["--pairs", "{}"], "let --out name an .html file"),
        (["--pairs", "{}", "--out", "x.png"], "let --out name a .html file"),
        (["--pairs", "{}", "--out", "x.html", "--words"], "--words cannot go with --pairs"),
        (["--pairs", "{}", "--out", "x.html", "--json"], "--json cannot go with --pairs"),
        (["--pairs", "{}", "--out", "no/x.html"], "no such folder: no"),
        (["--pairs", "no.tsv", "--out", "x.html"], "no such file: no.tsv"),
        (["--pairs", "-", "--out", "x.html"], "--pairs names a file"),
        (["--pairs", "{}", "--out", "x.html", "--estimand", "output"], "is not a sum over steps"),
        (["--pairs", "bare.csv", "--out", "x.html", "--by", "disagreement"], "no column 'score'"),
        (["--pairs", "equal.csv", "--out", "x.html"], "both texts of every pair are equal"),
    ],
)
def test_refused(table, tmp_path, monkeypatch, capsys, arguments, words) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a process was loaded")

    monkeypatch.setattr(conjure, "load", load, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("bare.csv").write_text("text1,text2\na,b\n")
    Path("equal.csv").write_text("text1,text2\na,a\n")
    assert main(["explain", *(one.format(table) for one in arguments)]) == 2
    assert words in capsys.readouterr().err
    assert not Path("x.html").exists()


def test_the_orders_are_those_of_the_report() -> None:
    assert command.ORDERS == gallery.ORDERS

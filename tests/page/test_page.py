"""What a page says: its numbers are the record's, its texts are texts, and it is one file."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from page_texts import HOSTILE
from reading_pages import Page

from conjure.cli.main import main
from conjure.core.errors import InputError
from conjure.core.uncertainty import estimate, student_t
from conjure.report.page import page, write_page
from conjure.report.page.charts import share_intervals
from conjure.report.page.panel import _chosen, _outline
from conjure.report.page.parts import BarData, bars, blocks, fewest, number, percent, signed
from conjure.report.page.sentences import summary
from conjure.similarity import Distance


@pytest.fixture(scope="module")
def read(html) -> Page:
    return Page(html)


def test_the_number(read, found) -> None:
    rows = dict(read.tables["the number"][1:])
    assert rows["distance"] == f"{found.distance.value:.4g}"
    assert rows["standard error"] == f"{found.distance.standard_error:.4g}"
    low, high = found.distance.interval
    assert rows["95 % interval, low end"] == number(low)
    assert rows["95 % interval, high end"] == number(high)
    assert rows["samples"] == "3"


def test_the_table_of_steps_is_the_profile(read, found) -> None:
    head, *rows = read.tables["share of each step"]
    assert len(rows) == found.maps.shape[2]
    for j, row in enumerate(rows):
        assert row[0] == str(j + 1)
        assert row[2] == percent(found.shares[:, j].sum())
        for n, column in ((0, 3), (1, 6)):
            assert row[column] == number(found.profile[:, n, j].mean())
            assert row[column + 1] == percent(found.shares[n, j])
            assert row[column + 2].endswith("%")


def test_the_tables_of_positions_are_the_maps(read, found) -> None:
    for n, name in enumerate(("first text's way", "second text's way")):
        _, *rows = read.tables[f"share of each position, {name}"]
        cells = [[float(cell.split("\xa0")[0]) for cell in row[1:]] for row in rows]
        np.testing.assert_allclose(cells, 100 * found.where[n], atol=0.05 + 1e-9)


def test_the_table_of_samples(read, found) -> None:
    _, *rows = read.tables["distance of each sample"]
    assert [row[2] for row in rows] == [number(value) for value in found.values]
    assert rows[-1][3] == number(found.distance.value)
    assert [row[1] for row in rows] == ["0", "1", "2"]


def test_the_tables_of_directions_and_panel(read, found) -> None:
    _, *rows = read.tables["both directions of each sample"]
    assert rows[-1][1:] == [
        number(found.profile[:, 0].mean()),
        number(found.profile[:, 1].mean()),
        number(found.distance.value),
    ]
    sample = found.maps[found.pictures.sample]
    for n, which in enumerate(("first", "second")):
        _, *rows = read.tables[f"steps of the {which} text's way"]
        assert [row[1] for row in rows] == [
            percent(step.sum() / sample.sum()) for step in sample[n]
        ]


def test_the_tables_of_words(read, found) -> None:
    _, *rows = read.tables["change of the distance by words of the first text"]
    assert [row[0] for row in rows] == ["a", "red", "apple"]
    assert [row[1] for row in rows] == [
        signed(changes.mean(), True) for changes in found.words.left_out[0]
    ]
    _, *rows = read.tables["change of the distance by words of the second text"]
    assert [row[3] for row in rows] == ["–"] * 3  # NaN
    _, *rows = read.tables["rows: first text; columns: second text"]
    assert [row[1:] for row in rows] == [
        [number(value) for value in line] for line in found.words.matrix
    ]


def test_every_figure_has_a_table_and_its_numbers_in_words(read, found) -> None:
    both = found.shares.sum(axis=0)
    largest = f"The largest is step {both.argmax() + 1} with {percent(both.max())}"
    assert any(largest in alt for alt in read.alts)
    for n in range(2):
        assert any(percent(found.where[n].max()) in alt for alt in read.alts)
        assert any(f": {percent(found.directions[n])} of the distance" in alt for alt in read.alts)
    assert any(number(found.values.mean()) in alt for alt in read.alts)
    for value in found.values:
        assert sum(number(value) in alt for alt in read.alts) >= 2
    images = [value for tag, name, value in read.attributes if (tag, name) == ("svg", "role")]
    assert images == ["img", "img"]  # the profile and the convergence
    assert read.tags.count("table") == len(read.tables) >= 10


def test_it_states_how_it_was_measured(html, read, found) -> None:
    settings = dict(read.tables["texts, process and settings"][1:])
    assert settings["process"] == "emoji"
    assert settings["revision of the weights"] == found.distance.signature.key["revision"]
    assert settings["steps T"] == "2"
    assert settings["first text"] == "a red apple"
    assert str(found.distance.signature) in html
    assert "conjure.explain(&#39;a red apple&#39;" in html


def test_nothing_is_fetched_and_nothing_runs(read, hostile_html) -> None:
    hostile = Page(hostile_html)
    for one in (read, hostile):
        assert not {"script", "iframe", "object", "embed", "form"} & {*one.tags}
        assert not [name for _, name, _ in one.attributes if name.startswith("on")]
        for tag, name, value in one.attributes:
            if name in ("src", "href", "xlink:href", "action", "srcset"):
                assert value.startswith(("data:", "#")), (tag, name, value[:60])
    assert "{{" not in re.sub(re.escape("${1} {{2}}"), "", hostile_html)


def test_hostile_texts_are_shown_as_texts(hostile_html) -> None:
    read = Page(hostile_html)
    settings = dict(read.tables["texts, process and settings"][1:])
    assert settings["first text"] == HOSTILE
    for mark in ("\x1b", "\x00", "\u202e", "\u202c"):
        assert mark not in hostile_html
    assert "\\x1b[2J\\x00" in settings["second text"]


def test_the_file_is_small_whole_and_replaced(found, html, tmp_path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    assert write_page(found, path) == path
    assert path.read_text(encoding="utf-8") == html
    assert path.stat().st_size < 1_000_000
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_path_is_one_line(found, tmp_path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        write_page(found, tmp_path / "nowhere" / "report.html")


def test_the_same_record_makes_the_same_file(found, html) -> None:
    assert page(found) == html


def test_equal_processes_have_no_share(found) -> None:
    distance = replace(found.distance, value=0.0, standard_error=0.0, interval=(0.0, 0.0))
    said = dict(summary(replace(found, distance=distance, maps=0 * found.maps)))
    assert said["Where?"] == "Nowhere: the two processes do not differ."
    html = page(replace(found, distance=distance, maps=0 * found.maps))
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html).lower()


def test_share_intervals_by_leaving_one_out() -> None:
    """The delta method against the jackknife, which knows nothing of it."""
    draw = np.random.default_rng(0)
    profile = draw.gamma(20, 1, (400, 2, 3))
    mean, reach = share_intervals(profile)
    np.testing.assert_allclose(mean.sum(), 1)
    total = profile.sum(axis=0)
    left = (total - profile) / (total - profile).sum(axis=(1, 2), keepdims=True)
    count = len(profile)
    error = np.sqrt((count - 1) / count * ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    np.testing.assert_allclose(reach, student_t(0.95, count - 1) * error, rtol=0.01)
    assert share_intervals(profile[:1])[1] is None


def test_bars_lie_on_one_scale() -> None:
    lines = [BarData("up", 30, 10), BarData("down", -10, None), BarData("nothing", float("nan"))]
    up, down, nothing = bars(lines, "", "").lines
    assert (up.start, up.width, up.high) == pytest.approx((20, 60, 100))
    assert (down.start, down.width, down.low) == (pytest.approx(0), pytest.approx(20), None)
    assert (nothing.width, nothing.value) == (0, "–")
    assert (up.value, down.value) == ("+30", "−10")


def test_blocks_keep_the_sum() -> None:
    shares = np.random.default_rng(0).random((13, 64))
    coarse = blocks(shares)
    assert coarse.shape == (8, 8)
    assert coarse.sum() == pytest.approx(shares.sum())
    assert coarse[0, 0] == pytest.approx(shares[:1, :8].sum())


def test_the_outline_encloses_the_fewest_cells_that_hold_a_quarter() -> None:
    cells = np.ones((4, 4))
    cells[1, 1] = cells[1, 2] = 2.4  # together 4.8 of 18.8
    assert fewest(cells, 0.25) == [5, 6]
    path = _outline(cells).path
    assert sorted(re.findall(r"M[^M]+", path)) == sorted(
        ["M1 1h1", "M1 2h1", "M1 1v1", "M2 1h1", "M2 2h1", "M3 1v1"]
    )
    assert _outline(np.zeros((2, 2))) is None
    large = np.kron(cells, np.ones((4, 4)))  # 16 × 16, in blocks of 2 × 2
    assert _outline(large).rows == 16
    drawn = re.findall(r"M(\d+) (\d+)", _outline(large).path)
    assert {(int(x) // 4, int(y) // 4) for x, y in drawn} <= {
        (1, 1),
        (2, 1),
        (3, 1),
        (1, 2),
        (2, 2),
    }


def test_of_many_steps_the_largest_is_shown() -> None:
    shares = np.full(50, 0.01)
    shares[13] = 0.5
    chosen = _chosen(shares)
    assert len(chosen) == 10
    assert {0, 13, 49} <= {*chosen}


def test_the_summary_states_what_the_largest_parts_hold(found) -> None:
    said = dict(summary(found))
    both, cells = found.shares.sum(axis=0), np.sort(found.where.sum(axis=0), axis=None)[::-1]
    top = int(both.argmax())
    assert said["When?"] == f"Step {top + 1} of 2 holds {percent(both[top])} of it."
    count = int(np.searchsorted(cells.cumsum(), 0.5)) + 1
    assert (
        f"{count} of {cells.size} positions hold {percent(cells[:count].sum())}." in said["Where?"]
    )
    upper, lower = np.split(found.where.sum(axis=0), 2)
    left, right = np.split(found.where.sum(axis=0), 2, axis=1)
    assert percent(max(half.sum() for half in (upper, lower, left, right))) in said["Where?"]


def test_the_summary_states_its_words_only_beyond_their_error(found) -> None:
    words = replace(found.words, left_out=(np.zeros((3, 3)), np.zeros((3, 3))))
    assert dict(summary(replace(found, words=words)))["Which word?"].startswith("No word's")
    clear = np.zeros((3, 3))
    clear[1] = [-50.0, -51.0, -49.0]
    words = replace(found.words, left_out=(clear, np.zeros((3, 3))))
    reach = 4.302653 / np.sqrt(3)
    assert dict(summary(replace(found, words=words)))["Which word?"] == (
        f"Without “red” in the first text, the distance falls by 50 ± {number(reach)} (95 %)."
    )
    low, high = estimate(torch.from_numpy(found.values)).interval
    assert f"{number(low)} to {number(high)}" in dict(summary(found))["How sure?"]


def test_the_command_line_writes_it(tmp_path, capsys) -> None:
    out = tmp_path / "report.html"
    arguments = ["explain", "a <b>dog</b>", "a puppy", "--steps", "2", "--out", str(out)]
    assert main(arguments) == 0
    read = Page(out.read_text(encoding="utf-8"))
    assert dict(read.tables["texts, process and settings"][1:])["first text"] == "a <b>dog</b>"
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err


class Near:
    """What a calibrated process says of any distance."""

    def words(self, value: float) -> str:
        return f"closer than 97 % of 160 unrelated pairs; {value:.0f} is said here"


class CalibratedDistance(Distance):
    """A distance with a reference."""

    reference = Near()
    similarity = 0.97


def test_a_calibrated_process_says_how_near(found, html) -> None:
    plain = {one.name: getattr(found.distance, one.name) for one in fields(Distance)}
    calibrated = replace(found, distance=CalibratedDistance(**plain))
    value = f"{found.distance.value:.0f}"
    words = f"Closer than 97 % of 160 unrelated pairs; {value} is said here."
    assert dict(summary(calibrated))["How near?"] == words
    shown = page(calibrated)
    assert "<p>Closer than 97 % of 160 unrelated pairs</p>" in shown
    rows = dict(Page(shown).tables["the number"][1:])
    assert rows["similarity: share of unrelated pairs that are farther"] == "97.0\xa0%"
    assert "How near?" not in dict(summary(found))  # of two steps there is no reference
    assert "unrelated" not in html

"""``conjure explain``: what it prints and writes, and what it refuses before anything is loaded."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import conjure
from conjure.cli import explain as command
from conjure.cli.main import main
from conjure.report import explanations

QUICK = ["--steps", "2", "--device", "cpu"]


@pytest.fixture
def nothing_loaded(monkeypatch, tmp_path) -> Path:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a process was loaded")

    monkeypatch.setattr(conjure, "load", load, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.png").write_bytes(b"kept")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a"], "explain takes two texts, and 1 text came"),
        (["a", "b", "c"], "explain takes two texts, and 3 texts came"),
        (["a", "a"], "both texts are 'a': give two texts that differ"),
        (["a", ""], "TEXTS is empty"),
        (["a", "caf\udce9"], "text 2 is not valid Unicode"),
        (
            ["a", "b", "--out", "x.jpg"],
            "use .html, .png, .svg, .pdf, .gif, .mp4, .npz, or a folder",
        ),
        (["a", "b", "--out", "-"], "figures are not written to stdout"),
        (["a", "b", "--out", "there.png"], "exists already; give --overwrite"),
        (["a", "b", "--out", "full"], "full is not empty; give --overwrite"),
        (["a", "b", "--out", "no/x.png"], "no such folder: no"),
        (["a", "b", "--out", "there.png/x"], "there can be no folder"),
        (["a", "b", "--out", "/proc/x.png"], "cannot write to /proc"),
        (["a", "b", "--figure", "steps"], "--figure goes with --out alone"),
        (["a", "b", "--out", "x.png", "--figure", "words"], "give --words, too"),
        (["a", "b", "--out", "x.png", "--figure", "sure"], "--figure sure compares samples"),
        (["a", "b", "--out", "x.png", "--figure", "when", "--wide"], "--wide is for the figure"),
        (["a", "b", "--out", "x.gif", "--words"], "--words says nothing about an animation"),
        (["a", "b", "--out", "x.gif", "--samples", "2"], "--samples says nothing about an anim"),
        (["a", "b", "--out", "x.gif", "--frames", "1"], "frames must be a whole number, at least"),
        (["a", "b", "--out", "x.gif", "--frames", "0"], "frames must be a whole number, at least"),
        (["a", "b", "--out", "x.gif", "--frames", "1001"], "frames must be at most 1,000"),
        (["a", "b", "--out", "x.png", "--frames", "9"], "--frames are those of an animation"),
        (["a", "b", "--out", "x.png", "--morph"], "--morph goes with a folder"),
        (["a", "b", "--morph"], "--morph goes with --out alone"),
        (["a", "b", "--overwrite"], "--overwrite goes with --out alone"),
        (["a", "b", "--neutral", "thing"], "--neutral goes with --words alone"),
        (["a", "b", "--samples", "0"], "samples must be"),
        (["a", "b", "--out", "x.png", "--sample", "2"], "sample must be from 1 to 1"),
        (["a", "b", "--out", "x.png", "--sample", "0"], "sample must be from 1 to 1"),
        (["a", "b", "--estimand", "output"], "estimand 'output' is not a sum over steps"),
        (["a", "b", "--estimand", "none"], "unknown estimand"),
        (["a", "b", "--sampler", "leapfrog"], "unknown sampler"),
    ],
)
def test_refused_before_anything_is_loaded(nothing_loaded, capsys, arguments, words) -> None:
    assert main(["explain", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
    assert sorted(path.name for path in nothing_loaded.iterdir()) == ["full", "there.png"]
    assert (nothing_loaded / "there.png").read_bytes() == b"kept"


def test_more_samples_than_memory_holds(capsys) -> None:
    assert main(["explain", "a dog", "a cat", *QUICK, "--samples", "400000000"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "400,000,000 samples need" in line
    assert "bytes" in line


def test_the_printed_answer_adds_up(capsys) -> None:
    arguments = ["explain", "snow leopard", "bengal tiger", "--samples", "2", "--words"]
    assert main([*arguments, *QUICK]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[0].startswith("conjure: 13 pairs: ")
    lines = out.splitlines()
    assert lines[0] == "snow leopard | bengal tiger"
    shares = [
        float(share)
        for line in lines
        if "step by step" in line
        for share in line.split(": ")[1].split()
    ]
    assert len(shares) == 4
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert any("do not add up" in line for line in lines)
    [leopard] = [line.split() for line in lines if line.startswith("leopard ") and "±" in line]
    assert leopard[1].startswith("+")  # without "leopard" the texts are farther apart
    assert lines[-1].startswith("signature  process:emoji|")


def test_a_folder_holds_figures_tables_and_data(tmp_path, capsys) -> None:
    out = tmp_path / "report"
    arguments = ["snow leopard", "bengal tiger", "--samples", "2", "--words", *QUICK, "--json"]
    assert main(["explain", *arguments, "--out", str(out), "--morph", "--frames", "2"]) == 0
    answer = json.loads(capsys.readouterr().out)
    back = conjure.Explanation.load(out / "explanation.npz")
    assert back.maps.sum(axis=(1, 3, 4)).mean() == pytest.approx(answer["value"], rel=1e-12)
    np.testing.assert_allclose(answer["shares"], back.shares)
    with (out / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1)
    with (out / "words.csv").open() as file:
        words = list(csv.DictReader(file))
    assert [row["word"] for row in words] == ["snow", "leopard", "bengal", "tiger"]
    assert float(words[1]["left_out"]) == pytest.approx(back.words.left_out[0][1].mean())
    assert len(answer["word_pairs"]) == 4
    figures = {f"{name}{end}" for name in explanations.FIGURES for end in (".png", ".svg")}
    assert {path.name for path in out.iterdir()} == {
        *figures,
        *("steps.csv", "words.csv", "word-pairs.csv", "explanation.npz", "report.html"),
        "morph.gif",
    }
    assert answer["command"] == back.command
    assert answer["command"].startswith("conjure explain 'snow leopard' 'bengal tiger' --samples 2")


@pytest.mark.parametrize(("suffix", "begins"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_same_file_twice(suffix, begins, tmp_path) -> None:
    files = []
    for name in ("one", "two"):
        out = tmp_path / f"{name}.{suffix}"
        assert main(["explain", "a dog", "a cat", *QUICK, "--out", str(out)]) == 0
        files.append(out.read_bytes())
    assert files[0].startswith(begins)
    assert files[0] == files[1]


def test_names_of_figures_agree() -> None:
    assert command.FIGURES == explanations.FIGURES

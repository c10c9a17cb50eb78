"""``conjure matrix`` from the command line: what it prints, writes, keeps and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import conjure
from conjure.cli.main import main

WORDS = ["a dog", "a cat", "cars", "moon"]


@pytest.fixture(scope="module")
def process(tiny_pipeline) -> list[str]:
    return ["--process", str(tiny_pipeline), "--steps", "2", "--device", "cpu"]


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "words.csv"
    kinds = ["pets", "pets", "things", "things"]
    lines = [f"{word},{kind}" for word, kind in zip(WORDS, kinds, strict=True)]
    path.write_text("\n".join(["word,kind", *lines, "a dog,pets", ",things"]) + "\n")
    return path


def test_a_table_with_classes(process, table, tmp_path, capsys) -> None:
    out, heatmap, scaling = tmp_path / "m.csv", tmp_path / "h.png", tmp_path / "m.svg"
    flags = ["--column", "word", "--classes", "kind", "--samples", "2", "--out", str(out)]
    pictures = ["--heatmap", str(heatmap), "--map", str(scaling)]
    assert main(["matrix", "--file", str(table), *flags, *pictures, *process]) == 0
    printed = capsys.readouterr()
    assert "line 6 left out: 'a dog' is in line 2 already" in printed.err
    assert "line 7 left out: word is empty" in printed.err
    assert "6 pairs: " in printed.err
    assert "3 divisions, all of them" in printed.out
    assert "no metric" in printed.out
    found = conjure.Matrix.load(out)
    assert (found.texts, found.classes) == (tuple(WORDS), ("pets", "pets", "things", "things"))
    assert heatmap.read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in scaling.read_text()
    loaded = conjure.load(process[1], steps=2, device="cpu")
    alone = conjure.distance("a dog", "moon", process=loaded, samples=2)
    assert found.values[0, 3] == pytest.approx(alone.value, rel=1e-5)
    near = min(WORDS[1:], key=lambda word: found.values[0, WORDS.index(word)])
    assert f"a dog  {near} " in printed.out


def test_json_and_a_list_with_classes_in_a_file(process, tmp_path, capsys) -> None:
    (tmp_path / "words.txt").write_text("\n\n".join(WORDS))
    (tmp_path / "kinds.txt").write_text("x\nx\ny\ny\n")
    given = ["--file", str(tmp_path / "words.txt"), "--classes", str(tmp_path / "kinds.txt")]
    assert main(["matrix", *given, "--estimand", "kl", "--json", *process]) == 0
    found = json.loads(capsys.readouterr().out)
    values = np.array(found["values"])
    assert values.shape == (4, 4)
    assert not np.array_equal(values, values.T)
    assert found["texts"] == WORDS
    assert found["test"]["divisions"] == 3
    assert sorted(found["order"]) == [0, 1, 2, 3]
    assert found["map"]["stress"] >= 0
    assert found["signature"]["key"]["estimand"] == "kl"
    assert found["standard_errors"] is None


def test_a_run_folder_computes_nothing_twice(process, tmp_path, capsys) -> None:
    flags = ["--run", str(tmp_path / "run"), "--json", *process]
    assert main(["matrix", *WORDS[:3], *flags]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["matrix", *WORDS, *flags]) == 0
    more = capsys.readouterr()
    assert "6 pairs, 3 of them finished earlier" in more.err
    assert np.array_equal(np.array(json.loads(more.out)["values"])[:3, :3], first["values"])
    assert main(["matrix", *WORDS, *flags]) == 0
    assert "6 of them finished earlier: 0 network rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "there is no text"),
        (["a dog"], "give two or more"),
        (["a dog", "a dog"], "text 2 is text 1 again"),
        (["a dog", " "], "is empty"),
        (["a dog", "cars", "--file", "TABLE"], "TEXTS cannot go with --file"),
        (["a dog", "cars", "--column", "word"], "--column goes with --file"),
        (["--file", "TABLE"], "name its column"),
        (["--file", "TABLE", "--column", "words"], "has no column 'words'"),
        (["--file", "TABLE", "--column", "word", "--classes", "sort"], "has no column 'sort'"),
        (["--file", "TABLE", "--column", "kind", "--classes", "word"], "no class has two texts"),
        (["a", "b", "--classes", "nowhere.txt"], "no such file"),
        (["--file", "nowhere.txt"], "no such file"),
        (["a", "b", "--out", "m.xlsx"], "unknown format"),
        (["a", "b", "--out", "-"], "not written to stdout"),
        (["a", "b", "--out", "nowhere/m.csv"], "no such folder"),
        (["a\tc", "b", "--out", "m.tsv"], "TSV cannot carry"),
        (["a", "b", "--heatmap", "m.csv"], "unknown kind of picture"),
        (["a", "b", "--heatmap", "m.png", "--map", "m.png"], "the same name"),
        (["a", "b", "--run", "TABLE"], "is a file"),
        (["a", "b", "--nearest", "0"], "0 is not in the range"),
        (["a", "b", "--samples", "0"], "samples must be"),
        (["a", "b", "--max-memory", "much"], "no amount of memory"),
    ],
)
def test_refusals_before_a_model_is_loaded(
    arguments, says, table, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(table) if one == "TABLE" else one for one in arguments]
    assert main(["matrix", *given, "--process", "nowhere/at-all"]) == 2
    error = capsys.readouterr().err
    assert says in error.splitlines()[-1]
    assert "Traceback" not in error


def test_classes_must_be_as_many_as_texts(tmp_path, capsys) -> None:
    (tmp_path / "kinds.txt").write_text("x\ny\nz\n")
    assert main(["matrix", "a", "b", "--classes", str(tmp_path / "kinds.txt")]) == 2
    assert "3 classes for 2 texts" in capsys.readouterr().err


def test_an_output_that_is_there_is_kept(tmp_path, capsys) -> None:
    path = tmp_path / "m.csv"
    path.write_text("mine")
    assert main(["matrix", "a", "b", "--out", str(path)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert path.read_text() == "mine"

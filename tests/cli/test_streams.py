"""``-`` in place of a file: tables from stdin, tables to stdout, messages on stderr."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

import conjure
from conjure.cli.main import main
from conjure.datasets.tables import read_pairs
from conjure.runs.scores import RESULT_COLUMNS


@pytest.fixture
def counting(gaussians, monkeypatch):
    process = gaussians(batch_size=64)
    monkeypatch.setattr(conjure, "load", lambda *_, **__: process, raising=False)
    return process


def give(monkeypatch, data: bytes) -> None:
    """Let the next command read this from stdin."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


TABLES = {
    "tsv": b"id\ttext1\ttext2\n1\ta\tb\n2\tc\td\n",
    "csv": b'id,text1,text2\n1,a,"b"\n2,c,d\n',
    "jsonl": b'{"id": "1", "text1": "a", "text2": "b"}\n{"id": "2", "text1": "c", "text2": "d"}\n',
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_pipe_gives_what_files_give(counting, kind, tmp_path, monkeypatch, capfdbinary) -> None:
    path, out = tmp_path / f"in.{kind}", tmp_path / f"out.{kind}"
    path.write_bytes(TABLES[kind])
    assert main(["score", str(path), "--out", str(out)]) == 0
    capfdbinary.readouterr()
    give(monkeypatch, TABLES[kind])
    flags = [] if kind == "tsv" else ["--format", kind]
    assert main(["score", "-", "--out", "-", *flags]) == 0
    printed = capfdbinary.readouterr()
    assert printed.out == out.read_bytes()
    told = printed.err.decode().splitlines()
    assert told[0].startswith("conjure: 2 pairs: ")
    assert told[-1] == "conjure: 2 pairs scored"
    assert sorted(one.name for one in tmp_path.iterdir()) == [f"in.{kind}", f"out.{kind}"]


def test_stdin_into_a_file_and_a_file_to_stdout(counting, tmp_path, monkeypatch, capsysbinary):
    path, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    path.write_bytes(TABLES["csv"])
    give(monkeypatch, TABLES["csv"])
    assert main(["score", "-", "--out", str(out), "--format", "csv"]) == 0
    assert [row.cells["id"] for row in read_pairs(out).rows] == ["1", "2"]
    capsysbinary.readouterr()
    assert main(["score", str(path), "--out", "-"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsysbinary.readouterr().out.decode()), delimiter="\t"))
    assert [*rows[0]] == ["id", "text1", "text2", *RESULT_COLUMNS]
    assert [row["id"] for row in rows] == ["1", "2"]


def test_bad_rows_of_a_stream_are_reported_on_stderr(counting, monkeypatch, capsysbinary) -> None:
    give(monkeypatch, TABLES["tsv"] + b"3\te\n")
    assert main(["score", "-", "--out", "-"]) == 0
    printed = capsysbinary.readouterr()
    assert b"conjure: line 4 left out: 2 fields instead of 3" in printed.err
    assert printed.out.count(b"\n") == 3


def test_evaluate_reads_stdin(counting, monkeypatch, capsys) -> None:
    lines = ["score\tsentence1\tsentence2", "1\ta\tb", "2\tc\td", "3\te\tf", "4\tg\th"]
    give(monkeypatch, "\n".join(lines).encode())
    assert main(["evaluate", "-", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dataset"], found["n"]) == ("stdin", 4)


@pytest.mark.parametrize(
    ("data", "command", "words"),
    [
        (b"", ["score", "-", "--out", "-"], "stdin is empty"),
        (b"\xff\n", ["score", "-", "--out", "-"], "stdin is not UTF-8 (line 1)"),
        (b"text1\ttext2\n", ["score", "-", "--out", "-"], "stdin has no pair of texts"),
        (b"a\tvalue\nx\ty\n", ["score", "-", "--out", "-"], "a column 'value' already"),
        (b"", ["score", "p.csv", "--out", "o.csv", "--format", "csv"], "--format is for - alone"),
        (b"", ["score", "-", "--out", "-", "--format", "xlsx"], "is not one of 'tsv', 'csv'"),
        (b"", ["evaluate", "-", "--out", "-"], "stdout is for the correlation"),
        (
            b'{"text1": "a", "text2": "b", "n": "x\\ty"}\n',
            ["score", "-", "--out", "-", "--format", "jsonl", "--limit"],
            "No such option",
        ),
    ],
)
def test_streams_that_are_refused(counting, monkeypatch, capsys, data, command, words) -> None:
    give(monkeypatch, data)
    assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err.splitlines()[-1]
    assert counting.rows == 0


def test_a_closed_stdin_is_refused(counting, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["score", "-", "--out", "-"]) == 2
    assert capsys.readouterr().err == (
        "conjure: stdin is closed, so there is nothing to read: give a file\n"
    )


def test_a_file_of_that_name_goes_by_its_full_path(counting, tmp_path, capsys) -> None:
    (tmp_path / "-").write_bytes(b"a\n")
    command = ["distance", "a", "--to", str(tmp_path / "-")]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("0 ")


# one text and many


WORDS = b"b\n\nc\nd\xff\nb\na\n"


def test_one_to_many_walks_the_one_text_once(counting, tmp_path, capsys) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(WORDS)
    assert main(["distance", "a", "--to", str(path)]) == 0
    printed = capsys.readouterr()
    steps, texts, pairs = 10, 3, 2  # a, b and c; b comes twice, and a from itself costs nothing
    rows = 1 + texts * (2 * steps - 2) + 2 * pairs * (steps - 1)
    if counting.guidance == 1:
        rows = texts * steps + 2 * pairs * (steps - 1)
    assert counting.rows == rows
    told = printed.err.splitlines()
    assert told[0] == "conjure: line 4 left out: it is not UTF-8"
    assert told[1] == f"conjure: 4 pairs: {rows} network rows to compute"
    *lines, signature = printed.out.splitlines()
    values = [float(line.split()[0]) for line in lines]
    assert values == sorted(values)
    assert lines[0].split() == ["0", "a"]
    alone = {text: conjure.distance("a", text, process=counting).value for text in "abc"}
    for line in lines:
        value, text = line.split()
        assert float(value) == pytest.approx(alone[text], rel=1e-4)
    assert signature.startswith("signature  process:gaussian|")


def test_one_to_many_as_json_and_as_a_table(counting, tmp_path, capsys) -> None:
    path, out = tmp_path / "words.csv", tmp_path / "out.csv"
    path.write_text("word,n\nc,1\nb,2\n,3\n")
    command = ["distance", "a", "--to", str(path), "--column", "word", "--samples", "2"]
    assert main([*command, "--json", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "line 4 left out: word is empty" in printed.err
    found = json.loads(printed.out)
    assert found["text"] == "a"
    assert found["left_out"] == 1
    assert found["signature"]["key"]["samples"] == 2
    table = read_pairs(out, ("compared_with", "word"))
    assert table.columns == ("compared_with", "word", "n", *RESULT_COLUMNS)
    assert [one["text"] for one in found["distances"]] == [row.cells["word"] for row in table.rows]
    for one, row in zip(found["distances"], table.rows, strict=True):
        alone = conjure.distance("a", one["text"], process=counting, samples=2)
        assert one["value"] == pytest.approx(alone.value, rel=1e-9)
        assert one["interval"] == pytest.approx(alone.interval, rel=1e-9)
        assert float(row.cells["value"]) == one["value"]


def test_one_to_many_from_stdin_to_stdout(counting, monkeypatch, capsysbinary) -> None:
    give(monkeypatch, b"c\nb\n")
    assert main(["distance", "a", "--to", "-", "--out", "-"]) == 0
    header, *lines = capsysbinary.readouterr().out.decode().splitlines()
    assert header.split("\t")[:3] == ["compared_with", "text", "value"]
    assert sorted(line.split("\t")[1] for line in lines) == ["b", "c"]


def test_one_to_many_goes_on_after_an_interruption(counting, tmp_path, monkeypatch, capsys) -> None:
    path, out = tmp_path / "words.txt", tmp_path / "out.tsv"
    path.write_text("\n".join("bcdefgh"))
    command = ["distance", "a", "--to", str(path), "--out", str(out)]
    counting.batch_size = 4
    predict = type(counting).predict

    def interrupted(self, *given):
        if self.rows > 150:
            raise KeyboardInterrupt
        return predict(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(type(counting), "predict", interrupted)
        assert main(command) == 130
    capsys.readouterr()
    assert main(command) == 0
    assert "of them finished earlier" in capsys.readouterr().err.splitlines()[0]
    assert len(read_pairs(out).rows) == 7


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["a", "--to", "words.csv"], "words.csv is a table: name its column of texts by --column"),
        (["a", "--to", "words.csv", "--column", "x"], "has no column 'x'; it has word, n"),
        (["a", "b", "--to", "words.csv"], "TEXT2 cannot go with --to FILE"),
        (["a", "b", "--out", "x.csv"], "--out goes with --to FILE alone"),
        (["a", "b", "--format", "csv"], "--format goes with --to FILE alone"),
        (["a", "--to", "no.txt"], "no such file: no.txt"),
        (["a", "--to", "empty.txt"], "empty.txt has no text to compare with"),
        (["a", "--to", "words.txt", "--out", "words.csv"], "exists already"),
        (["a", "--to", "words.txt", "--out", "-", "--json"], "would share stdout"),
        (["a", "--to", "made.csv", "--column", "word"], "a column 'compared_with' already"),
        (["a", "--to", "words.txt", "--estimand", "vibes"], "unknown estimand"),
    ],
)
def test_one_to_many_refuses(counting, tmp_path, monkeypatch, capsys, command, words) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.csv").write_text("word,n\nb,1\n")
    Path("words.txt").write_text("b\n")
    Path("made.csv").write_text("word,compared_with\nb,1\n")
    Path("empty.txt").write_text("\n\n")
    assert main(["distance", *command]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = printed.err.splitlines()
    assert words in line
    assert counting.rows == 0

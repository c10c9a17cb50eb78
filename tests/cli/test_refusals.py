"""What the command line refuses: one line, status 2, no model loaded, no file touched."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import pytest

import conjure
from conjure.cli import running
from conjure.cli.main import BROKEN_PIPE, main
from conjure.datasets.tables import read_pairs

LONG = "x" * 5000
MANIFESTS = {
    "text": "my manifest",
    "list": '["a"]',
    "deep": '{"key": ' + "[" * 200_000 + "]" * 200_000 + "}",
    "key": '{"format": "conjure run", "layout": 1, "kind": "terms", "key": {}, "digest": "0"}',
    "new": '{"format": "conjure run", "layout": 99, "kind": "terms", "key": {}}',
}
DIGITS = "9" * 400
OUT = ["--out", "out.csv"]
HEAD = "score\tsentence1\tsentence2\n"
RATED = HEAD + "1\ta\tb\n2\tc\td\n3\te\tf\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A folder of files that a user might have, and no process that could be loaded."""

    def load(*_: object, **__: object) -> None:
        raise AssertionError("a process was loaded")

    monkeypatch.setattr(conjure, "load", load, raising=False)
    monkeypatch.chdir(tmp_path)
    files: dict[str, str | bytes] = {
        "pairs.csv": "text1,text2\na,b\nc,d\ne\n",
        "ids.csv": "id,a,b\n1,a dog,a cat\n2,a bird,a bee\n",
        "codes.csv": "code,a,b\np1,a dog,a cat\np2,a bird,a bee\n",
        "scores.csv": "a,score,b\na dog,1.5,a cat\na bird,2,a bee\n",
        "one.csv": "text\na\n",
        "twice.csv": "text1,text1\na,b\n",
        "header.csv": '"x"y,b\ntext1,text2\na,b\n',
        "empty.csv": "",
        "latin.csv": "text1,text2\né,b\n".encode("latin-1"),
        "utf16.csv": "text1,text2\na,b\n".encode("utf-16"),
        "value.csv": "text1,text2,value\na,b,1\n",
        "garbage.parquet": b"PAR1" + bytes(range(200)) + b"PAR1",
        "text.parquet": "text1,text2\na,b\n",
        "torn.csv.gz": b"\x1f\x8b\x08\x00",
        "deep.jsonl": '{"text1": ' + "[" * 200_000 + "]" * 200_000 + "}\n",
        "nan.jsonl": '{"text1": "a", "text2": "b", "n": NaN}\n',
        "infinite.jsonl": '{"text1": "a", "text2": "b", "n": 1e999}\n',
        "rated.tsv": RATED,
        "digits.tsv": HEAD + f"{DIGITS}\ta\tb\n",
        "digits.jsonl": f'{{"score": {DIGITS}, "sentence1": "a", "sentence2": "b"}}\n',
        "there.csv": "kept",
        "notes.csv.run": "my notes",
        "plain": "a file",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "dangling.csv").symlink_to("nowhere.csv")
    (tmp_path / "dangling2.csv.run").symlink_to("nowhere.csv.run")
    for name, manifest in MANIFESTS.items():
        (tmp_path / f"{name}.csv.run").mkdir()
        (tmp_path / f"{name}.csv.run" / "manifest.json").write_text(manifest)
    (tmp_path / "foreign.csv.run").mkdir()
    (tmp_path / "foreign.csv.run" / "notes").write_text("my notes")
    (tmp_path / "link.csv").symlink_to("pairs.csv")
    os.link(tmp_path / "pairs.csv", tmp_path / "hard.csv")
    os.link(tmp_path / "rated.tsv", tmp_path / "hard.tsv")
    os.mkfifo(tmp_path / "pipe.csv")
    return tmp_path


def contents(folder: Path) -> dict[str, object]:
    """Everything in a folder: what files hold, where links lead."""
    return {
        path.name: os.readlink(path) if path.is_symlink()
        else path.read_bytes() if path.is_file() else stat.S_IFMT(path.lstat().st_mode)
        for path in folder.iterdir()
    }  # fmt: skip


REFUSED = {
    # empty values: mostly a variable of the shell that is not set
    "rows ''": (["reproduce", "table1", "--rows", ""], "--rows is empty"),
    "rows ,": (["reproduce", "table1", "--rows", ","], "a name is missing in ','"),
    "datasets ''": (["reproduce", "all", "--datasets", ""], "--datasets is empty"),
    "datasets ' '": (["reproduce", "all", "--datasets", " "], "--datasets is empty"),
    "datasets a,": (["reproduce", "all", "--datasets", "stsb,"], "a name is missing in 'stsb,'"),
    "reproduce out ''": (["reproduce", "table1", "--out", ""], "--out is empty"),
    "reproduce process ''": (["reproduce", "figure3", "--process", ""], "--process is empty"),
    "process ''": (["distance", "a", "b", "--process", ""], "--process is empty"),
    "sampler ''": (["distance", "a", "b", "--sampler", ""], "--sampler is empty"),
    "estimand ''": (["distance", "a", "b", "--estimand", ""], "--estimand is empty"),
    "device ''": (["distance", "a", "b", "--device", ""], "--device is empty"),
    "revision ''": (["distance", "a", "b", "--revision", ""], "--revision is empty"),
    "columns '' x": (["score", "pairs.csv", *OUT, "--columns", "", "x"], "--columns is empty"),
    "out ''": (["score", "pairs.csv", "--out", ""], "--out is empty"),
    "pairs ''": (["score", "", *OUT], "PAIRS is empty"),
    "dataset ''": (["evaluate", ""], "DATASET is empty"),
    "data-dir ''": (["evaluate", "stsb", "--data-dir", ""], "--data-dir is empty"),
    "max-memory ''": (["score", "pairs.csv", *OUT, "--max-memory", ""], "--max-memory is empty"),
    "bench": (["bench", "network", "--rounds", "3"], "python -m benchmarks network --rounds 3"),
    "text ''": (["distance", "", "b"], "TEXT1 is empty"),
    # texts and names
    "surrogate": (["distance", "caf\udce9", "b"], "first text is not valid Unicode"),
    "escape": (["distance", "a", "b", "--\x1b[2J"], "No such option '--\\x1b[2J'"),
    "command": (["dis\ntance\x07"], "No such command 'dis\\ntance\\x07'"),
    "bidi": (["evaluate", "\u202estsb"], "unknown dataset '\\u202estsb'"),
    # files that cannot be read
    "no file": (["score", "no.csv", *OUT], "no such file: no.csv"),
    "home": (["score", "~nobody/x.csv", *OUT], "no such file: ~nobody/x.csv"),
    "long": (["score", f"{LONG}.csv", *OUT], "File name too long"),
    "long parquet": (["score", f"{LONG}.parquet", *OUT], "File name too long"),
    "null": (["score", "a\0.csv", *OUT], "PAIRS holds a null character"),
    "folder": (["score", "folder.csv", *OUT], "folder.csv is a folder; give a file"),
    "folder parquet": (["score", "folder.parquet", *OUT], "folder.parquet is a folder"),
    "below a file": (["score", "plain/x.csv", *OUT], "cannot read plain/x.csv: Not a directory"),
    "no format": (["score", "plain", *OUT], "unknown table format ''"),
    "empty": (["score", "empty.csv", *OUT], "empty.csv is empty"),
    "latin": (["score", "latin.csv", *OUT], "is not UTF-8 (line 2)"),
    "utf-16": (["score", "utf16.csv", *OUT], "is not UTF-8 (line 1)"),
    "garbage": (["score", "garbage.parquet", *OUT], "as Parquet"),
    "no parquet": (["score", "text.parquet", *OUT], "as Parquet"),
    "torn gzip": (["score", "torn.csv.gz", *OUT], "is not gzip, or damaged"),
    "header": (["score", "header.csv", *OUT], "the line of column names"),
    "twice": (["score", "twice.csv", *OUT], "names a column twice"),
    "data-dir of a file": (
        ["evaluate", "pairs.csv", "--data-dir", "."],
        "--data-dir is for a set known by name",
    ),
    "dataset folder": (["evaluate", "folder.csv"], "is a folder; give a file"),
    "data-dir": (["evaluate", "stsb", "--data-dir", "no"], "no such file: no/stsb-test.tsv"),
    "data-dir file": (["evaluate", "stsb", "--data-dir", "plain"], "Not a directory"),
    "deep": (["score", "deep.jsonl", *OUT], "line 1: nested more than 100 levels deep"),
    "nan": (["score", "nan.jsonl", *OUT], "line 1: not JSON: NaN is not a JSON number"),
    # columns
    "one column": (["score", "one.csv", *OUT], "needs two columns of texts"),
    "ids": (["score", "ids.csv", *OUT], "'id' is named like an id. Name two of id, a, b by --col"),
    "codes": (["score", "codes.csv", *OUT], "'code' looks like ids"),
    "numbers": (["score", "scores.csv", *OUT], "'score' holds numbers"),
    "no column": (["score", "ids.csv", *OUT, "--columns", "a", "c"], "has no column 'c'"),
    "same column": (["score", "ids.csv", *OUT, "--columns", "a", "a"], "compared with itself"),
    "result column": (["score", "value.csv", *OUT], "a column 'value' already"),
    # outputs that could not be written, or would cost something
    "exists": (["score", "pairs.csv", "--out", "there.csv"], "exists already"),
    "itself": (["score", "pairs.csv", "--out", "./pairs.csv", "--overwrite"], "the input itself"),
    "its link": (["score", "pairs.csv", "--out", "link.csv", "--overwrite"], "the input itself"),
    "hard link": (["score", "pairs.csv", "--out", "hard.csv", "--overwrite"], "the input itself"),
    "dataset": (["evaluate", "rated.tsv", "--out", "hard.tsv", "--overwrite"], "the input itself"),
    "dangling": (["score", "pairs.csv", "--out", "dangling.csv"], "a link to a file that does not"),
    "pipe": (["score", "pairs.csv", "--out", "pipe.csv", "--overwrite"], "not a regular file"),
    "out folder": (["score", "pairs.csv", "--out", "folder.csv", "--overwrite"], "is a folder"),
    "no folder": (["score", "pairs.csv", "--out", "no/out.csv"], "no such folder: no"),
    "out long": (["score", "pairs.csv", "--out", f"{LONG}.csv"], "File name too long"),
    "out null": (["score", "pairs.csv", "--out", "a\0.csv"], "--out holds a null character"),
    "run file": (["score", "pairs.csv", "--out", "notes.csv"], "notes.csv.run is a file"),
    "run link": (["score", "pairs.csv", "--out", "dangling2.csv"], "a link to a folder that"),
    "run foreign": (["score", "pairs.csv", "--out", "foreign.csv"], "is not a run folder"),
    "run named": (["score", "pairs.csv", *OUT, "--run", "foreign.csv.run"], "is not a run folder"),
    "run rated": (["evaluate", "rated.tsv", "--run", "foreign.csv.run"], "is not a run folder"),
    "manifest text": (["score", "pairs.csv", "--out", "text.csv"], "manifest.json is damaged"),
    "manifest list": (["score", "pairs.csv", "--out", "list.csv"], "manifest.json is damaged"),
    "manifest deep": (["score", "pairs.csv", "--out", "deep.csv"], "manifest.json is damaged"),
    "manifest key": (["score", "pairs.csv", "--out", "key.csv"], "manifest.json is damaged"),
    "manifest new": (["score", "pairs.csv", "--out", "new.csv"], "has layout 99, and this version"),
    "shard 0": (["score", "pairs.csv", *OUT, "--shard", "0/2"], "I from 1 to N"),
    "shard 3": (["score", "pairs.csv", *OUT, "--shard", "3/2"], "I from 1 to N"),
    "shard text": (["score", "pairs.csv", *OUT, "--shard", "a/b"], "I from 1 to N"),
    "shard long": (["score", "pairs.csv", *OUT, "--shard", f"1/{DIGITS}"], "I from 1 to N"),
    "shard adaptive": (
        ["score", "pairs.csv", *OUT, "--shard", "1/2", "--samples", "2", "--tolerance", "0.1"],
        "--tolerance cannot go with --shard",
    ),
    "shard nowhere": (["score", "pairs.csv", "--out", "-", "--shard", "1/2"], "give --run DIR"),
    "resume nowhere": (["evaluate", "rated.tsv", "--resume", "verify"], "give --run DIR"),
    "resume what": (["score", "pairs.csv", *OUT, "--resume", "all"], "--resume"),
    "infinite": (["score", "infinite.jsonl", "--out", "o.jsonl"], "an infinite number, which JSON"),
    "reproduce out": (["reproduce", "table1", "--out", "plain/x"], "plain is a file, so there can"),
    # numbers
    "memory": (["score", "pairs.csv", *OUT, "--max-memory", DIGITS], "is no amount of memory"),
    "memory TiB": (["score", "pairs.csv", *OUT, "--max-memory", "9" * 15 + "TiB"], "may have"),
    "memory 0": (["score", "pairs.csv", *OUT, "--max-memory", "0"], "may have"),
    "most samples": (["distance", "a", "b", "--most-samples", "8"], "give both, or neither"),
    "limit": (["evaluate", "rated.tsv", "--limit", "0"], "--limit"),
    "steps": (["distance", "a", "b", "--steps", "1.5"], "--steps"),
}  # fmt: skip


@pytest.mark.parametrize(("command", "words"), REFUSED.values(), ids=map(repr, REFUSED))
def test_refusals(folder, capsys, command: list[str], words: str) -> None:
    before = contents(folder)
    assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = printed.err.splitlines()
    assert line.startswith("conjure: ")
    assert words in line
    assert len(line) < 1100
    assert line.isprintable()
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["evaluate", "digits.tsv"], "line 2 left out: score '9999"),
        (["evaluate", "digits.jsonl"], "line 1 left out: score 9999"),
    ],
)
def test_rows_of_which_nothing_is_left(folder, capsys, command: list[str], words: str) -> None:
    assert main(command) == 2
    bad, last = capsys.readouterr().err.splitlines()
    assert bad.startswith(f"conjure: {words}")
    assert len(bad) < 200
    assert "pair" in last


# where the guess of columns is right, and where it is not


@pytest.mark.parametrize(
    ("header", "rows", "doubt"),
    [
        ("a,b", ["cord,smile", "rooster,voyage", "noon,string"], None),  # unique single words
        ("a,b", ["a dog,a cat", "a bird,a bee"], None),
        ("a,b", ["犬,猫", "日本,中国"], None),
        ("a,b", ["7 up,Catch-22", "cola,a novel"], None),  # a few texts with digits
        ("a,b", ["covid-19,flu", "covid-19,cold", "H1N1,flu"], None),  # not unique
        ("a,b", ["1,one", "two,2", "three,3 or 4"], None),  # the odd number
        ("a,b", [], None),
        ("identity,paid", ["a dog,a cat"], None),
        ("a,b", ["1,one", "2,two"], "'a' holds numbers"),
        ("a,b", ["one,1.5", "two,-2e3", "three,x"], "'b' holds numbers"),
        ("a,b", ["2026-01-31,x", "2026-01-31,y"], "'a' holds numbers"),
        ("a,b", ['"1.234,5",x', "12 %,y"], "'a' holds numbers"),
        ("a,b", ["p1,one", "p2,two"], "'a' looks like ids"),
        ("a,b", ["one,3f2a-77bc", "two,99aa-1c"], "'b' looks like ids"),
        ("a,b", ["img_dog,one", "img_cat,two"], "'a' looks like ids"),
        ("ID,b", ["x,y"], "'ID' is named like an id"),
        ("pair_id,b", ["x,y"], "'pair_id' is named like an id"),
        ("b,index", ["x,y"], "'index' is named like an id"),
    ],
)
def test_a_guess_of_columns_is_told_or_refused(tmp_path, header, rows, doubt) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    if doubt is None:
        assert read_pairs(path).guessed
    else:
        with pytest.raises(conjure.core.errors.InputError, match=f"are not: {doubt}"):
            read_pairs(path)
    assert not read_pairs(path, header.split(",")).guessed


# what is done and told


@pytest.fixture
def counting(gaussians, monkeypatch):
    process = gaussians(batch_size=64)
    monkeypatch.setattr(conjure, "load", lambda *_, **__: process, raising=False)
    return process


def test_score_says_which_columns_it_guessed(counting, tmp_path, capsys) -> None:
    (tmp_path / "p.csv").write_text("left,right\na,b\n")
    command = ["score", str(tmp_path / "p.csv"), "--out", str(tmp_path / "out.csv")]
    assert main(command) == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert first == (
        "conjure: compared are the first two columns, 'left' and 'right'; --columns names others"
    )
    assert main([*command, "--overwrite", "--columns", "left", "right"]) == 0
    assert "compared are" not in capsys.readouterr().err


def test_of_many_bad_rows_a_few_are_told_and_all_are_counted(counting, tmp_path, capsys) -> None:
    path = tmp_path / "p.tsv"
    path.write_text(RATED + "x\ta\tb\n" * 3000)
    assert main(["evaluate", str(path)]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert told[0] == "conjure: line 5 left out: score 'x' is not a number"
    assert len(told) == 6
    assert told[5] == "conjure: 2,995 more rows left out, 3,000 in all"
    assert main(["evaluate", str(path), "--json"]) == 0
    assert '"left_out": 3000' in capsys.readouterr().out


def test_files_of_the_users_beside_the_output_stay(counting, tmp_path, capsys) -> None:
    (tmp_path / "p.csv").write_text("text1,text2\na,b\n")
    (tmp_path / "out.csv.tmp").write_text("mine")
    (tmp_path / "out.csv").write_text("old")
    (tmp_path / "out.csv").chmod(0o640)
    (tmp_path / "link.csv").symlink_to("out.csv")
    command = ["score", str(tmp_path / "p.csv"), "--overwrite", "--out"]
    assert main([*command, str(tmp_path / "link.csv")]) == 0
    assert (tmp_path / "out.csv.tmp").read_text() == "mine"
    assert (tmp_path / "link.csv").is_symlink()  # written through
    assert len(read_pairs(tmp_path / "out.csv").rows) == 1
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {
        "p.csv", "out.csv.tmp", "out.csv", "link.csv"
    }  # fmt: skip


def test_a_new_output_has_the_rights_of_any_new_file(counting, tmp_path) -> None:
    (tmp_path / "p.csv").write_text("text1,text2\na,b\n")
    assert main(["score", str(tmp_path / "p.csv"), "--out", str(tmp_path / "out.csv")]) == 0
    assert (tmp_path / "out.csv").stat().st_mode == (tmp_path / "p.csv").stat().st_mode


def test_a_run_folder_without_a_manifest_is_begun_anew(counting, tmp_path) -> None:
    """A crash came before there was one."""
    (tmp_path / "p.csv").write_text("text1,text2\na,b\n")
    (tmp_path / "out.csv.run" / "shards").mkdir(parents=True)
    (tmp_path / "out.csv.run" / "shards" / ".conjure-0123456789ab.tmp").write_text("torn")
    command = ["score", str(tmp_path / "p.csv"), "--out", str(tmp_path / "out.csv")]
    assert main(command) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"p.csv", "out.csv"}


def test_a_full_disk_at_the_end_keeps_the_finished_rows(
    counting, tmp_path, capsys, monkeypatch
) -> None:
    (tmp_path / "p.csv").write_text("text1,text2\na,b\nc,d\n")
    command = ["score", str(tmp_path / "p.csv"), "--out", str(tmp_path / "out.csv")]
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(running, "write_rows", full)
        assert main(command) == 2
    kept, last = capsys.readouterr().err.splitlines()[-2:]
    assert "2 finished rows are kept in" in kept
    assert last == "conjure: No space left on device"
    assert {path.name for path in tmp_path.iterdir()} == {"p.csv", "out.csv.run"}
    assert main(command) == 0
    assert "2 of them finished earlier: 0 network rows" in capsys.readouterr().err


# stdout that cannot be written to


class Full(io.TextIOWrapper):
    """A stdout on a device that is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


def test_a_closed_stdout_is_refused_before_anything_is_computed(
    counting, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["distance", "a", "b"]) == 2
    assert counting.rows == 0
    assert capsys.readouterr().err == (
        "conjure: stdout is closed, so the result would be lost: send it to a file\n"
    )


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (BrokenPipeError(32, "Broken pipe"), BROKEN_PIPE, "stdout was closed before all was"),
    ],
)
def test_a_stdout_that_takes_nothing_is_told(
    counting, capsys, monkeypatch, error, status, words
) -> None:
    monkeypatch.setattr(sys, "stdout", Full(error))
    monkeypatch.setattr(sys, "stderr", sys.stderr)  # which click wraps for a broken pipe
    assert main(["distance", "a", "b"]) == status
    assert words in capsys.readouterr().err


def test_a_stderr_whose_reader_has_gone_costs_no_result(counting, tmp_path, monkeypatch) -> None:
    (tmp_path / "p.csv").write_text("text1,text2\na,b\n")
    monkeypatch.setattr(sys, "stderr", Full(BrokenPipeError(32, "Broken pipe")))
    assert main(["score", str(tmp_path / "p.csv"), "--out", str(tmp_path / "out.csv")]) == 0
    assert len(read_pairs(tmp_path / "out.csv").rows) == 1


def test_a_stdout_that_fails_only_in_the_end_is_told(counting, capsys, monkeypatch) -> None:
    class Late(io.StringIO):
        def flush(self) -> None:
            if sys._getframe(1).f_code is main.__code__:
                raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Late())
    assert main(["distance", "a", "b"]) == 2
    assert "the result could not be written: No space left" in capsys.readouterr().err


# help


@pytest.mark.parametrize(
    "command", [["distance"], ["score"], ["evaluate"], ["reproduce", "table1"]], ids=" ".join
)
def test_help_has_the_defaults(capsys, command: list[str]) -> None:
    assert main([*command, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for default in ("lms", "10", "7.5"):
        assert f"[default: the process's own, else {default}]" in text
    assert "[default: cuda where there is one, else cpu]" in text
    assert "[default: float32]" in text

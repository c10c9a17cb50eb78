"""What the command line guesses, tells and keeps where an input is not whole."""

from __future__ import annotations

import io
import stat
import sys

import pytest

import conjure
from conjure.cli import running
from conjure.cli.main import BROKEN_PIPE, main
from conjure.datasets.tables import read_pairs

RATED = "score\tsentence1\tsentence2\n1\ta\tb\n2\tc\td\n3\te\tf\n"


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

"""Texts that a process cannot read: refused alone, left out of a table, the rest goes on."""

import json

import pytest

import conjure
from conjure.cli import main as cli
from conjure.core.errors import InputError

TABLE = """score\tsentence1\tsentence2
1\ta dog\ta cat
2\t犬\ta cat
3\ta car\t我爱你
4\ta car\ta bus
5\ta cup\ta dog
6\ta cup\ta cat
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_rows_of_which_nothing_is_read_are_left_out_of_a_score(table, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    assert cli.main(["score", str(table), "--out", str(out), "--steps", "2"]) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["score"] for row in rows] == ["1", "4", "5", "6"]
    assert all(row["value"] > 0 for row in rows)
    told = capsys.readouterr().err
    assert "line 3 left out: emoji can read nothing of '犬'" in told
    assert "line 4 left out: emoji can read nothing of '我爱你'" in told


def test_and_of_an_evaluation(table, capsys):
    assert cli.main(["evaluate", str(table), "--steps", "2", "--json"]) == 0
    done = capsys.readouterr()
    assert json.loads(done.out)["n"] == 4
    assert "line 3 left out" in done.err


def test_a_table_of_which_nothing_is_left_is_refused(tmp_path, capsys):
    path = tmp_path / "pairs.tsv"
    path.write_text("text1\ttext2\n犬\t猫\n", encoding="utf-8")
    out = tmp_path / "out.tsv"
    assert cli.main(["score", str(path), "--out", str(out), "--steps", "2"]) == 2
    assert "there is no pair left" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["pairs.tsv"]


def test_the_command_line_says_so_in_one_line(capsys):
    assert cli.main(["distance", "犬", "猫", "--steps", "2"]) == 2
    done = capsys.readouterr()
    assert done.out == ""
    assert done.err == "conjure: emoji can read nothing of '犬': it knows no token of it\n"


def test_errors_are_public_and_light():
    assert conjure.InputError is InputError
    assert issubclass(conjure.InputError, conjure.ConjureError)
    assert issubclass(conjure.NonFiniteError, conjure.ConjureError)


def test_a_process_says_what_it_is():
    process = conjure.load(steps=3, guidance=2, device="cpu")
    assert repr(process) == (
        f"<StableDiffusion 'emoji' ({process.revision}): ddim, T=3, w=2, float32 on cpu>"
    )


@pytest.mark.parametrize(
    "settings", [{"samples": 0}, {"estimand": "x"}, {"seed": -1}, {"estimand": "pointwise:0"}]
)
def test_nothing_is_loaded_for_a_measure_that_makes_no_sense(monkeypatch, settings):
    monkeypatch.setattr("conjure.similarity.bundled", lambda: pytest.fail("loaded"))
    with pytest.raises(InputError):
        conjure.distance("a", "b", **settings)


@pytest.mark.filterwarnings("always:emoji does not know")
def test_a_table_tells_once_of_all_texts_that_are_known_in_part(tmp_path, capsys):
    path = tmp_path / "pairs.tsv"
    rows = "".join(f"犬 {word}\t{word} 猫\n" for word in ("barks", "runs", "sits"))
    path.write_text("text1\ttext2\n" + rows, encoding="utf-8")
    assert cli.main(["score", str(path), "--out", str(tmp_path / "o.tsv"), "--steps", "2"]) == 0
    [line] = [line for line in capsys.readouterr().err.splitlines() if "does not know" in line]
    assert "a part of 6 prompts; of the first of them '犬': '犬 barks'" in line


def test_the_tables_of_the_paper_refuse_such_a_text_before_anything_is_measured(tmp_path):
    from conjure.runs.passes import Passes

    process = conjure.load(steps=2, device="cpu")
    with pytest.raises(InputError, match="can read nothing of '犬'"):
        Passes(tmp_path).measure(process, [("a dog", "a cat"), ("犬", "a cat")])

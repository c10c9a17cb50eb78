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


def test_rows_of_which_nothing_is_read_fail_and_the_others_are_scored(table, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    command = ["score", str(table), "--out", str(out), "--steps", "2"]
    assert cli.main(command) == 1
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["score"] for row in rows] == ["1", "4", "5", "6"]
    assert all(row["value"] > 0 for row in rows)
    told = capsys.readouterr().err
    assert "line 3 left out: emoji can read nothing of '犬'" in told
    assert "line 4 left out: emoji can read nothing of '我爱你'" in told
    assert f"2 pairs failed and have no row in the output; {out}.run has the reasons" in told
    assert cli.main(["runs", "show", f"{out}.run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["units"] == 6
    assert [(unit["text1"], unit["text2"]) for unit in found["failed"]] == [
        ("a cat", "犬"),
        ("a car", "我爱你"),
    ]
    assert all("can read nothing of" in unit["reason"] for unit in found["failed"])
    assert cli.main([*command, "--overwrite"]) == 1  # still, and nothing is kept twice
    assert cli.main(["runs", "show", f"{out}.run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["units"] == 6


def test_and_those_of_an_evaluation(table, capsys):
    assert cli.main(["evaluate", str(table), "--steps", "2", "--json"]) == 1
    done = capsys.readouterr()
    assert json.loads(done.out)["n"] == 4
    assert "line 3 left out" in done.err
    assert done.err.splitlines()[-1] == "conjure: 2 pairs failed and have no row in the output"


def test_and_of_a_search(tmp_path, capsys):
    (tmp_path / "texts").write_text("a cat\n犬\na bus\n", encoding="utf-8")
    command = ["distance", "a dog", "--to", str(tmp_path / "texts"), "--steps", "2", "--json"]
    assert cli.main(command) == 1
    assert len(json.loads(capsys.readouterr().out)["distances"]) == 2


def test_and_of_a_matrix(tmp_path, capsys):
    command = ["matrix", "a dog", "犬", "a cat", "--steps", "2", "--run", str(tmp_path / "run")]
    assert cli.main([*command, "--json"]) == 1
    done = capsys.readouterr()
    found = json.loads(done.out)
    assert found["texts"] == ["a dog", "a cat"]
    [left_out] = found["left_out"]
    assert left_out["text"] == "犬"
    assert "conjure: text 2 left out: emoji can read nothing of '犬'" in done.err
    assert cli.main(["runs", "show", str(tmp_path / "run"), "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)
    assert (kept["units"], len(kept["failed"])) == (3, 2)
    assert cli.main(["matrix", "a dog", "犬", "--steps", "2"]) == 2  # one text is no matrix


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

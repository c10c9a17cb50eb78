"""``conjure runs`` and ``--shard``: show, verify, merge and export what run folders hold."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import conjure
import conjure.runs.cost
from conjure import runs
from conjure.cli.main import main
from conjure.core.planner import components, distinct
from conjure.datasets.tables import read_pairs
from conjure.runs.parts import of_part

PAIRS = [(one, other) for one in "abcd" for other in "efgh"]


@pytest.fixture
def process(gaussians, monkeypatch):
    made = gaussians(batch_size=4, guidance=2.0)
    monkeypatch.setattr(runs.cost, "LONG", 10**9)
    monkeypatch.setattr(conjure, "load", lambda *_, **__: made, raising=False)
    return made


@pytest.fixture
def scored(process, tmp_path):
    """Score the pairs into OUT with these flags; returns the exit status."""
    lines = "".join(f"{one},{other}\n" for one, other in PAIRS)
    (tmp_path / "pairs.csv").write_text(f"text1,text2\n{lines}")

    def score(out: str, *flags: str) -> int:
        table = str(tmp_path / "pairs.csv")
        return main(["score", table, "--out", str(tmp_path / out), *flags])

    return score


def values_of(path: Path) -> dict[tuple[str, str], float]:
    table = read_pairs(path)
    return {
        pair: float(row.cells["value"]) for pair, row in zip(table.pairs(), table.rows, strict=True)
    }


def test_show_says_what_is_there(scored, tmp_path, capsys):
    assert scored("out.csv", "--run", str(tmp_path / "run"), "--samples", "2") == 0
    capsys.readouterr()
    assert main(["runs", "show", str(tmp_path / "run"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["units"], found["units_left"], found["failed"]) == (32, 0, [])
    assert found["key"]["guidance_scale"] == 2.0
    assert main(["runs", "show", str(tmp_path / "run")]) == 0
    assert "32 units in" in capsys.readouterr().out


def test_verify_finds_damage_and_writes_nothing(scored, tmp_path, capsys):
    run = tmp_path / "run"
    assert scored("out.csv", "--run", str(run)) == 0
    assert main(["runs", "verify", str(run)]) == 0
    [path] = (run / "shards").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    capsys.readouterr()
    assert main(["runs", "verify", str(run)]) == 1
    assert "do not fit its checksum" in capsys.readouterr().err
    assert path.exists()


@pytest.mark.parametrize("count", [2, 3, 7])
def test_shards_in_one_folder_make_the_whole(scored, process, tmp_path, capsys, count):
    assert scored("whole.csv") == 0
    run, spent = str(tmp_path / "run"), []
    for n in range(count, 0, -1):
        process.rows = 0
        assert scored("out.csv", "--run", run, "--shard", f"{n}/{count}", "--samples", "2") == 0
        spent.append(process.rows)
    told = capsys.readouterr().err
    assert "without --shard writes the output" in told
    process.rows = 0
    assert scored("all.csv", "--run", run, "--samples", "2") == 0
    assert process.rows == 0
    assert scored("one.csv", "--run", run) == 0
    one, whole = values_of(tmp_path / "one.csv"), values_of(tmp_path / "whole.csv")
    assert one == pytest.approx(whole, rel=1e-9)
    assert max(spent) <= 2 * sum(spent) / count  # the parts are alike


def test_shards_in_folders_of_their_own_are_merged(scored, process, tmp_path, capsys):
    folders = [str(tmp_path / f"run-{n}") for n in (1, 2)]
    for n, folder in enumerate(folders, start=1):
        assert scored("out.csv", "--run", folder, "--shard", f"{n}/2") == 0
    whole = str(tmp_path / "whole")
    assert main(["runs", "merge", whole, *folders]) == 0
    assert "16 units copied from 2 runs" in capsys.readouterr().err
    assert main(["runs", "merge", whole, *folders]) == 0
    assert "0 units copied" in capsys.readouterr().err
    process.rows = 0
    assert scored("end.csv", "--run", whole) == 0
    assert process.rows == 0
    assert len(read_pairs(tmp_path / "end.csv").rows) == 16


def test_runs_of_unlike_keys_are_not_merged(scored, tmp_path, capsys, monkeypatch, gaussians):
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert scored("a.csv", "--run", one) == 0
    other = gaussians(batch_size=4, guidance=3.0)
    monkeypatch.setattr(conjure, "load", lambda *_, **__: other, raising=False)
    assert scored("b.csv", "--run", two) == 0
    capsys.readouterr()
    assert main(["runs", "merge", str(tmp_path / "all"), one, two]) == 2
    assert "guidance_scale 2.0, now 3.0" in capsys.readouterr().err
    assert not (tmp_path / "all").exists()
    assert main(["runs", "merge", one, two]) == 2
    assert "begun with other settings" in capsys.readouterr().err


@pytest.mark.parametrize("estimand", ["jeffreys", "kl", "initial", "cumulative:3"])
def test_export_gives_what_score_gave(scored, tmp_path, estimand):
    run = str(tmp_path / "run")
    assert scored("out.csv", "--run", run, "--samples", "3", "--estimand", estimand) == 0
    assert main(["runs", "export", run, "--out", str(tmp_path / "export.csv")]) == 0
    found = values_of(tmp_path / "export.csv")
    assert found == pytest.approx(values_of(tmp_path / "out.csv"), rel=1e-12)
    with (tmp_path / "export.csv").open() as file:
        assert {row["samples"] for row in csv.DictReader(file)} == {"3"}


def test_safe_csv_neutralises_formulas(tmp_path, monkeypatch):
    from conjure.core.spec import Signature
    from conjure.runs.distances import DISTANCES
    from conjure.runs.store import Store

    texts = ["=HYPERLINK(1)", "+1", "-1", "@x", " =1", "\tx", "a dog"]
    with Store(tmp_path / "run", DISTANCES, Signature({"baseline": "one"})) as kept:
        kept.begin({}, 1)
        kept.add([{"text1": text, "text2": "b", "distance": 1.0} for text in texts])
    for flags, mark in ([], ""), (["--safe-csv"], "'"):
        out = tmp_path / f"out{len(flags)}.csv"
        assert main(["runs", "export", str(tmp_path / "run"), "--out", str(out), *flags]) == 0
        with out.open(newline="") as file:
            found = {row["text1"] for row in csv.DictReader(file)}
        assert found == {mark + text if text != "a dog" else text for text in texts}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["show", "nowhere"], "is not a run folder"),
        (["verify", "foreign"], "is not a run folder"),
        (["merge", "new", "foreign"], "is not a run folder"),
        (["merge", "foreign", "run"], "is not a run folder"),
        (["export", "run", "--out", "out.doc"], "unknown table format"),
        (["export", "run", "--out", "there.csv"], "exists already"),
        (["export", "run", "--out", "o.csv", "--estimand", "girsanov"], "depends on the schedule"),
        (["export", "run", "--out", "o.csv", "--estimand", "chain"], "depends on the schedule"),
        (["export", "run", "--out", "o.csv", "--estimand", "output"], "no distance to export"),
        (["export", "run", "--out", "o.csv", "--estimand", "x"], "unknown estimand"),
    ],
)
def test_refusals(scored, tmp_path, capsys, monkeypatch, command, words):
    monkeypatch.chdir(tmp_path)
    assert scored("out.csv", "--run", "run") == 0
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes").write_text("my notes")
    (tmp_path / "there.csv").write_text("kept")
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    assert main(["runs", *command]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("count", [1, 2, 5, 40])
@pytest.mark.parametrize("seeds", [(0,), (3, 4, 5)])
def test_parts_have_each_unit_once_and_keep_components_whole(count, seeds):
    pairs = [("a", "b"), ("b", "c"), ("d", "e"), ("f", "g"), ("g", "h"), ("f", "h"), ("i", "j")]
    pairs = distinct(pairs)
    parts = [of_part(pairs, seeds, (n, count)) for n in range(1, count + 1)]
    units = [(pair, seed) for part in parts for pair, own in part.items() for seed in own]
    assert sorted(units) == sorted((pair, seed) for pair in pairs for seed in seeds)
    if count == 2:
        for component in components(pairs):
            for seed in seeds:
                owners = {n for n, part in enumerate(parts) for pair in component
                          if seed in part.get(pair, ())}  # fmt: skip
                assert len(owners) == 1

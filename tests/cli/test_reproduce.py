"""``conjure reproduce`` on the bundled process: files, one pass, resumption, refusals."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from pyarrow.parquet import read_table

import conjure
from conjure.cli.main import main
from conjure.cli.names import typed
from conjure.cli.reproduce import reproduce as commands
from conjure.paper.rows import DIFFUSION, GROUPS, read_rows
from conjure.processes.stable_diffusion import StableDiffusion
from conjure.runs import baseline_distances

KEYS = {
    *("row", "dataset", "subset", "spearman", "pearson", "kendall", "n", "p_value", "interval"),
    *("signature", "source"),
}
CONTROL = GROUPS["diffusion"][-1]
WORDS = ["dog", "puppy", "cat", "kitten", "car", "truck", "sun", "moon", "apple", "pear", "boat"]


@pytest.fixture
def pairs(tmp_path) -> Path:
    """A set of one's own: 10 pairs of words in two subsets."""
    lines = ["subset\tscore\tsentence1\tsentence2"]
    for i, (one, other) in enumerate(zip(WORDS, WORDS[1:], strict=False)):
        lines.append(f"{'xy'[i // 5]}\t{5 - i % 4}\ta {one}\ta {other}")
    path = tmp_path / "words.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """The rows of every batch that the network is given."""
    rows: list[int] = []
    predict = StableDiffusion.predict

    def counting(self, x, step, conditioning):
        rows.append(len(x))
        return predict(self, x, step, conditioning)

    monkeypatch.setattr(StableDiffusion, "predict", counting)
    return rows


def reproduce(name: str, pairs: Path, out: Path, *flags: str) -> int:
    common = ("--datasets", str(pairs), "--out", str(out), "--steps", "2")
    return main(["reproduce", name, *common, *flags])


def cells_of(path: Path) -> dict[tuple[str, str], dict]:
    found = json.loads(path.read_text())
    return {(cell["row"], cell["subset"]): cell for cell in found if cell["source"] == "measured"}


def test_table1_writes_every_format_by_the_contract(pairs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("conjure.paper.control.POOL", 24)
    out = tmp_path / "out"
    assert reproduce("table1", pairs, out, "--rows", "diffusion,paragon", "--samples", "2") == 0
    printed = capsys.readouterr().out
    cells = json.loads((out / "table1.json").read_text())
    assert all(cell.keys() - {"reason", "over", "interval_reason"} == KEYS for cell in cells)
    assert {cell["source"] for cell in cells} == {"measured"}  # nothing is published of this set
    whole = [cell for cell in cells if cell["subset"] == "all"]
    assert [cell["row"] for cell in whole] == [*read_rows(["diffusion"]), "paragon"]
    for cell in whole:
        assert cell["n"] == 10
        assert -100 <= cell["interval"][0] <= cell["interval"][1] <= 100
        about = {CONTROL: "100 draws of the control", "paragon": "pairs"}
        assert cell["over"] == about.get(cell["row"], "pairs and seeds")
        assert f"{cell['spearman']:.1f}"[1:] in printed
        if cell["row"] == CONTROL:
            assert cell["interval"][0] < cell["spearman"] < cell["interval"][1]
            assert cell["signature"]["key"]["samples"] == 100
    assert [cell["signature"]["key"]["estimand"] for cell in whole[:-1]] == [
        *("jeffreys", "kl", "initial", "final", "output", "girsanov", "coupled"),
        *("conditional", "control"),
    ]
    with (out / "table1.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(cells)
    assert r"\toprule" in (out / "table1.tex").read_text()
    report = (out / "table1.md").read_text()
    assert "- Command: `conjure reproduce table1 --rows diffusion,paragon" in report
    assert "--out DIR" in report
    assert str(tmp_path / "out") not in report
    assert "torch 2" in report
    reliability = json.loads((out / "table1-reliability.json").read_text())
    assert {one["samples"] for one in reliability} == {2}
    differences = json.loads((out / "table1-differences.json").read_text())
    by = {one["than"]: one for one in differences}
    # the control, as many draws, is in no paired difference and has no reliability
    assert [*by] == [*read_rows(["diffusion"])[1:-1], "paragon"]
    assert CONTROL not in {one["row"] for one in reliability}
    known = cells_of(out / "table1.json")
    ours, theirs = known["conjuring", "all"], known["paragon", "all"]
    assert by["paragon"]["difference"] == pytest.approx(ours["spearman"] - theirs["spearman"])


def test_rows_are_what_the_library_measures(pairs, tmp_path):
    """Spearman of a cell is that of distances taken one by one, without passes or tables."""
    from scipy.stats import spearmanr

    out = tmp_path / "out"
    assert reproduce("table1", pairs, out, "--rows", "conjuring,output", "--seed", "3") == 0
    lines = [line.split("\t") for line in pairs.read_text().splitlines()[1:]]
    process = conjure.load(steps=2)
    for row, estimand in (("conjuring", "jeffreys"), ("output", "output")):
        distances = [
            conjure.distance(a, b, process=process, seed=3, estimand=estimand).value
            for _, _, a, b in lines
        ]
        expected = spearmanr([float(line[1]) for line in lines], -np.array(distances)).statistic
        found = cells_of(out / "table1.json")[row, "all"]["spearman"]
        assert found == pytest.approx(100 * expected)


def test_conditional_ranks_as_conjuring_does(pairs, tmp_path):
    out = tmp_path / "out"
    assert reproduce("table1", pairs, out, "--rows", "conjuring,conditional") == 0
    known = cells_of(out / "table1.json")
    ours, theirs = known["conjuring", "all"], known["conditional", "all"]
    assert ours["spearman"] == theirs["spearman"]
    assert ours["signature"] != theirs["signature"]


def test_all_diffusion_rows_come_from_one_pass(pairs, tmp_path, counted, capsys):
    """The network is asked for the rows of one plan, whatever the number of rows of the table."""
    from conjure.core.planner import Sizes, distinct, plan
    from conjure.runs.passes import EVERYTHING

    out = tmp_path / "out"
    assert reproduce("table1", pairs, out, "--rows", ",".join(DIFFUSION)) == 0
    lines = [line.split("\t")[2:] for line in pairs.read_text().splitlines()[1:]]
    process = conjure.load(steps=2)
    wanted = distinct([(a, b) for a, b in lines])
    expected = plan(wanted, Sizes.of(process, wanted[0][0]), 1, EVERYTHING, 2**30).rows
    assert sum(counted) == expected
    assert f"{expected:,} network rows" in capsys.readouterr().err

    counted.clear()
    assert reproduce("table1", pairs, out, "--rows", "conjuring,kl") == 0
    assert counted == []  # all of it is on disk


def test_an_interrupted_table_goes_on_where_it_was(pairs, tmp_path, monkeypatch, capsys):
    predict, asked = StableDiffusion.predict, []

    def failing(self, x, step, conditioning):
        asked.append(len(x))
        if len(asked) > 12:
            raise KeyboardInterrupt
        return predict(self, x, step, conditioning)

    flags = ("--rows", "conjuring", "--batch-size", "2")
    with monkeypatch.context() as patched:
        patched.setattr(StableDiffusion, "predict", failing)
        assert reproduce("table1", pairs, tmp_path / "out", *flags) == 130
    paths = (tmp_path / "out" / "measured").glob("*/shards/*.parquet")
    kept = sum(read_table(path).num_rows for path in paths)
    assert kept > 0
    capsys.readouterr()
    assert reproduce("table1", pairs, tmp_path / "out", *flags) == 0
    assert f"conjure: 10 pairs, {kept} of them finished earlier: " in capsys.readouterr().err
    assert reproduce("table1", pairs, tmp_path / "fresh", *flags) == 0
    one, other = (cells_of(tmp_path / name / "table1.json") for name in ("out", "fresh"))
    for key, cell in one.items():
        assert cell["spearman"] == pytest.approx(other[key]["spearman"])


def test_a_row_that_cannot_be_loaded_is_told_and_stops_nothing(pairs, tmp_path, capsys):
    out = tmp_path / "out"
    rows = "conjuring,is-bert,encoder=./nowhere"
    assert reproduce("table1", pairs, out, "--rows", rows) == 1
    known = cells_of(out / "table1.json")
    assert known["conjuring", "all"]["spearman"] is not None
    assert known["is-bert", "all"]["spearman"] is None
    assert "no weights" in known["is-bert", "all"]["reason"]
    told = [line for line in capsys.readouterr().err.splitlines() if "left empty" in line]
    assert [line.split()[2] for line in told] == ["is-bert", "encoder=./nowhere"]


@pytest.mark.parametrize("former", ["null", "rivals"])
def test_former_names_of_rows_mean_what_they_meant(former, pairs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("conjure.paper.control.POOL", 24)
    monkeypatch.setitem(GROUPS, "baselines", ("paragon",))  # the others are on the hub
    out = tmp_path / "out"
    assert reproduce("table1", pairs, out, "--rows", former) == 0
    rows = {row for row, _ in cells_of(out / "table1.json")}
    assert rows == {CONTROL if former == "null" else "paragon"}


def test_a_limit_is_said_in_every_output(pairs, tmp_path, capsys):
    out = tmp_path / "out"
    assert reproduce("table2", pairs, out, "--limit", "6") == 0
    for text in (
        capsys.readouterr().out,
        *((out / f"table2.{end}").read_text() for end in ("json", "csv", "md", "tex")),
    ):
        assert "6 of 10 pairs" in text
        assert "drawn with seed 0" in text


def test_table3_has_a_row_for_each_number_of_steps(pairs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("conjure.paper.tables.STEPS", (1, 3, 5000))
    out = tmp_path / "out"
    assert reproduce("table3", pairs, out, "--limit", "4") == 0
    cells = json.loads((out / "table3.json").read_text())
    whole = {cell["row"]: cell for cell in cells if cell["subset"] == "all"}
    assert [*whole] == [f"conjuring, T = {steps}" for steps in (1, 3, 5000)]
    assert whole["conjuring, T = 3"]["signature"]["key"]["steps"] == 3
    assert whole["conjuring, T = 5000"]["spearman"] is None
    assert "T = 5000 left empty" in capsys.readouterr().err


def test_table3_sets_the_steps_that_were_asked_for_against_the_others(
    pairs, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("conjure.paper.tables.STEPS", (1, 2, 3))  # 2 are the process's
    out = tmp_path / "out"
    assert reproduce("table3", pairs, out) == 0
    known = cells_of(out / "table3.json")
    found = json.loads((out / "table3-differences.json").read_text())
    assert [one["than"] for one in found] == ["conjuring, T = 1", "conjuring, T = 3"]
    for one in found:
        assert one["row"] == "conjuring, T = 2"
        apart = known[one["row"], "all"]["spearman"] - known[one["than"], "all"]["spearman"]
        assert one["difference"] == pytest.approx(apart)
    assert "conjuring, T = 2 less" in capsys.readouterr().out


def test_all_goes_on_behind_what_fails(pairs, tmp_path, capsys, monkeypatch):
    from conjure.cli import reproduce as commands
    from conjure.paper import tables
    from conjure.paper.experiments import Experiment

    def broken(run):
        raise conjure.core.errors.InputError("nothing to draw")

    monkeypatch.setattr(tables, "broken", broken, raising=False)
    first = Experiment("", "tables:broken", draws=False)
    tried = {"first": first, "table2": commands.EXPERIMENTS["table2"]}
    monkeypatch.setattr("conjure.paper.tables.STEPS", (1,))
    commands._add("some", "", {**tried})
    try:
        status = reproduce("some", pairs, tmp_path / "out", "--limit", "4")
    finally:
        del commands.reproduce.commands["some"]
    told = capsys.readouterr().err
    assert status == 1
    assert "first failed: nothing to draw" in told
    assert told.splitlines()[-1] == "conjure: 1 of 2 failed: first"
    assert (tmp_path / "out" / "table2.json").exists()


def test_a_run_folder_that_is_removed_meanwhile_is_told(pairs, tmp_path, capsys, monkeypatch):
    predict, out = StableDiffusion.predict, tmp_path / "out"

    def removing(self, x, step, conditioning):
        shutil.rmtree(out / "measured", ignore_errors=True)
        return predict(self, x, step, conditioning)

    monkeypatch.setattr(StableDiffusion, "predict", removing)
    assert reproduce("table1", pairs, out, "--rows", "conjuring,paragon") == 1
    told = capsys.readouterr().err.splitlines()
    assert any("row conjuring left empty" in line and "was removed" in line for line in told)
    assert "conjure: 1 row failed, so the result is not complete: conjuring" in told
    assert "was removed" in told[-1]
    assert cells_of(out / "table1.json")["paragon", "all"]["reason"] is None
    monkeypatch.setattr(StableDiffusion, "predict", predict)
    assert reproduce("table1", pairs, out, "--rows", "conjuring,paragon") == 0


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--rows", "nonsense"), "unknown row 'nonsense'"),
        (("--datasets", "nonsense"), "unknown dataset 'nonsense'"),
        (("--samples", "0"), "--samples"),
        (("--process", "./nowhere"), "nowhere"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_status_2(pairs, flags, word, tmp_path, capsys):
    sets = () if "--datasets" in flags else ("--datasets", str(pairs))
    assert main(["reproduce", "table1", "--out", str(tmp_path), *sets, *flags]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert word in told[0]


def test_baselines_are_measured_once(pairs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(baseline_distances, "CHUNK", 4)
    out = tmp_path / "out"
    assert reproduce("table1", pairs, out, "--rows", "paragon") == 0
    assert "paragon: 10 pairs" in capsys.readouterr().err
    first = (out / "table1.json").read_text()
    assert reproduce("table1", pairs, out, "--rows", "paragon") == 0
    assert "paragon: " not in capsys.readouterr().err
    assert (out / "table1.json").read_text() == first


def test_published_figures_stand_beside_and_apart(data_dir, tmp_path, capsys):
    flags = ["--datasets", "rg65", "--limit", "8", "--steps", "2", "--data-dir", str(data_dir)]
    assert main(["reproduce", "table2", "--out", str(tmp_path), *flags]) == 0
    cells = json.loads((tmp_path / "table2.json").read_text())
    published = [cell for cell in cells if cell["source"] == "published"]
    found = {(cell["row"], cell["dataset"]): cell["spearman"] for cell in published}
    assert found == {("paragon", "rg65"): 77.5, ("conjuring", "rg65"): 60.2}
    for cell in published:
        assert "arXiv 2410.16431" in cell["signature"]
        assert cell["n"] is cell["interval"] is None
    text = capsys.readouterr().out
    assert text.index("*measured*") < text.index("*published*") < text.index("60.2")


@pytest.mark.parametrize("name", ["table3", "guidance", "samplers", "figure2", "figure3"])
def test_a_part_does_its_share_of_every_pass(name, pairs, tmp_path, capsys, monkeypatch):
    """Of each T, w, sampler and group of words. Then the second part is the last one."""
    monkeypatch.setattr("conjure.paper.tables.STEPS", (1, 2))
    sets = () if name == "figure2" else ("--datasets", str(pairs), "--limit", "4")
    command = ["reproduce", name, *sets, "--out", str(tmp_path), "--steps", "2"]
    assert main([*command, "--shard", "1/2"]) == 0
    assert "part 1 of 2 is finished" in capsys.readouterr().err
    assert not (tmp_path / f"{name}.json").exists()
    assert main([*command, "--shard", "2/2"]) == 0
    assert (tmp_path / f"{name}.json").exists()


def test_shards_of_a_table_make_the_whole(pairs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("conjure.paper.control.POOL", 24)
    flags = ("--rows", "conjuring,control,paragon")
    assert reproduce("table1", pairs, tmp_path / "out", *flags, "--shard", "2/2") == 0
    assert "part 2 of 2 is finished: when all are" in capsys.readouterr().err
    assert not (tmp_path / "out" / "table1.json").exists()
    assert reproduce("table1", pairs, tmp_path / "out", *flags, "--shard", "1/2") == 0
    assert (tmp_path / "out" / "table1.json").exists()  # this was the last part
    capsys.readouterr()
    assert reproduce("table1", pairs, tmp_path / "out", *flags) == 0
    assert "to compute" not in capsys.readouterr().err
    assert reproduce("table1", pairs, tmp_path / "fresh", *flags) == 0
    one, other = (cells_of(tmp_path / name / "table1.json") for name in ("out", "fresh"))
    for key, cell in one.items():
        assert cell["spearman"] == pytest.approx(other[key]["spearman"])


def test_the_command_of_a_page_repeats_it() -> None:
    """As a shell splits it: several processes, sets by commas, no folder of the machine."""
    given = ["--process", "emoji", "--process", "my model", "--datasets", "rg65,stsb", "--out", "o"]
    command = commands.commands["agreement"]
    with command.make_context("conjure reproduce agreement", list(given)) as context:
        told = shlex.split(typed(context).removeprefix("conjure reproduce agreement "))
    with command.make_context("agreement", list(told)) as again:
        assert again.params | {"out": None} == context.params | {"out": None}
    assert told[told.index("--out") + 1] == "DIR"

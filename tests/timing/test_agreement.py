"""How shortcuts change distances: each way is compared with distances computed without it."""

import json

import pytest
from scipy.stats import spearmanr

import conjure
from benchmarks.__main__ import main
from benchmarks.agreement import CROSS_STEPS

PAIRS = [("a dog", "a cat"), ("a dog", "a violin"), ("a cat", "a violin"), ("a hat", "a cat"),
         ("a hat", "a hat")]  # fmt: skip
SCORES = [3, 1, 2, 2.5, 5]
S, P = 4, 4  # distinct texts, pairs of different ones


@pytest.fixture
def flags(tiny_pipeline, tmp_path) -> list[str]:
    path = tmp_path / "rated.tsv"
    rows = [f"{s}\t{a}\t{b}\n" for s, (a, b) in zip(SCORES, PAIRS, strict=True)]
    path.write_text("score\tsentence1\tsentence2\n" + "".join(rows))
    return [str(path), "--process", str(tiny_pipeline), "--device", "cpu", "--seed", "3"]


def values(process, **settings) -> list[float]:
    return [d.value for d in conjure.distances(PAIRS, process=process, seed=3, **settings)]


def test_shortcuts_beside_the_whole(flags, tiny_pipeline, capsys) -> None:
    command = ["approximations", *flags, "--tolerance", "0.3", "--json"]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    full, *crossed, many, adaptive, fewer = printed["ways"]
    assert full["rows"] == 1 + 18 * S + 18 * P
    assert [way["rows"] for way in crossed] == [1 + 18 * S + 2 * P * m for m in CROSS_STEPS]
    assert many["rows"] == 8 * full["rows"]
    assert 4 * full["rows"] <= adaptive["rows"] <= many["rows"]
    assert fewer["rows"] == 1 + 8 * S + 8 * P
    assert [way["whole"] for way in (crossed[0], fewer, adaptive)] == ["full", "full", many["name"]]
    for way in (full, many):
        assert (way["agreement"], way["bias"], way["largest"]) == (pytest.approx(1), 0, 0)
        assert way["difference"]["value"] == 0

    process = conjure.load(tiny_pipeline, device="cpu")
    whole = values(process)
    assert full["correlation"]["spearman"] == pytest.approx(-spearmanr(SCORES, whole).statistic)
    short = values(conjure.load(tiny_pipeline, device="cpu", steps=5))
    ratios = [a / b - 1 for a, b in zip(short, whole, strict=True) if b]
    assert len(ratios) == P
    assert fewer["bias"] == pytest.approx(sum(ratios) / P, rel=1e-3)
    assert fewer["largest"] == pytest.approx(max(map(abs, ratios)), rel=1e-3)
    assert fewer["agreement"] == pytest.approx(spearmanr(short, whole).statistic)
    stopped = values(process, samples=4, tolerance=0.3, max_samples=8)
    assert adaptive["agreement"] == pytest.approx(
        spearmanr(stopped, values(process, samples=8)).statistic
    )
    assert adaptive["signature"]["key"]["samples"] == "4..8"
    assert crossed[-1]["signature"]["key"]["cross_steps"] == 6


def test_half_precision_beside_single(flags, tiny_pipeline, capsys) -> None:
    assert main(["precision", *flags, "--json"]) == 0
    single, half = json.loads(capsys.readouterr().out)["ways"]
    assert (single["name"], half["name"]) == ("float32", "bfloat16")
    assert half["signature"]["key"]["dtype"] == "bfloat16"
    assert single["rows"] == half["rows"] == 1 + 18 * S + 18 * P
    whole, rough = (
        values(conjure.load(tiny_pipeline, device="cpu", dtype=way["name"]))
        for way in (single, half)
    )
    ratios = [a / b - 1 for a, b in zip(rough, whole, strict=True) if b]
    assert 0 < half["largest"] < 0.1
    assert half["largest"] == pytest.approx(max(map(abs, ratios)), rel=0.02)


def test_a_table_for_people(flags, capsys) -> None:
    command = ["precision", *flags, "--dtypes", "float32,float64", "--limit", "4"]
    assert main(command) == 0
    title, head, single, double, machine = capsys.readouterr().out.splitlines()
    assert ", 4 of 5 pairs; process:" in title
    assert head.split()[0] == "rows"
    assert single.startswith("float32 ")
    assert double.startswith("float64 ")
    assert double.endswith("0.00%")
    assert "torch" in machine


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--dtypes", "float32,float7", "--process", "nowhere/x"], "unknown dtype 'float7'"),
        (["--limit", "2"], "a correlation needs at least 3 pairs"),
        (["--data-dir", "nowhere", "--process", "./nowhere"], "there is no folder ./nowhere"),
    ],
)
def test_bad_input_is_one_line(flags, change, message, capsys) -> None:
    assert main(["precision", *flags, *change]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]

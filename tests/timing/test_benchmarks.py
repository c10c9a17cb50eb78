"""The benchmarks' own arithmetic, and that their commands run; never how fast anything is."""

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import architectures, clock, costs, parameters, scaling, start, wording
from benchmarks.__main__ import main
from benchmarks.commands import benchmarks
from benchmarks.matrix import Setup, compare
from benchmarks.network import measure, open_network
from conjure.core.errors import ConjureError, InputError
from conjure.core.spec import Spec


def test_sd14_is_what_compvis_published():
    """859.5 M parameters, and 0.803 TFLOP a row at 64×64 latents."""
    with torch.device("meta"):
        unet = architectures.UNet2DConditionModel(**architectures.ARCHITECTURES["sd14"])
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964
    assert architectures.flop_a_row(unet) == pytest.approx(0.8033e12, rel=1e-3)
    assert costs.flop_a_row(costs.MODELS["SD 1.4, 512²"]) == architectures.flop_a_row(unet)


def test_costs_count_the_rows_of_the_formula():
    pairs = list(itertools.combinations("abcdefgh", 2))
    guided, distilled = costs.MODELS["SDXL, 1024²"], costs.MODELS["FLUX.1-dev, 1024²"]
    assert costs.rows_of(pairs, guided, 10, Spec()) == 1 + 8 * 18 + 2 * 28 * 9
    assert costs.rows_of(pairs, distilled, 10, Spec()) == 8 * 10 + 2 * 28 * 9


def test_the_wide_network_takes_more_than_a_gigaflop_a_row():
    with torch.device("meta"):
        unet = architectures.UNet2DConditionModel(**architectures.ARCHITECTURES["wide"])
    assert architectures.flop_a_row(unet) > 1e9


def test_an_unknown_architecture_is_refused():
    with pytest.raises(InputError, match="unknown architecture 'sd9'; choose one of sd14, wide"):
        architectures.random_network("sd9", torch.device("cpu"), torch.float32)


def test_random_networks_are_the_same_weights_at_unit_scale():
    first, second = (
        architectures.random_network("tiny", torch.device("cpu"), dtype)
        for dtype in (torch.float32, torch.float64)
    )
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a.double(), b)
    predicted = first(**architectures.random_rows(first, 16)).sample
    assert 0.5 < predicted.std() < 2


def test_rounds_are_interleaved_and_every_other_one_runs_backwards():
    calls = []
    tasks = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    timings = clock.interleaved(tasks, 3, lambda line: None)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"  # the first two warm up
    assert [len(timing.seconds) for timing in timings.values()] == [3, 3]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ((0.9622, 1.14), " (962 to 1,140)"),
        ((0.0455, 0.0543), " (45.5 to 54.3)"),
        ((0.0, 0.0), " (0 to 0)"),
    ],
)
def test_a_range_is_written_with_three_digits(seconds, text):
    assert wording.spread(clock.Timing(seconds), 1e3) == text


def test_a_timing_is_a_median_and_its_range():
    timing = clock.Timing((3.0, 1.0, 2.0))
    assert (timing.median, timing.interval) == (2.0, (1.0, 3.0))


ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "performance.md"
PEAKS = {torch.float32: 2e9, torch.float64: 1e9}  # FLOP/s, instead of a timing


@pytest.fixture(scope="module")
def report():
    """Of a small matrix, in float32 and float64."""
    setup = Setup(architecture="tiny", prompts=4, rounds=1, naive_pairs=1, fast="float64")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.matrix.matmul_peak", lambda device, dtype: PEAKS[dtype])
        return compare(setup, lambda line: None)


def test_a_matrix_counts_the_formulas_rows_and_all_ways_agree(report):
    assert [way.name for way in report.ways] == [
        *("naive, float32", "naive fast, float64", "ours, float32", "ours fast, float64")
    ]
    assert [way.rows for way in report.ways] == [4 * 10] * 2 + [4 * 10 + 2 * 6 * 9] * 2  # w = 1
    assert [w.pairs for w in report.ways] == [1, 1, 6, 6]
    assert [way.limit for way in report.ways] == [
        PEAKS[torch.float32] / report.flop,
        PEAKS[torch.float64] / report.flop,
    ] * 2
    assert report.deviation < 1e-5
    assert report.fast_deviation < 1e-5  # float64 against float32
    rows_ratio, throughput, product = report.speedup(0, 2)
    assert rows_ratio == pytest.approx(40 / (148 / 6))
    slow, quick = report.ways[0], report.ways[2]
    assert product == pytest.approx(slow.seconds_a_pair / quick.seconds_a_pair)
    assert rows_ratio * throughput == pytest.approx(product)


def test_nothing_is_timed_where_naive_and_ours_differ(monkeypatch):
    monkeypatch.setattr("benchmarks.matrix.AGREEMENT", 0.0)
    with pytest.raises(ConjureError, match="differ by .*: nothing is timed"):
        compare(Setup(architecture="tiny", prompts=3, rounds=1, naive_pairs=1), lambda line: None)


def test_a_network_report_is_consistent(monkeypatch):
    monkeypatch.setattr("benchmarks.network.LEAST_SECONDS", 0.05)
    unet = architectures.random_network("tiny", torch.device("cpu"), torch.float32)
    report = measure(unet, [2, 1], sustain=0.05)
    assert [rate.batch_size for rate in report.rates] == [1, 2]
    assert len(report.sustained) == 5
    for rate in report.rates:
        assert rate.share == pytest.approx(rate.rows_per_second / report.limit)
        assert rate.memory is None


def test_the_network_of_a_process_is_timed_as_it_is_used(monkeypatch):
    """Its own weights, and the 32 tokens that its encoder reads: less work than CLIP's 77."""
    unet, tokens = open_network("emoji", "sd14", "cpu", "bfloat16")
    assert tokens == 32
    assert unet.dtype == torch.bfloat16
    monkeypatch.setattr("benchmarks.network.LEAST_SECONDS", 0.01)
    monkeypatch.setattr("benchmarks.network.matmul_peak", lambda device, dtype: 1e9)
    report = measure(unet, [1], tokens=tokens)
    assert report.flop == architectures.flop_a_row(unet, 32)
    assert 0.11e9 < report.flop < architectures.flop_a_row(unet)
    assert wording.network_lines(report)[0].startswith("0.118 GFLOP a row; ")


def test_random_pairs_are_distinct_and_of_few_texts():
    pairs = scaling.random_pairs(1000)
    assert len({frozenset(pair) for pair in pairs}) == 1000
    assert 1150 < len({text for pair in pairs for text in pair}) < 1300
    assert pairs == scaling.random_pairs(1000)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["matrix", "--architecture", "tiny", "--prompts", "2", "--rounds", "1"], "ways"),
        (["network", "--architecture", "tiny", "--device", "cpu", "--batch-sizes", "1"], "rates"),
        (["scaling", "20", "--rounds", "1"], "sizes"),
        (["start", "--rounds", "1"], "a distance"),
    ],
)
def test_commands_print_one_object_with_the_machine(arguments, found, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.network.LEAST_SECONDS", 0.01)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for the Pythons it starts
    for command in ("IMPORTS", "DISTANCE"):  # the second is run below
        monkeypatch.setattr(start, command, (sys.executable, "-c", ""))
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result[found]
    assert result["machine"]["torch"] == torch.__version__


def test_a_matrix_for_people(report):
    lines = wording.matrix_lines(report)
    assert lines[0].startswith("naive, float32")
    assert " 40.0 rows a pair " in lines[0]
    assert " 24.7 rows a pair " in lines[2]
    assert f"{100 * report.ways[2].rows_per_second / report.ways[2].limit:.0f} % of" in lines[2]
    assert lines[4].startswith(f"{report.flop / 1e9:.3f} GFLOP a row")
    assert lines[5].endswith("times as fast")
    assert f"differs from naive by {report.deviation:.1e} at most" in lines[8]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["matrix", "--prompts", "1"], "prompts must be from 2 to 528, not 1"),
        (["network", "--batch-sizes", "4,x"], "batch sizes are whole numbers such as 4,8,16"),
        (["network", "--architecture", "sd9"], "unknown architecture 'sd9'"),
        (["network", "--architecture", "tiny", "--process", "emoji"], "one network is timed"),
        (["network", "--device", "tpu"], "device 'tpu' cannot be used here"),
        (["matrix", "--process", "nowhere/"], "is neither a folder here"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    assert main([*arguments]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_the_cold_start_takes_a_distance_in_a_fresh_python():
    assert start.IMPORTS[2] == "import torch, diffusers, transformers"
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(start.DISTANCE, capture_output=True, text=True, check=True, env=here)
    assert done.stdout.splitlines()[1].startswith("jeffreys ")


def test_every_benchmark_starts_from_its_documented_command():
    """Each row of the table in the docs names a command with flags that exist."""
    text = DOCS.read_text(encoding="utf-8")
    documented = re.findall(r"python -m benchmarks ([a-z][^`\n]*)", text)
    assert {line.split()[0] for line in documented} == set(benchmarks.commands)
    for line in documented:
        name, *arguments = shlex.split(line)
        if arguments:  # the text also mentions commands by their name alone
            benchmarks.commands[name].make_context(name, arguments)  # parses, and runs nothing


def test_the_command_runs_and_bad_input_is_no_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "network", "--batch-sizes", "0"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 2
    assert done.stderr.startswith("conjure: batch sizes are whole numbers such as 4,8,16")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("family", "published"),
    # Podell et al. 2023 (SDXL), table 1; Chen et al. 2023 (PixArt-α), abstract
    [
        ("Stable Diffusion 1.x", "8.6e+08"),
        ("Stable Diffusion XL", "2.6e+09"),
        ("PixArt-α and -Σ", "6e+08"),
    ],
)
def test_denoisers_have_as_many_parameters_as_was_published(family, published):
    denoiser, *_ = parameters.FAMILIES[family]
    digits = len(published.partition("e")[0].replace(".", "")) - 1
    assert f"{parameters.parameters(denoiser):.{digits}e}" == published


def test_kills_cost_less_where_trajectories_are_kept(capsys):
    flags = ["--texts", "8", "--steps", "3", "--batch-size", "4", "--every", "40"]
    assert main(["kills", *flags, "--json"]) == 0
    matrix, kept, *_ = json.loads(capsys.readouterr().out)["kills"]
    assert matrix["whole"] == kept["whole"] == 1 + 8 * 4 + 28 * 4
    assert kept["mean"] < matrix["mean"]
    assert kept["often"] < (matrix["often"] or 10**9)

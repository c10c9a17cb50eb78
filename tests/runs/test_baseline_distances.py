"""Rows of baselines in a table: what fails is said once and stops nothing; what is done is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from time import sleep

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import encoder, language_model

from conjure.cli.main import main
from conjure.core.errors import ConjureError, InputError
from conjure.core.spec import Signature
from conjure.processes.hub import BUNDLED
from conjure.runs import baseline_distances
from conjure.runs.baseline_distances import BaselineDistances

LETTERS = "abcdefghijkl"


@pytest.fixture
def sets(tmp_path) -> tuple[Path, Path]:
    """Two sets of 12 pairs; the second has a text that is too long for some models."""
    found = []
    for name, tail in (("short", ""), ("long", " and so on" * 13)):
        lines = ["score\tsentence1\tsentence2"]
        lines += [f"{i}\t{one} dog\t{one} cat" for i, one in enumerate(LETTERS)]
        lines[-1] += tail
        found.append(tmp_path / f"{name}.tsv")
        found[-1].write_text("\n".join(lines) + "\n")
    return found[0], found[1]


def table(sets, out, *flags) -> int:
    given = ",".join(map(str, sets))
    common = ("--datasets", given, "--out", str(out), "--steps", "2", "--limit", "12")
    return main(["reproduce", "table2", *common, *flags])


def reasons(out: Path) -> dict[str, dict[str, str | None]]:
    cells = json.loads((out / "table2.json").read_text())
    found: dict[str, dict[str, str | None]] = {}
    for cell in cells:
        if cell["subset"] == "all" and cell["source"] == "measured":
            found.setdefault(cell["row"], {})[Path(cell["dataset"]).stem] = cell["reason"]
    return found


def poisoned(path: Path, key: str) -> None:
    weights = load_file(path)
    weights[key].fill_(torch.nan)
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.filterwarnings("always:.* reads .* tokens")
def test_rows_that_fail_are_said_once_and_stop_nothing(sets, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("conjure.paper.control.POOL", 24)
    whole = encoder("bert", tmp_path / "whole")
    cut = shutil.copytree(whole, tmp_path / "cut")
    (cut / "model.safetensors").write_bytes((whole / "model.safetensors").read_bytes()[:5000])
    void = shutil.copytree(whole, tmp_path / "void")
    poisoned(void / "model.safetensors", "encoder.layer.1.output.LayerNorm.bias")
    model = language_model("gpt2", tmp_path / "gpt2")
    rows = {name: f"encoder={tmp_path / name}" for name in ("cut", "void", "whole")}
    rows["gpt2"] = f"lm={model}:top50"
    capsys.readouterr()
    flags = ("--rows", ",".join(["diffusion", *rows.values()]))
    assert table(sets, tmp_path / "out", *flags) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith("conjure: 3 rows failed, so the result is not complete: encoder=")
    assert sum("reads 64 tokens" in line for line in told) == 2  # once for each encoder
    told = [line for line in told if "left empty" in line]
    assert len(told) == 3
    for line, name in zip(told, ("cut", "void", "gpt2"), strict=True):
        assert line.startswith(f"conjure: row {rows[name]} left empty")
    assert "SafetensorError" in told[0]
    assert "no direction" in told[1]
    assert "long.tsv: " in told[2]  # the other set has no such text
    found = reasons(tmp_path / "out")
    assert found[rows["whole"]] == {"short": None, "long": None}
    assert found["conjuring"] == {"short": None, "long": None}
    assert found[rows["gpt2"]]["short"] is None
    assert "shorten" in found[rows["gpt2"]]["long"]


def test_a_process_that_fails_leaves_the_others_their_rows(sets, tmp_path, capsys):
    process = shutil.copytree(BUNDLED["emoji"], tmp_path / "void")
    [path] = (process / "unet").glob("*.safetensors")
    poisoned(path, "conv_out.bias")
    whole = encoder("bert", tmp_path / "whole")
    capsys.readouterr()
    flags = ("--process", str(process), "--rows", f"conjuring,kl,encoder={whole}")
    assert table(sets[:1], tmp_path / "out", *flags) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "left empty" in line]
    [line] = told
    assert line.startswith("conjure: rows conjuring, kl left empty: the network, for")
    assert reasons(tmp_path / "out")[f"encoder={whole}"]["short"] is None
    # where there is nothing else, it is an error
    assert table(sets[:1], tmp_path / "out", "--process", str(process), "--rows", "conjuring") == 2


class Slow:
    """A baseline that takes a hundredth of a second a pair, and fails at the fiftieth."""

    name = "slow"
    signature = Signature({"baseline": "slow"})

    def __init__(self):
        self.asked = []

    def cost(self, pairs):
        return len(pairs)

    def distances(self, pairs, progress=None):
        for pair in pairs:
            self.asked.append(pair)
            if len(self.asked) == 50:
                raise KeyboardInterrupt
            sleep(0.01)
        return [1.0] * len(pairs)


def test_what_took_long_is_kept(tmp_path, monkeypatch):
    """Of 49 pairs that were measured before it failed, all but what a chunk takes."""
    monkeypatch.setattr(baseline_distances, "SECONDS", 0.05)
    pairs = [(f"a{n}", f"b{n}") for n in range(100)]
    store, baseline = BaselineDistances(tmp_path), Slow()
    with pytest.raises(KeyboardInterrupt):
        store.measure(baseline, pairs)
    store.close()
    before = len(baseline.asked)
    store = BaselineDistances(tmp_path)
    assert store.measure(baseline, pairs) == [1.0] * 100
    store.close()
    assert len(baseline.asked) - before <= 100 - 49 + 8
    assert baseline.asked[before] in pairs[41:50]


class Partly(Slow):
    """A baseline that cannot read one text, and refuses all pairs that it gets with it."""

    def distances(self, pairs, progress=None):
        self.asked += pairs
        if any("a3" in pair for pair in pairs):
            raise InputError("a3 is too long: shorten it")
        return [1.0] * len(pairs)


def test_a_pair_that_fails_costs_itself_only(tmp_path):
    pairs = [(f"a{n}", f"b{n}") for n in range(30)]
    store, baseline = BaselineDistances(tmp_path), Partly()
    with pytest.raises(ConjureError, match="a3 is too long"):
        store.measure(baseline, pairs)
    store.close()
    store, again = BaselineDistances(tmp_path), Partly()
    assert store.measure(again, [*pairs[:3], *pairs[4:]]) == [1.0] * 29
    assert again.asked == []
    store.close()


def test_a_baseline_that_always_fails_ends_soon(tmp_path):
    class Broken(Slow):
        def distances(self, pairs, progress=None):
            self.asked += pairs
            raise InputError("there is no room")

    store, baseline = BaselineDistances(tmp_path), Broken()
    with pytest.raises(InputError, match="no room"):
        store.measure(baseline, [(f"a{n}", f"b{n}") for n in range(500)])
    store.close()
    assert len(baseline.asked) < 50


def test_what_it_takes_is_said_with_what_is_finished(tmp_path):
    said: list[str] = []
    store, baseline = BaselineDistances(tmp_path, say=said.append), Slow()
    store.measure(baseline, [("a", "b"), ("a", "b")])
    store.measure(baseline, [("a", "b"), ("c", "d")])
    store.measure(baseline, [("c", "d")])
    store.close()
    assert said == [
        "slow: 1 pair: 1 text or continuation to compute",
        "slow: 2 pairs, 1 of them finished earlier: 1 text or continuation to compute",
    ]

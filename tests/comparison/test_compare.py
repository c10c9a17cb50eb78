"""``conjure compare``: figures against the library's own distances, files, refusals."""

from __future__ import annotations

import json
import re
import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy.stats import spearmanr

import conjure
from conjure.cli.main import main
from conjure.comparison.erasure import movements, words_of
from conjure.comparison.measure import Compared
from conjure.core.errors import InputError
from conjure.core.uncertainty import estimate

WORDS = ["a dog", "a cat", "cars", "a bus", "moon", "pear"]
SMALL = ["--steps", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def place(tiny_pipeline: Path, tmp_path_factory) -> Path:
    """A folder with two pipelines of unlike cross-attention, and files of words and pairs."""
    folder = tmp_path_factory.mktemp("compare")
    shutil.copytree(tiny_pipeline, folder / "before")
    shutil.copytree(tiny_pipeline, folder / "after")
    [file] = (folder / "after" / "unet").glob("*.safetensors")
    tensors = load_file(file)
    for name, tensor in tensors.items():
        if "attn2.to_v.weight" in name:
            tensors[name] = tensor.flip(0).contiguous()
    save_file(tensors, file, metadata={"format": "pt"})
    (folder / "words.txt").write_text("\n".join(WORDS) + "\n")
    lines = ["score\tsentence1\tsentence2\tsubset"]
    pairs = list(combinations(WORDS, 2))
    lines += [f"{i % 5}\t{a}\t{b}\t{'NV'[i % 2]}" for i, (a, b) in enumerate(pairs)]
    (folder / "rated.tsv").write_text("\n".join(lines) + "\n")
    (folder / "plain.csv").write_text("text1,text2\n" + "".join(f"{a},{b}\n" for a, b in pairs))
    return folder


def compare(place: Path, *flags: str, out: str) -> int:
    processes = [str(place / name) for name in ("before", "after")]
    return main(["compare", *processes, *flags, *SMALL, "--out", str(place / out)])


def test_figures_are_those_of_the_librarys_distances(place, capsys):
    assert compare(place, "--pairs", str(place / "rated.tsv"), "--samples", "2", out="a") == 0
    found = json.loads((place / "a" / "compare.json").read_text())
    pairs = list(combinations(WORDS, 2))
    each = {}
    for name in ("before", "after"):
        process = conjure.load(str(place / name), steps=2, device="cpu")
        for seed in (0, 2):
            got = conjure.distances(pairs, process=process, samples=2, seed=seed)
            each[name, seed] = [one.value for one in got]

    def rho(one, other) -> float:
        return float(spearmanr(each[one], each[other]).statistic)

    whole = found["likeness"][0]
    assert whole["processes"] == ["before", "after"]
    assert whole["same_seeds"] == pytest.approx(rho(("before", 0), ("after", 0)))
    floors = [rho((name, 0), (name, 2)) for name in ("before", "after")]
    assert whole["no_change"] == pytest.approx(floors)
    assert whole["same_seeds"] < 1  # or nothing was compared
    assert [one["subset"] for one in found["likeness"]] == ["all", "N", "V"]
    people = {(c["row"], c["subset"]): c["spearman"] for c in found["agreement_with_people"]}
    means = np.mean([each["after", 0], each["after", 2]], axis=0)
    scores = [i % 5 for i in range(len(pairs))]
    wanted = 100 * spearmanr(scores, -means).statistic
    assert people["after", "all"] == pytest.approx(wanted)
    text = capsys.readouterr().out
    assert "Pairs that before and after rank most unlike" in text
    assert "[" in (place / "a" / "compare.md").read_text()
    with Image.open(place / "a" / "compare.png") as picture:
        assert picture.width > 600


def test_what_is_kept_is_not_measured_again(place, capsys):
    words = ["--words", str(place / "words.txt")]
    assert compare(place, *words, out="b") == 0
    assert "0 network rows that are not measured yet" not in capsys.readouterr().err
    assert compare(place, *words, "--json", out="b") == 0
    told = capsys.readouterr()
    assert " 0 network rows that are not measured yet" in told.err
    assert json.loads(told.out)["subject"] == "all pairs of 6 words"


def test_erasure_moves_and_reports(place, capsys):
    flags = ["--target", "a dog", "--bystander", "cars,a bus,moon"]
    assert compare(place, *flags, out="c") == 0
    found = json.loads((place / "c" / "compare.json").read_text())
    kinds = {one["word"]: one["kind"] for one in found["movements"]}
    assert kinds == {"a dog": "target", "cars": "bystander", "a bus": "bystander",
                     "moon": "bystander"}  # fmt: skip
    assert all(one["itself"] > 0 for one in found["movements"])
    assert "a dog" in capsys.readouterr().out


def test_movements_by_hand():
    """Before the edit all are 1 apart; after it the target is 3 from all, at twice the scale."""
    subject = words_of(["t"], ["a", "b", "c"])
    before = np.ones((2, len(subject.pairs)))
    after = np.array([[6.0 if "t" in pair else 2.0 for pair in subject.pairs]] * 2)
    found = Compared(subject, 1, {"one": before, "other": after}, {})
    itself = {"t": estimate(torch.tensor([0.5, 0.5], dtype=torch.float64))}
    target, *bystanders = movements(found, itself, ["t"])
    assert (target.itself, target.relations, target.no_change) == (0.5, 2.0, 0.0)
    # a bystander's relations are those to the other bystanders, at the process's own scale
    assert [one.relations for one in bystanders] == [0.0, 0.0, 0.0]


REFUSED = {
    "one process": (["compare", "emoji", "--words", "w"], "two processes or more"),
    "nothing": (["compare", "a", "b"], "nothing to compare on"),
    "two subjects": (["compare", "a", "b", "--words", "w", "--pairs", "p.tsv"], "exclude"),
    "no file": (["compare", "a", "b", "--words", "none.txt"], "no such file"),
    "no set": (["compare", "a", "b", "--pairs", "none"], "unknown dataset"),
    "few words": (["compare", "a", "b", "--words", "two.txt"], "three words or more"),
    "no target": (["compare", "a", "b", "--bystander", "x,y,z"], "--target"),
    "few bystanders": (["compare", "a", "b", "--target", "x"], "3 bystanders or more"),
    "both": (["compare", "a", "b", "--target", "x", "--bystander", "x,y,z"], "both a target"),
    "empty word": (["compare", "a", "b", "--target", "x,,y"], "a name is missing"),
    "limit": (["compare", "a", "b", "--words", "two.txt", "--limit", "3"], "--limit goes with"),
    "data dir": (["compare", "a", "b", "--pairs", "p.tsv", "--data-dir", "."], "leave it out"),
    "estimand": (["compare", "a", "b", "--target", "x", "--bystander", "u,v,w", "--estimand", "z"],
                 "estimand"),
    "steps": (["compare", "a", "b", "--target", "x", "--bystander", "u,v,w", "--steps", "0"],
              "steps"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case, tmp_path, monkeypatch, capsys):
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a process was loaded")

    monkeypatch.setattr(conjure, "load", load, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("two.txt").write_text("x\ny\n")
    Path("p.tsv").write_text("score\tsentence1\tsentence2\n1\ta\tb\n")
    arguments, wanted = REFUSED[case]
    assert main(arguments) == 2
    told = capsys.readouterr()
    [line] = told.err.splitlines()
    assert re.search(re.escape(wanted), line), line
    assert not Path("comparison").exists()


def test_one_process_twice_is_refused(place, capsys):
    folder = str(place / "before")
    words = ["--words", str(place / "words.txt")]
    assert main(["compare", folder, folder, *words, *SMALL, "--out", str(place / "d")]) == 2
    assert "the same process" in capsys.readouterr().err
    assert not (place / "d").exists()


def test_bystanders_at_distance_0_are_no_scale():
    subject = words_of(["t"], ["a", "b", "c"])
    nothing = np.zeros((2, len(subject.pairs)))
    found = Compared(subject, 1, {"one": nothing, "other": nothing}, {})
    with pytest.raises(InputError, match="no scale"):
        movements(found, {}, ["t"])

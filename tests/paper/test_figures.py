"""The commands of figures and ablations, run on a small pipeline: files, contract, no waste."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

import conjure
from conjure.cli.main import main
from conjure.paper.variants import GUIDANCES
from conjure.processes.settings import SAMPLERS
from conjure.processes.stable_diffusion import StableDiffusion

KEYS = {
    *("row", "dataset", "subset", "spearman", "pearson", "kendall", "n", "p_value", "interval"),
    *("signature", "source", "over", "reason", "interval_reason"),
}
TEXTS = ["a dog", "a cat", "cars", "a bus", "moon", "the sun", "pear", "figs", "boat", "kite"]
TEXTS += ["a hat", "tea", "snow"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a pipeline, a set of twelve pairs, and what the commands below write."""
    from small_pipelines import save_pipeline

    folder = tmp_path_factory.mktemp("figures")
    save_pipeline(folder / "tiny")
    lines = ["score\tsentence1\tsentence2"]
    lines += [f"{i % 4}\t{a}\t{b}" for i, (a, b) in enumerate(zip(TEXTS, TEXTS[1:], strict=False))]
    (folder / "words.tsv").write_text("\n".join(lines) + "\n")
    return folder


def reproduce(name: str, place: Path, *flags: str) -> int:
    common = ["--out", str(place / "out"), "--steps", "2", "--device", "cpu"]
    sets = [] if name == "figure2" else ["--datasets", str(place / "words.tsv")]
    return main(["reproduce", name, "--process", str(place / "tiny"), *common, *sets, *flags])


def cells_of(place: Path, name: str) -> list[dict]:
    found = json.loads((place / "out" / f"{name}.json").read_text())
    assert all(cell.keys() == KEYS for cell in found)
    assert {cell["source"] for cell in found} == {"measured"}
    return found


def check_picture(place: Path, name: str, *texts: str) -> None:
    """A PNG that is a picture, wide enough, and an SVG that holds these texts."""
    with Image.open(place / "out" / f"{name}.png") as picture:
        assert 1100 <= picture.width <= 1500
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 50
    assert (pixels != 255).any(axis=1).mean() > 0.02
    drawn = (place / "out" / f"{name}.svg").read_text()
    for text in texts:
        assert f"<!-- {text}" in drawn, text


def distances(place: Path, **settings) -> list[float]:
    process = conjure.load(place / "tiny", steps=2, device="cpu", **settings)
    pairs = list(zip(TEXTS, TEXTS[1:], strict=False))
    return [conjure.distance(*pair, process=process).value for pair in pairs]


SCORES = [i % 4 for i in range(12)]


def test_figure2(place, capsys):
    assert reproduce("figure2", place, "--samples", "2") == 0
    assert "0.029" in capsys.readouterr().out  # the least that 35 divisions can give
    found = json.loads((place / "out" / "figure2.json").read_text())
    assert "k:2" in found["signature"]
    assert found["unit"].startswith("squared difference of predictions")
    animals, verbs = found["groups"]
    assert animals["words"][:2] == ["puppy", "poodle"]
    process = conjure.load(place / "tiny", steps=2, device="cpu")
    alone = conjure.distance("puppy", "whale", process=process, samples=2).value
    assert animals["distances"][0][4] == pytest.approx(alone, rel=1e-4)
    assert np.mean(animals["samples"], axis=0) == pytest.approx(np.array(animals["distances"]))
    assert 1 / 35 <= verbs["p_value"] <= 1
    assert verbs["min_p"] == pytest.approx(1 / 35)
    shown = f"{animals['distances'][0][4]:.0f}"
    error = np.std(animals["samples"], axis=0, ddof=1)[0, 4] / np.sqrt(2)
    shown = (shown, f"±{error:.0f}", "a   animals: dogs and sea animals", "b   verbs")
    check_picture(place, "figure2", "puppy", "sealion", "regret", "dogs", "sorrow", *shown)
    page = (place / "out" / "figure2.md").read_text()
    assert "![Distances between words" in page
    assert "| puppy |" in page
    assert "--out DIR" in page


def test_figure3_left_is_one_pass_and_right_compares_processes(place, monkeypatch):
    rows = []
    predict = StableDiffusion.predict

    def counting(self, x, step, conditioning):
        rows.append((self.sampler, len(x)))
        return predict(self, x, step, conditioning)

    monkeypatch.setattr(StableDiffusion, "predict", counting)
    assert reproduce("figure3", place, "--samples", "3") == 0
    own = sum(n for sampler, n in rows if sampler == "lms")
    # A pass of three samples over thirteen texts and twelve pairs, the last step for ``output``
    # included; the panels on the right take the samples they need from it.
    assert own == 3 * (1 + 13 * 3 + 2 * 12)
    cells = {cell["row"]: cell for cell in cells_of(place, "figure3")}
    left = [
        f"{p}:{j}, k = {k}" for p in ("pointwise", "cumulative") for j in (1, 2) for k in (1, 2, 3)
    ]
    assert [*cells] == [*left, *(f"conjuring, {name}" for name in SAMPLERS)]
    assert "k:2|" in cells["cumulative:2, k = 2"]["signature"]
    assert "estimand:cumulative:2|" in cells["cumulative:2, k = 2"]["signature"]
    expected = 100 * spearmanr(SCORES, -np.array(distances(place))).statistic
    assert cells["cumulative:2, k = 1"]["spearman"] == pytest.approx(expected)
    both = ("k = 1, over pairs, for the seeds as drawn", "k = 3, over pairs and seeds")
    check_picture(place, "figure3-left", "a   pointwise", "b   cumulative", *both, "Spearman")
    assert "k = 2" not in (place / "out" / "figure3-left.svg").read_text()  # it would hide them
    check_picture(place, "figure3-right", "euler-ancestral", "Spearman")
    rows.clear()
    assert reproduce("figure3", place, "--samples", "2") == 0
    assert rows == []  # all of it was measured before


def test_figure3_compares_the_processes_that_are_given(place):
    from small_pipelines import albert_text, save_pipeline

    save_pipeline(place / "albert", text=albert_text)
    assert reproduce("figure3", place, "--samples", "1", "--process", str(place / "albert")) == 0
    rows = [cell["row"] for cell in cells_of(place, "figure3")]
    assert rows[-2:] == ["conjuring, tiny", "conjuring, albert"]


@pytest.mark.parametrize(
    ("name", "rows", "texts"),
    [
        ("guidance", [f"conjuring, w = {w:g}" for w in GUIDANCES], ["guidance w (1 is unguided)"]),
        ("samplers", [f"conjuring, {name}" for name in SAMPLERS], ["dpm-solver++", "ddim"]),
        ("agreement", [f"lms ~ {name}" for name in SAMPLERS if name != "lms"], ["lms ~ ddpm"]),
    ],
)
def test_ablations(place, name, rows, texts):
    assert reproduce(name, place) == 0
    cells = cells_of(place, name)
    assert [cell["row"] for cell in cells] == rows
    assert {cell["n"] for cell in cells} == {12}
    for cell in cells:
        assert -100 <= cell["interval"][0] <= cell["interval"][1] <= 100
    drawn = "bands" if name == "guidance" else "bars"
    about = "95 % intervals over pairs, for the seeds as drawn"
    check_picture(place, name, "Spearman", f"{drawn}: {about}", *texts)
    page = (place / "out" / f"{name}.md").read_text()
    assert f"![{page.splitlines()[0][2:]}]({name}.png)" in page
    assert rows[1] in page
    assert "95 % bootstrap intervals over pairs, for the seeds as drawn." in page


@pytest.mark.parametrize(("name", "own"), [("guidance", "w = 7.5"), ("samplers", "lms")])
def test_the_setting_in_use_is_set_against_the_others(place, name, own):
    assert reproduce(name, place) == 0
    known = {cell["row"]: cell["spearman"] for cell in cells_of(place, name)}
    found = json.loads((place / "out" / f"{name}-differences.json").read_text())
    assert {one["row"] for one in found} == {f"conjuring, {own}"}
    assert {one["than"] for one in found} == known.keys() - {f"conjuring, {own}"}
    for one in found:
        apart = known[one["row"]] - known[one["than"]]
        assert one["difference"] == pytest.approx(apart, abs=1e-9)
        assert one["interval"][0] <= one["difference"] <= one["interval"][1]
    assert f"| conjuring, {own} less |" in (place / "out" / f"{name}.md").read_text()


def test_a_cell_of_an_ablation_is_what_loading_the_process_so_gives(place):
    assert reproduce("guidance", place) == 0
    assert reproduce("agreement", place) == 0
    [cell] = [c for c in cells_of(place, "guidance") if c["row"] == "conjuring, w = 3"]
    guided = distances(place, guidance=3.0)
    assert cell["spearman"] == pytest.approx(100 * spearmanr(SCORES, -np.array(guided)).statistic)
    assert "|w:3|" in cell["signature"]
    [cell] = [c for c in cells_of(place, "agreement") if c["row"] == "lms ~ ddim"]
    both = distances(place), distances(place, sampler="ddim")
    assert cell["spearman"] == pytest.approx(100 * spearmanr(*both).statistic)
    assert "sampler:lms" in cell["signature"].split(" ~ ")[0]
    assert "sampler:ddim" in cell["signature"].split(" ~ ")[1]


def test_length_is_read_off_the_pass_of_the_table(place, monkeypatch):
    draw = np.random.default_rng(0)
    words = ["ab", "cd", "ef", "gh"]
    lines = ["score\tsentence1\tsentence2"]
    for n in (2, 7):
        for _ in range(22):
            texts = [" ".join(draw.choice(words, size=n)) for _ in range(2)]
            lines.append("\t".join([str(draw.integers(0, 6)), *texts]))
    (place / "long.tsv").write_text("\n".join(lines) + "\n")
    sets = ("--datasets", str(place / "long.tsv"))
    assert reproduce("table1", place, *sets, "--rows", "conjuring") == 0
    monkeypatch.setattr(StableDiffusion, "predict", None)  # nothing is left to be asked
    assert reproduce("length", place, *sets) == 0
    cells = {cell["subset"]: cell for cell in cells_of(place, "length")}
    # n as made above; figures as correlating the pairs of a bin alone gives them
    assert {subset: cell["n"] for subset, cell in cells.items()} == {
        "1–5 words": 22,
        "6–10 words": 22,
    }
    process = conjure.load(place / "tiny", steps=2, device="cpu")
    monkeypatch.undo()
    pairs = [line.split("\t") for line in lines[1:]]
    for cell, rows in zip(cells.values(), (pairs[:22], pairs[22:]), strict=True):
        alone = [conjure.distance(a, b, process=process).value for _, a, b in rows]
        expected = 100 * spearmanr([float(score) for score, *_ in rows], -np.array(alone)).statistic
        assert cell["spearman"] == pytest.approx(expected, abs=0.01)
        assert cell["interval"][0] <= cell["spearman"] <= cell["interval"][1]
    check_picture(place, "length", "1–5", "6–10", "words in a text", "no pairs")


def test_a_subsample_is_told_in_every_output(place, capsys):
    assert reproduce("guidance", place, "--limit", "10") == 0
    line = "10 of 12 pairs"
    assert line in capsys.readouterr().out
    assert line in (place / "out" / "guidance.md").read_text()
    assert all(line in cell["over"] for cell in cells_of(place, "guidance"))
    check_picture(place, "guidance", "words.tsv (10 of 12)")


def test_ablations_draw_a_few_pairs_of_a_large_set(data_dir):
    from conjure.paper.ablations import few
    from conjure.paper.run import Run, RunOptions

    def sizes(**chosen):
        run = Run(RunOptions(data_dir=data_dir, **chosen), say=print, command="")
        return {name: len(data.scores) for name, data in few(run).items()}

    assert sizes() == {"rg65": 65, "simlex999": 999, "stsb": 300}
    assert sizes(limit=500) == {"rg65": 65, "simlex999": 500, "stsb": 500}
    assert sizes(datasets=("stsb",)) == {"stsb": 1379}


def test_without_matplotlib_one_line_says_what_to_install(place):
    code = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "matplotlib":
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocked())
from conjure.cli.main import main
raise SystemExit(main(["reproduce", "figure2", "--out", {str(place / "bare")!r}]))
"""
    source = Path(conjure.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert done.returncode == 2
    assert done.stderr == "conjure: figures need matplotlib: pip install 'conjure[plots]'\n"
    assert not (place / "bare").exists()  # nothing was measured first

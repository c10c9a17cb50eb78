"""How the bundled process was made: what its captions say is drawn, and what weights it ships.

And how the next one is taught: its teacher is exact.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "src" / "conjure" / "processes" / "emoji"
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def training(monkeypatch) -> SimpleNamespace:
    """The scripts, as modules; they import each other from their own folder."""
    monkeypatch.syspath_prepend(ROOT / "training" / "emoji")
    names = ("assemble", "diffusion", "scenes", "boards", "captions", "teaching")
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def test_the_bundled_revision_names_the_weights_that_are_there(training) -> None:
    settings = json.loads((BUNDLED / "conjure.json").read_text())
    assert training.assemble.revision(BUNDLED) == settings["revision"]


def test_weights_are_mixed_by_their_shares(training, tmp_path) -> None:
    states = [{"a": torch.randn(3, 2), "b": torch.randn(4)} for _ in range(3)]
    for n, state in enumerate(states):
        torch.save({"average": state}, tmp_path / f"{n}.pt")
    mixed = training.assemble.mean_weights(tmp_path, ["0.pt:3", "1.pt:3", "2.pt:2"])
    for key, value in mixed.items():
        expected = (3 * states[0][key] + 3 * states[1][key] + 2 * states[2][key]) / 8
        torch.testing.assert_close(value, expected)
    alone = training.assemble.mean_weights(tmp_path, ["1.pt"])
    assert all(torch.equal(alone[key], states[1][key]) for key in alone)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_composed_scenes_make_up_their_share_of_a_batch(training, share) -> None:
    batch = argparse.Namespace(batch=40_000, composed=share)
    places = training.diffusion.draw(20, 100, batch, torch.Generator().manual_seed(0))
    counts = torch.bincount(places, minlength=100) / batch.batch
    assert counts[:20].sum() == pytest.approx(share, abs=0.01)  # four standard errors
    expected = torch.tensor([share / 20] * 20 + [(1 - share) / 80] * 80)
    assert (counts - expected).abs().max() < 0.003


def concepts(scenes) -> list:
    """A red "ball" and a blue "cube", each filling its drawing."""
    return [
        scenes.Concept(
            name, (), 4, {style: Image.new("RGBA", (64, 64), colour) for style in scenes.STYLES}
        )
        for name, colour in (("ball", RED), ("cube", BLUE))
    ]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("to the left of", (32, 8)),
        ("to the right of", (32, 56)),
        ("above", (8, 32)),
        ("on top of", (8, 32)),
        ("below", (56, 32)),
        ("under", (56, 32)),
    ],
)
def test_things_are_drawn_where_their_caption_says(training, words, first) -> None:
    """first: the row and column at which the thing named first is to be seen."""
    known = concepts(training.scenes)
    rng, seen = random.Random(0), 0
    for _ in range(600):
        scene = training.scenes.draw_scene(known, rng, "pair")
        if words not in scene.caption or len({*scene.concepts}) < 2:
            continue
        seen += 1
        picture = training.scenes.render(scene, known)
        colour = RED if scene.caption.startswith("a ball") else BLUE
        assert tuple(picture[first]) == colour, scene.caption
    assert seen > 5


def test_the_background_is_of_the_colour_in_the_caption(training) -> None:
    scenes = training.scenes
    known = [
        scenes.Concept("ball", (), 4, {s: Image.new("RGBA", (64, 64)) for s in scenes.STYLES})
    ]  # transparent
    for seed in range(40):
        scene = scenes.draw_scene(known, random.Random(seed), "colour")
        assert scene.colour in scene.caption
        assert {*map(tuple, scenes.render(scene, known).reshape(-1, 3))} == {
            scenes.COLOURS[scene.colour]
        }
    plain = scenes.render(scenes.draw_scene(known, random.Random(0), "single"), known)
    assert np.all(plain == 255)


# ------------------------------------------------------------------ boards and their exact teacher


@pytest.fixture
def teacher(training):
    """Three drawings of two channels, with codes of their own in each layout."""
    generator = torch.Generator().manual_seed(0)
    found = training.teaching.Teacher.__new__(training.teaching.Teacher)
    sides = {layout: side // 8 for layout, (side, _) in training.boards.LAYOUTS.items()}
    found.codes = {
        (layout, None): torch.randn(3, 2, side, side, generator=generator)
        for layout, side in sides.items()
    }
    found.empty = torch.tensor([5.0, -5.0])
    return found


@pytest.mark.parametrize("layout", ["single", "beside", "above", "board"])
def test_pictures_are_cut_where_they_were_put_together(training, teacher, layout) -> None:
    caption = training.captions.Caption("", layout, ("",))
    count = len(training.boards.LAYOUTS[layout][1])
    codes = teacher.codes[layout, None]
    cells = codes[torch.arange(2 * count).view(2, count) % 3]
    whole = teacher.whole(cells, caption)
    assert whole.shape == (2, 2, 8, 8)
    assert torch.equal(teacher.cut(whole, caption), cells)
    elsewhere = (whole[:, 0] == 5).sum() + cells[:, :, 0].numel()
    assert elsewhere == whole[:, 0].numel()


@pytest.mark.parametrize("layout", ["beside", "board"])
def test_the_teacher_is_the_mean_over_all_boards(training, teacher, layout) -> None:
    """Against the definition: two cells, each of three drawings, so nine pictures."""
    caption = training.captions.Caption("", layout, ("",))
    count = len(training.boards.LAYOUTS[layout][1])
    codes = teacher.codes[layout, None].double()
    teacher.codes = {(layout, None): codes}
    generator = torch.Generator().manual_seed(1)
    priors = torch.randn(1, count, 3, generator=generator, dtype=torch.float64).log_softmax(2)
    cells = torch.randn(1, count, *codes.shape[1:], generator=generator, dtype=torch.float64)
    alpha, sigma = torch.tensor([0.8]).double(), torch.tensor([0.6]).double()
    found = teacher.denoise(cells, priors, alpha, sigma, caption)
    total, weight = torch.zeros(2, *codes.shape[1:], dtype=torch.float64), 0.0
    for first in range(3):
        for second in range(3):
            board = torch.stack([codes[first], codes[second]])
            gap = (cells[0, :2] - 0.8 * board).square().sum() / (2 * 0.36)
            p = float((priors[0, 0, first] + priors[0, 1, second] - gap).exp())
            total, weight = total + p * board, weight + p
    torch.testing.assert_close(found[0, :2], total / weight)


def test_boards_are_drawn_as_often_as_their_phrase_says(training, teacher) -> None:
    caption = training.captions.Caption("", "board", ("",))
    priors = torch.tensor([0.2, 0.3, 0.5]).log().expand(2000, 16, 3)
    chosen, cells = teacher.draw(priors, caption, torch.Generator().manual_seed(0))
    shares = torch.bincount(chosen.flatten(), minlength=3) / chosen.numel()
    assert shares.tolist() == pytest.approx([0.2, 0.3, 0.5], abs=0.01)  # four standard errors
    assert torch.equal(cells[3, 5], teacher.codes["board", None][chosen[3, 5]])


def test_pairs_name_their_cells_in_the_order_of_their_places(training) -> None:
    """The first cell is the left or the upper one, whichever the caption names first."""
    drawings = [training.boards.Drawing(name, (), "", 4, Path()) for name in ("ball", "cube")]
    seen = set()
    for caption in training.captions.pairs(drawings, random.Random(0), 400):
        first, second = caption.phrases
        if first == second:
            continue
        turned = any(word in caption.text for word in ("to the right of", "below", "under"))
        names = (second, first) if turned else (first, second)
        assert caption.text.index(names[0]) < caption.text.index(names[1]), caption
        seen.add((caption.layout, turned))
    assert len(seen) == 4


def test_words_are_told_from_sentences(training) -> None:
    words = ("tiger", "the tiger", "an ice cream", "hot dog")
    assert all(map(training.captions.is_word, words))
    assert not any(map(training.captions.is_word, ("a dog runs fast", "dogs run fast")))


def test_states_of_another_encoder_or_of_other_captions_are_not_used(training, tmp_path) -> None:
    states = importlib.import_module("states")
    run, text = tmp_path / "run", tmp_path / "text"
    (text / "text_encoder").mkdir(parents=True)
    run.mkdir()
    found = set()
    for weights, captions in (("a", "x"), ("b", "x"), ("a", "y"), ("ax", "")):
        states.encoder_file(text).write_text(weights)
        (run / "captions.json").write_text(captions)
        found.add(states.states_folder(run, text))
    assert len(found) == 4

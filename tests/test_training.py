"""How the bundled process was made: what its captions say is drawn, and what weights it ships."""

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
    names = ("assemble", "diffusion", "scenes")
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

"""The bundled process: what it promises as a folder, and that it has learnt what it was shown."""

from __future__ import annotations

import itertools
import json
import runpy
from math import prod
from pathlib import Path

import pytest
import torch

import conjure
from conjure.core.sampling import walk
from conjure.processes.folders import content_hash
from conjure.processes.hub import BUNDLED
from conjure.processes.stable_diffusion import FAMILY
from conjure.similarity import cost

FOLDER = BUNDLED["emoji"]
FILES = [path for path in FOLDER.rglob("*") if path.is_file()]

# Two prompts that mean nearly the same, and one that does not.
TRIPLETS = [
    ("a dog", "a puppy", "a violin"),
    ("a car", "an automobile", "a banana"),
    ("snow leopard", "bengal tiger", "telephone"),
    ("a happy child", "a joyful kid", "a steam engine"),
    ("the ship sails on the sea", "a boat is out on the ocean", "a chef cuts an onion"),
    ("someone plays the guitar", "a man is making music", "an airplane lands"),
]


@pytest.fixture(scope="module")
def process():
    return conjure.load(device="cpu")


def test_the_folder_keeps_its_budget() -> None:
    assert sum(path.stat().st_size for path in FILES) <= 36_000_000
    weights = [path for path in FILES if path.stat().st_size > 1_000_000]
    assert {path.suffix for path in weights} == {".safetensors"}
    assert {path.parent.name for path in weights} == {"unet", "vae", "text_encoder"}


def test_weights_are_half_precision() -> None:
    from safetensors import safe_open

    for path in FOLDER.rglob("*.safetensors"):
        with safe_open(path, "pt") as weights:
            assert {weights.get_tensor(key).dtype for key in weights.keys()} == {torch.float16}  # noqa: SIM118


def test_its_recommended_settings_are_used(process) -> None:
    card = json.loads((FOLDER / "conjure.json").read_text(encoding="utf-8"))
    assert (process.name, process.revision) == ("emoji", content_hash(FOLDER, FAMILY.parts))
    assert (process.sampler, process.guidance) == (card["sampler"], card["guidance"])
    assert len(process.schedule) == card["steps"]
    assert process.latent_shape == (64, 4, 4)


def test_near_texts_are_nearer_than_far_ones(process) -> None:
    near = conjure.distances([(a, b) for a, b, _ in TRIPLETS], process=process, samples=2)
    far = conjure.distances([(a, c) for a, _, c in TRIPLETS], process=process, samples=2)
    assert [n.value < f.value for n, f in zip(near, far, strict=True)] == [True] * len(TRIPLETS)


A, B, C, D, E = "a dog", "a puppy", "a violin", "a red car", "two cats"


@pytest.mark.parametrize(
    ("pairs", "texts", "apart"),
    [
        ([(A, B)], 2, 1),
        ([(A, B), (C, D), (B, A), (A, B), (E, E), (C, A), (D, C)], 4, 3),
        (list(itertools.product([A, B, C, D, E], repeat=2)), 5, 10),
    ],
    ids=["pair", "repeats", "matrix"],
)
def test_its_network_is_asked_for_no_row_too_many(process, pairs, texts, apart) -> None:
    steps, rows = 4, 0
    process = process.with_settings(steps=steps, guidance=3.0)

    def count(_, given, keywords) -> None:
        nonlocal rows
        rows += len(given[0] if given else keywords["sample"])

    handle = process.pipeline.unet.register_forward_pre_hook(count, with_kwargs=True)
    try:
        found = conjure.distances(pairs, process=process)
        assert rows == 1 + texts * (2 * steps - 2) + 2 * apart * (steps - 1)
        output, rows = rows, 0
        conjure.distances(pairs, process=process, estimand="output")
        assert rows == output + texts
        rows = 0
        bound = 3 * (
            2 * steps * prod(process.latent_shape) * 4 + process.embed([A]).nbytes
        )  # three trajectories
        told = cost(pairs, process=process, max_memory=bound)
        tiled = conjure.distances(pairs, process=process, max_memory=bound)
        assert rows == told.rows == output + told.recomputed
        assert (told.recomputed > 0) == (texts == 5)
    finally:
        handle.remove()
    for one, other in zip(found, tiled, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-4)
    farthest = max(found, key=lambda d: d.value)
    alone = conjure.distance(farthest.text1, farthest.text2, process=process)
    assert farthest.value == pytest.approx(alone.value, rel=1e-4)


@pytest.mark.parametrize(("colour", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_it_paints_the_background_that_the_prompt_names(process, colour, channel) -> None:
    prompt = f"an apple on a {colour} background"
    *_, last = walk(process, [prompt], range(4), finish=True)
    pictures = process.decode(last.x_next[0])
    assert pictures.shape == (4, 3, 64, 64)
    corners = pictures[:, :, [2, 2, -3, -3], [2, -3, 2, -3]].mean(dim=(0, 2))
    assert corners.argmax() == channel
    assert corners[channel] - corners.min() > 0.2


def test_plain_diffusers_reads_it(tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(FOLDER)
    pipe.set_progress_bar_config(disable=True)
    [picture] = pipe("a tiger", num_inference_steps=2, height=64, width=64).images
    assert picture.size == (64, 64)


def test_the_example_erases_its_target_and_keeps_what_it_lists(process, tmp_path: Path) -> None:
    """By what the network predicts at pure noise, beside the difference of a dog and a cat."""
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "erase_concept.py"))
    example["erase"](tmp_path / "erased")
    erased = conjure.load(tmp_path / "erased", device="cpu")
    x = torch.randn(1, *process.latent_shape, generator=torch.Generator().manual_seed(0))
    first = torch.tensor([0])

    def predicted(by, word: str) -> torch.Tensor:
        return by.predict(x, first, by.embed([word]))

    moved = {
        w: (predicted(process, w) - predicted(erased, w)).norm() for w in ("dog", "cat", "sun")
    }
    apart = (predicted(process, "dog") - predicted(process, "cat")).norm()
    assert moved["dog"] > apart / 4
    assert max(moved["cat"], moved["sun"]) < apart / 40

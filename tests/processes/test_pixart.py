"""PixArt: masks and fixed lengths, the sizes that α is told, old folders, and what is refused."""

import json

import pytest
import torch
from diffusers import PixArtAlphaPipeline
from folder_tools import edit_json, refusal
from small.pixart import call_pixart, save_alpha, save_pixart

import conjure
from conjure.cli.main import main
from conjure.core.errors import PromptTruncatedWarning
from conjure.core.sampling import walk
from conjure.core.spec import process_key
from conjure.core.types import Conditioning
from conjure.processes import load

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def sigma(tmp_path_factory):
    return save_pixart(tmp_path_factory.mktemp("pixart") / "sigma")


@pytest.fixture(scope="module")
def process(sigma):
    return load(sigma, sampler="native", steps=2, device="cpu")


def gap(process, pipeline=None):
    """How far our x_0 is from the pipeline's own, relative to it."""
    *_, last = walk(process, ["a dog"], [5], finish=True)
    generator = torch.Generator("cpu").manual_seed(5)
    noise = torch.randn(1, *process.latent_shape, generator=generator)
    with torch.no_grad():
        found = call_pixart(
            pipeline or process.pipeline, "a dog", noise, generator, 2, process.guidance
        )
    return float((last.x_next[0] - found).norm() / found.norm())


def test_alpha_is_told_resolution_and_aspect(tmp_path):
    folder = save_pixart(tmp_path / "alpha", kind=PixArtAlphaPipeline, side=128)
    process = load(folder, size="32x16", sampler="native", steps=2, device="cpu")
    assert process.latent_shape == (4, 8, 16)
    assert gap(process) <= 1e-4
    ends = []
    for told in (True, False):  # and it heeds them
        process.told_sizes = told
        process.network.use_additional_conditions = told
        process.network.adaln_single.emb.use_additional_conditions = told
        ends.append(
            process.predict(torch.ones(1, 4, 8, 16), torch.tensor([0]), process.embed(["a"]))
        )
    assert (ends[0] - ends[1]).norm() > 1e-2 * ends[0].norm()


def test_a_row_has_one_length_and_does_not_depend_on_its_company(process, tmp_path):
    alone = process.embed(["a dog"]).tensors
    beside = process.embed(["a dog", "a cat and a cow"]).tensors
    assert (
        alone["encoder_hidden_states"].shape[1] == alone["encoder_attention_mask"].shape[1] == 300
    )
    for name, tensor in alone.items():
        torch.testing.assert_close(beside[name][:1], tensor, rtol=1e-5, atol=1e-5)
    shorter = load(save_alpha(tmp_path / "alpha"), device="cpu")
    assert shorter.embed(["a dog"]).tensors["encoder_attention_mask"].shape == (1, 120)
    assert process_key(shorter)["max_sequence_length"] == 120


def test_the_mask_reaches_the_network(process):
    told = process.embed(["a dog"]).tensors
    everything = torch.ones_like(told["encoder_attention_mask"])
    x, step = torch.ones(1, *process.latent_shape), torch.tensor([0])
    masked = process.predict(x, step, Conditioning(told))
    unmasked = process.predict(
        x, step, Conditioning({**told, "encoder_attention_mask": everything})
    )
    assert (masked - unmasked).norm() > 1e-3 * masked.norm()


def test_capitals_and_blanks_around_do_not_count(process):
    upper, lower = (process.embed([text]).tensors for text in (" A DOG ", "a dog"))
    assert all(torch.equal(upper[name], lower[name]) for name in lower)
    assert process.unreadable(["123", "a dog"]).keys() == {"123"}
    key = process_key(process)
    assert (key["clean_caption"], key["max_sequence_length"]) == (False, 300)


def test_a_text_that_is_too_long_warns(process):
    with pytest.warns(PromptTruncatedWarning, match="reads 300 tokens"):
        conjure.distance("a" * 400, "a dog", process=process)


def test_a_negative_prompt_is_subtracted(process):
    told = process.with_settings(negative_prompt="a violin")
    assert process_key(told)["negative_prompt"] == "a violin"
    null = told.unconditional().tensors
    assert all(torch.equal(null[name], t) for name, t in told.embed(["a violin"]).tensors.items())


def test_folders_that_name_the_older_class_are_read(tmp_path, sigma):
    folder = save_pixart(tmp_path / "old")
    edit_json(folder / "model_index.json", transformer=["diffusers", "Transformer2DModel"])
    edit_json(
        folder / "transformer" / "config.json",
        _class_name="Transformer2DModel",
        norm_type="ada_norm_single",
    )
    old = load(folder, sampler="native", steps=2, device="cpu")
    assert type(old.network).__name__ == "PixArtTransformer2DModel"
    assert gap(old, load(sigma, device="cpu").pipeline) <= 1e-4


def test_the_command_line_measures_a_folder(sigma, capsys):
    flags = ["--process", str(sigma), "--steps", "2", "--device", "cpu", "--json"]
    assert main(["distance", "a dog", "a cat", *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["value"] > 1
    assert (found["guidance"], found["signature"]["key"]["sampler"]) == (4.5, "lms")


def test_what_the_network_cannot_take_is_refused(sigma, tmp_path):
    assert "both sides must be multiples of 4" in refusal(sigma, size="30x32", device="cpu")
    folder = save_pixart(tmp_path / "odd")
    edit_json(folder / "tokenizer" / "tokenizer_config.json", _class_name="x")
    edit_json(folder / "text_encoder" / "config.json", vocab_size=10)
    assert "text_encoder" in refusal(folder, device="cpu")

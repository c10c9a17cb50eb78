"""SDXL: what guidance subtracts, the sizes that are told, Turbo's settings, and what is refused."""

import json

import diffusers
import pytest
import torch
from folder_tools import edit_json, refusal
from small.sdxl import call_sdxl, save_sdxl

import conjure
from conjure.cli.main import main
from conjure.core.errors import ZeroGuidanceWarning
from conjure.core.sampling import walk
from conjure.core.spec import process_key
from conjure.processes import load

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_sdxl(tmp_path_factory.mktemp("sdxl") / "xl")


@pytest.fixture(scope="module")
def process(folder):
    return load(folder, sampler="native", steps=2, device="cpu")


def gap(process, **settings):
    """How far our x_0 is from the pipeline's own, relative to it."""
    *_, last = walk(process, ["a dog"], [5], finish=True)
    generator = torch.Generator("cpu").manual_seed(5)
    noise = torch.randn(1, *process.latent_shape, generator=generator)
    steps = process._chosen.steps
    with torch.no_grad():
        found = call_sdxl(
            process.pipeline, "a dog", noise, generator, steps, process.guidance, **settings
        )
    return float((last.x_next[0] - found).norm() / found.norm())


@pytest.mark.parametrize("text", [None, "", "a violin"])
def test_zeros_the_empty_prompt_and_a_text_are_three_processes(process, text):
    assert gap(process.with_settings(negative_prompt=text), negative_prompt=text) <= 1e-4


def test_the_key_tells_them_apart(process, tmp_path):
    told = {text: process.with_settings(negative_prompt=text) for text in (None, "", "a violin")}
    keys = [process_key(p) for p in told.values()]
    assert "negative_prompt" not in keys[0]
    assert [key["negative_prompt"] for key in keys[1:]] == ["", "a violin"]
    values = {conjure.distance("a dog", "a cat", process=p).value for p in told.values()}
    assert len(values) == 3
    other = load(save_sdxl(tmp_path / "xl", zeros=False), device="cpu")
    assert "negative_prompt" not in process_key(other.with_settings(negative_prompt=""))
    null = other.unconditional().tensors
    empty = other.embed([""]).tensors
    assert all(torch.equal(null[name], empty[name]) for name in null)


def test_the_three_sizes_are_told_and_signed(process):
    key = process_key(process)
    assert (key["original_size"], key["crop"], key["target_size"]) == ("16x16", "0x0", "16x16")
    wide = process.with_settings(size="32x16")
    assert process_key(wide)["target_size"] == "16x32"
    assert gap(wide, height=16, width=32) <= 1e-4
    assert gap(wide, height=16, width=32, original_size=(64, 64)) > 1e-3  # the network heeds them
    assert wide.decode(torch.randn(1, *wide.latent_shape)).shape == (1, 3, 16, 32)


@pytest.mark.parametrize(
    "kind", [diffusers.EulerAncestralDiscreteScheduler, diffusers.EulerDiscreteScheduler]
)
def test_turbo_and_lightning_are_their_pipelines_own(tmp_path, kind):
    """Trailing Euler, ancestral for Turbo; no guidance; one to four steps."""
    folder = save_sdxl(tmp_path / "xl")
    place = folder / "scheduler" / "scheduler_config.json"
    edit_json(place, _class_name=kind.__name__, timestep_spacing="trailing")
    edit_json(folder / "model_index.json", scheduler=["diffusers", kind.__name__])
    process = load(folder, sampler="native", steps=1, guidance=1, device="cpu")
    assert process.unconditional() is None
    for steps in (1, 2, 4):
        assert gap(process.with_settings(steps=steps)) <= 1e-4
    assert conjure.distance("a dog", "a cat", process=process).value > 0.01


def test_guidance_0_is_not_diffusers(folder):
    with pytest.warns(ZeroGuidanceWarning, match="it is 1 here"):
        process = load(folder, steps=1, guidance=0, device="cpu")
    assert conjure.distance("a dog", "a cat", process=process).value == 0


def test_two_prompts_differ_far_above_rounding(process):
    found = conjure.distance("a dog", "a cat", process=process)
    alone = process.embed(["a dog"]).tensors
    beside = process.embed(["a dog", "a cat and a cow"]).tensors
    for name, tensor in alone.items():
        torch.testing.assert_close(beside[name][:1], tensor, rtol=1e-5, atol=1e-5)
    assert found.value > 1


def test_the_command_line_measures_a_folder(folder, capsys):
    flags = ["--process", str(folder), "--steps", "2", "--device", "cpu", "--json"]
    flags += ["--negative-prompt", "", "--size", "32x16", "--compare", "score"]
    assert main(["distance", "a dog", "a cat", *flags]) == 0
    key = json.loads(capsys.readouterr().out)["signature"]["key"]
    assert (key["negative_prompt"], key["size"], key["compare"]) == ("", "4x8x16", "score")


def test_the_refiner_is_refused_with_the_reason(tmp_path):
    folder = save_sdxl(tmp_path / "xl")
    index = folder / "model_index.json"
    edit_json(index, requires_aesthetics_score=True)
    assert "this is SDXL's refiner" in refusal(folder)
    edit_json(index, requires_aesthetics_score=False, text_encoder=[None, None])
    assert "the refiner, which has one text encoder" in refusal(folder)
    edit_json(index, _class_name="StableDiffusionXLImg2ImgPipeline")
    assert "starts from a finished picture, as SDXL's refiner does: use the base" in refusal(folder)


def test_what_the_network_cannot_take_is_refused(folder, tmp_path):
    assert "both sides must be multiples of 4" in refusal(folder, size="30x32", device="cpu")
    other = save_sdxl(tmp_path / "xl")
    edit_json(other / "tokenizer_2" / "tokenizer_config.json", model_max_length=8)
    assert "its CLIPs read" in refusal(other, device="cpu")

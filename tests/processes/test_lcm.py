"""Latent consistency models: told w − 1, in one pass, under their own stochastic sampler."""

import json

import pytest
import torch
from diffusers import LatentConsistencyModelPipeline
from folder_tools import refusal
from small.lcm import save_lcm
from small_pipelines import save_pipeline

import conjure
from conjure.cli.main import main
from conjure.core.errors import InputError
from conjure.core.spec import Spec, process_key
from conjure.processes import load
from conjure.processes.lcm import guidance_embedding
from conjure.similarity import cost

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_lcm(tmp_path_factory.mktemp("lcm") / "lcm")


@pytest.fixture(scope="module")
def process(folder):
    return load(folder, device="cpu")


@pytest.mark.parametrize("width", [7, 8, 256])
def test_w_is_told_as_the_pipeline_tells_it(width):
    theirs = LatentConsistencyModelPipeline.get_guidance_scale_embedding
    for w in (0.0, 0.3, 7.5):
        expected = theirs(None, torch.tensor([w]), embedding_dim=width)
        assert torch.equal(guidance_embedding(w, width), expected)


def test_it_recommends_its_own_sampler_and_signs_what_was_distilled(process):
    key = process_key(process)
    assert (key["sampler"], key["steps"], key["guidance_scale"]) == ("native", 4, 8.5)
    assert (key["guidance"], key["original_inference_steps"]) == ("distilled", 50)
    assert "original_inference_steps" not in process_key(process.with_settings(sampler="ddim"))
    assert process.schedule.stochastic
    assert process.schedule.sigmas[-1] == 0


def test_one_pass_and_no_row_of_nothing(process):
    assert process.unconditional() is None
    plan = cost([("a dog", "a cat")], process, Spec(samples=2))
    assert plan.rows == 2 * (2 * 4 + 2 * 3)


def test_the_network_heeds_what_it_is_told(process):
    values = [
        conjure.distance("a dog", "a cat", process=process.with_settings(guidance=w)).value
        for w in (1, 8.5)
    ]
    assert abs(values[0] - values[1]) > 0.01 * values[0]


def test_steps_beyond_what_was_distilled_are_refused(process):
    with pytest.raises(InputError, match="scheduler cannot be used") as caught:
        process.with_settings(steps=60)
    assert "\n" not in str(caught.value)


def test_a_negative_prompt_has_nothing_to_be_subtracted_from(process, folder):
    with pytest.raises(InputError, match=r"subtracts nothing \(distilled guidance\)"):
        process.with_settings(negative_prompt="a violin")
    said = refusal(folder, negative_prompt="a violin", guidance=3, device="cpu")
    assert "takes no negative prompt: leave negative_prompt out" in said


def test_a_network_of_the_other_kind_is_refused(tmp_path, folder):
    plain = save_lcm(tmp_path / "plain", width=None)
    assert "load it as a StableDiffusionPipeline" in refusal(plain, device="cpu")
    told = save_pipeline(tmp_path / "told")
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (told / "unet" / name).write_bytes((folder / "unet" / name).read_bytes())
    assert "takes its guidance as an input (a distilled model)" in refusal(told, device="cpu")


def test_the_command_line_measures_a_folder(folder, capsys):
    flags = ["--process", str(folder), "--device", "cpu", "--samples", "2", "--json"]
    assert main(["distance", "a dog", "a cat", *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["value"] > 0.1
    assert found["signature"]["key"]["guidance"] == "distilled"

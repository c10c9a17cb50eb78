"""Negative prompt, size and preset: as the pipeline's own call takes them, and in the key."""

import pytest
import torch
from folder_tools import edit_json, refusal
from label_family import FAMILY, save_label_pipeline

import conjure
from conjure.core.errors import InputError
from conjure.core.sampling import walk
from conjure.core.spec import process_key
from conjure.processes import load, registry

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def process(pipelines):
    return load(pipelines["epsilon"], sampler="ddim", steps=2, device="cpu")


def own_call(process, **settings):
    noise = torch.randn(1, *process.latent_shape, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return process.pipeline(
            "a dog",
            latents=noise,
            num_inference_steps=2,
            guidance_scale=process.guidance,
            output_type="latent",
            **settings,
        ).images


def end(process):
    *_, last = walk(process, ["a dog"], [5], finish=True)
    return last.x_next[0]


@pytest.fixture
def ddim(process, monkeypatch):
    import diffusers

    own = process.pipeline.scheduler
    scheduler = diffusers.DDIMScheduler.from_config(own.config, clip_sample=False)
    monkeypatch.setattr(process.pipeline, "scheduler", scheduler)


@pytest.mark.parametrize("text", [None, "", "a violin"])
def test_a_negative_prompt_is_the_pipelines_own(process, ddim, text):
    ours = end(process.with_settings(negative_prompt=text))
    found = own_call(process, negative_prompt=text)
    assert (ours - found).norm() <= 1e-4 * found.norm()


def test_a_negative_prompt_is_in_the_key_where_it_is_subtracted(process):
    told = process.with_settings(negative_prompt="a violin")
    assert process_key(told)["negative_prompt"] == "a violin"
    assert process_key(process.with_settings(negative_prompt="")) == process_key(process)
    assert process_key(told.with_settings(guidance=1)) == process_key(
        process.with_settings(guidance=1)
    )
    found = [
        conjure.distance("a dog", "a cat", process=p) for p in (told, process, told.with_settings())
    ]
    assert found[0].value != found[1].value
    assert found[0].value == found[2].value
    assert "|negative_prompt:a violin|" in str(found[0].signature)


@pytest.mark.parametrize(
    ("size", "side"), [("16x32", (32, 16)), ((24, 16), (16, 24)), (32, (32, 32))]
)
def test_a_size_is_the_pipelines_own(process, ddim, size, side):
    sized = process.with_settings(size=size)
    height, width = side
    found = own_call(sized, height=height, width=width)
    ours = end(sized)
    assert ours.shape == found.shape == (1, 4, height // 2, width // 2)
    assert (ours - found).norm() <= 1e-4 * found.norm()
    assert process_key(sized)["size"] == f"4x{height // 2}x{width // 2}"
    assert sized.decode(ours).shape == (1, 3, height, width)


def test_sizes_that_the_network_cannot_take_are_refused(process):
    with pytest.raises(
        InputError, match="no pictures of 15x16: both sides must be multiples of 4,"
    ):
        process.with_settings(size="15x16")
    assert process.with_settings(size=16).latent_shape == process.latent_shape


def test_a_process_of_one_size_and_one_without_guidance_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {FAMILY.name: FAMILY})
    folder = save_label_pipeline(tmp_path / "dit")
    assert "takes pictures of 16x16 alone: leave size out" in refusal(folder, size=32, device="cpu")
    from dataclasses import replace

    from label_family import LabelProcess

    class Plain(LabelProcess):
        guidance_mode = "none"

    registry._REGISTERED[FAMILY.name] = replace(FAMILY, process=Plain)
    said = refusal(folder, negative_prompt="a violin", guidance=1.5, device="cpu")
    assert "has no guidance" in said
    process = load(folder, guidance=1, device="cpu")
    with pytest.raises(InputError, match="takes no negative prompt: leave negative_prompt out"):
        process.with_settings(negative_prompt="a violin")


def test_the_papers_settings_go_before_what_a_model_recommends(folder):
    edit_json(folder / "conjure.json", sampler="ddim", steps=3, guidance=2.0)
    edit_json(folder / "vae" / "config.json", block_out_channels=[8] * 2)
    process = load(folder, preset="paper", device="cpu")
    assert (process.sampler, len(process.schedule), process.guidance) == ("lms", 10, 7.5)
    assert process.latent_shape == (4, 256, 256)  # this VAE makes two pixels of a latent
    line = refusal(folder, preset="paper", steps=5)
    assert "preset 'paper' is steps 10, and 5 was asked for" in line


def test_a_negative_prompt_that_changes_nothing_is_refused(folder):
    line = refusal(folder, negative_prompt="a violin", guidance=1, device="cpu")
    assert line.startswith("guidance 1 subtracts nothing, so a negative prompt changes nothing")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"size": "big"}, "size must be WIDTHxHEIGHT in pixels, such as 512x768, not 'big'"),
        ({"size": "0x8"}, "size must be"),
        ({"size": (8, 8, 8)}, "size must be"),
        ({"size": -8}, "size must be"),
        ({"size": True}, "size must be"),
        ({"size": 8.5}, "size must be"),
        ({"eta": 1.5}, "eta must be a number from 0 to 1, not 1.5"),
        ({"eta": "1"}, "eta must be"),
        ({"eta": 0.5, "sampler": "lms"}, "eta goes with the sampler ddim, not with lms"),
        ({"negative_prompt": 5}, "negative_prompt must be a str"),
        ({"preset": "papers"}, "unknown preset 'papers'; choose one of paper"),
    ],
)
def test_choices_that_make_no_sense_are_refused_before_a_model_is_sought(settings, says):
    assert says in refusal("nowhere", **settings)

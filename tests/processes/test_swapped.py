"""Parts from other folders, against folders in which the part was replaced on disk."""

import re
import shutil

import pytest
import torch
from diffusers import UNet2DConditionModel
from folder_tools import edit_json, edit_weights, refusal, shard, weights_of
from safetensors.torch import load_file

import conjure
from conjure.cli.main import main
from conjure.core.spec import Spec, sign
from conjure.processes import load

SETTINGS = {"steps": 2, "sampler": "ddim"}


def value(process):
    return conjure.distance("a dog", "a violin", process=process).value


@pytest.fixture(scope="module")
def base(pipelines):
    return pipelines["epsilon"]


@pytest.fixture
def other(folder):
    """A pipeline with other weights in three parts."""
    edits = {"unet": "conv_in.bias", "vae": "decoder.conv_out.bias", "text_encoder": "final_layer"}
    for part, end in edits.items():

        def edit(tensors, end=end):
            return {name: t + 0.5 * (end in name) for name, t in tensors.items()}

        edit_weights(folder, part, edit)
    return folder


@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_it_is_the_pipeline_with_that_part(base, other, tmp_path, part):
    mixed = shutil.copytree(base, tmp_path / "mixed")
    shutil.rmtree(mixed / part)
    shutil.copytree(other / part, mixed / part)
    plain, expected = load(base, **SETTINGS), load(mixed, **SETTINGS)
    process = load(base, **{part: other / part}, **SETTINGS)
    assert value(process) == value(expected)
    assert value(process) != pytest.approx(value(plain), rel=1e-4)
    assert re.fullmatch(rf"{plain.revision}\+{part}-[0-9a-f]{{12}}", process.revision)
    named = load(base, **{part: str(other)}, **SETTINGS)  # by the pipeline's folder
    assert sign(named, Spec()).key == sign(process, Spec()).key


def test_the_decoder_changes_pictures_and_no_distance(base, other):
    plain, process = load(base, **SETTINGS), load(base, vae=other, **SETTINGS)
    assert value(process) == value(plain)
    pictures = [conjure.pictures(["a dog"], process=made) for made in (plain, process)]
    assert not torch.allclose(*pictures)
    assert process.revision != plain.revision


def test_several_parts_and_other_bytes_are_other_revisions(base, other):
    both = load(base, unet=other, text_encoder=other, **SETTINGS)
    assert re.search(r"\+text_encoder-\w{12}\+unet-\w{12}$", both.revision)
    edit_weights(other, "unet", lambda held: {n: t + 1e-3 for n, t in held.items()})
    assert load(base, unet=other, text_encoder=other, **SETTINGS).revision != both.revision


def test_shards_are_read(base, other):
    whole = load_file(weights_of(other, "unet"))
    index = shard(other, "unet", "diffusion_pytorch_model")
    process = load(base, unet=other, **SETTINGS)
    assert torch.equal(process.pipeline.unet.conv_in.bias, whole["conv_in.bias"])
    index.unlink()
    assert "has no weights of a unet" in refusal(base, unet=other)


# ------------------------------------------------------------------ what does not fit


def test_folders_that_hold_no_such_part(base, other, tmp_path):
    assert refusal(base, unet=tmp_path / "gone").startswith("unet: there is no folder")
    assert "is no unet: give a folder with its config.json" in refusal(base, unet=tmp_path)
    assert refusal(base, transformer=other / "unet") == (
        "epsilon has no transformer: a StableDiffusionPipeline has unet, vae, text_encoder"
    )
    assert "is a 'AutoencoderKL', and the unet of" in refusal(base, unet=other / "vae")
    assert "is a 'UNet2DConditionModel'" in refusal(base, text_encoder=other / "unet")
    for wrong in (3, "", ["a"]):
        assert "unet must be the path of a folder" in refusal(base, unet=wrong)


def save_unet(folder, **changes):
    config = {
        "sample_size": 8,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    }
    UNet2DConditionModel(**{**config, **changes}).save_pretrained(folder)
    return folder


def test_widths_that_do_not_fit(base, tmp_path):
    inpainting = save_unet(tmp_path / "inpainting", in_channels=9)
    assert "its unet has in_channels 9, and epsilon has 4" in refusal(base, unet=inpainting)
    wide = save_unet(tmp_path / "wide", cross_attention_dim=48)
    assert "does not run: " in refusal(base, unet=wide)


def test_a_text_encoder_of_another_vocabulary(base, other):
    edit_json(other / "text_encoder" / "config.json", vocab_size=99)
    assert "has vocab_size 99" in refusal(base, text_encoder=other)


def test_a_denoiser_that_predicts_something_else(base, pipelines):
    """Its scheduler stays behind, and the base's would take v for ε."""
    line = refusal(base, unet=pipelines["v_prediction"])
    assert "predicts 'v_prediction' and epsilon 'epsilon'" in line


def test_weights_that_lack_tensors_or_are_pickled(base, other):
    edit_weights(other, "unet", lambda held: {n: t for n, t in held.items() if n != "conv_in.bias"})
    assert "its unet lacks 1 tensor (conv_in.bias)" in refusal(base, unet=other)
    path = weights_of(other, "unet")
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    assert "allow_pickle=True" in refusal(base, unet=other)


def test_a_class_of_its_own_is_not_run(base, other):
    edit_json(other / "unet" / "config.json", _class_name="os.system")
    assert "is a 'os.system'" in refusal(base, unet=other)
    edit_json(other / "text_encoder" / "config.json", architectures=["MyEncoder"])
    assert "is a 'MyEncoder'" in refusal(base, text_encoder=other)


def test_the_flags(base, other, capsys):
    flags = ["--process", str(base), "--steps", "2", "--unet", str(other)]
    flags += ["--text-encoder", str(other / "text_encoder")]
    assert main(["distance", "a dog", "a violin", *flags]) == 0
    assert re.search(r"rev:\S*\+text_encoder-\w+\+unet-", capsys.readouterr().out)
    assert main(["distance", "a dog", "a violin", "--process", str(base), "--vae", "./gone"]) == 2
    assert "vae: there is no folder" in capsys.readouterr().err

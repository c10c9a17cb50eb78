"""A single file in the original layout, against the folder that it was made from."""

import importlib.util
import re
import shutil

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from folder_tools import edit_json, edit_weights, refusal, weights_of
from lora_tools import matrices, save_lora
from original_layout import save_original
from safetensors.torch import load_file, save_file

import conjure
from conjure.cli.main import main
from conjure.processes import hub, load

SETTINGS = {"steps": 2, "sampler": "ddim"}


def value(process):
    return conjure.distance("a dog", "a violin", process=process).value


@pytest.fixture(scope="module")
def base(pipelines):
    return pipelines["epsilon"]


@pytest.fixture(scope="module")
def single(base, tmp_path_factory):
    return save_original(base, tmp_path_factory.mktemp("single") / "model.safetensors")


@pytest.fixture
def config(folder):
    """A copy of the pipeline without any weights, as ``config`` may be."""
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    return folder


def edited(single, path, edit):
    save_file(edit(load_file(single)), path)
    return path


def test_every_tensor_is_that_of_the_folder(base, single, config):
    expected, process = load(base, **SETTINGS), load(single, config=config, **SETTINGS)
    for part in ("unet", "vae", "text_encoder"):
        own, other = (getattr(p.pipeline, part).state_dict() for p in (process, expected))
        assert own.keys() == other.keys()
        assert all(torch.equal(own[name], other[name]) for name in own)
    assert value(process) == value(expected)
    assert process.name == "model"
    assert re.fullmatch(r"sha256-\w{12}\+config-\w{12}", process.revision)
    process.refresh()
    assert "edited" not in process.revision


def test_the_file_decides_not_the_weights_beside_its_configuration(base, single, folder):
    edit_weights(folder, "unet", lambda held: {n: t * 2 for n, t in held.items()})
    process = load(str(single), config=str(folder), **SETTINGS)
    assert value(process) == value(load(base, **SETTINGS))
    other = load(str(single), config=base, **SETTINGS)  # which has other bytes
    assert other.revision != process.revision
    assert other.revision[:19] == process.revision[:19]


def test_what_the_file_lacks_comes_from_the_folder(base, tmp_path, config):
    file = save_original(base, tmp_path / "unet.safetensors", ["unet"])
    assert value(load(file, config=base, **SETTINGS)) == value(load(base, **SETTINGS))
    assert "has no vae, and" in refusal(file, config=config)
    shutil.copytree(base / "vae", config / "vae", dirs_exist_ok=True)
    line = refusal(file, config=config)
    assert "has no text_encoder, and" in line
    assert "--text-encoder" in line
    process = load(file, config=config, text_encoder=base, **SETTINGS)
    assert value(process) == value(load(base, **SETTINGS))


def test_a_file_in_the_layout_of_diffusers(base, config):
    process = load(weights_of(base, "unet"), config=base, **SETTINGS)
    assert value(process) == value(load(base, **SETTINGS))


def test_its_settings_and_adapters_go_with_it(base, single, tmp_path):
    lora = save_lora(tmp_path / "style.safetensors", matrices(base))
    process = load(single, config=base, lora=lora, dtype="float64", **SETTINGS)
    expected = load(base, lora=lora, dtype="float64", **SETTINGS)
    assert value(process) == pytest.approx(value(expected), rel=1e-6)
    assert process.pipeline.unet.dtype == torch.float64
    assert re.search(r"\+config-\w+\+1\*lora-", process.revision)


# ------------------------------------------------------------------ what does not fit


def test_it_needs_to_be_told_what_it_is(single, base, tmp_path):
    line = refusal(single)
    assert "name the folder or hub id of its base model by config=FOLDER_OR_ID" in line
    assert "config: there is no folder ./gone" in refusal(single, config="./gone")
    assert "no model_index.json" in refusal(single, config=tmp_path)
    assert "config goes with a single file, and" in refusal(base, config=base)
    (tmp_path / "model.ckpt").write_bytes(b"")
    assert "pickled ones can run any code" in refusal(tmp_path / "model.ckpt", config=base)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(single.read_bytes()[:-50])
    assert re.search(r"broken\.safetensors cannot be read: \S", refusal(broken, config=base))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "model.diffusion_model.input_blocks.1.0.in_layers.2.bias",
            "lacks 1 tensor (down_blocks.0",
        ),
        ("first_stage_model.decoder.conv_in.bias", "lacks 1 tensor (decoder.conv_in.bias)"),
        (
            "cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc1.bias",
            "lacks 1 tensor (encoder.layers.1.mlp.fc1.bias)",
        ),
    ],
)
def test_a_tensor_that_is_missing_is_named(single, base, tmp_path, name, says):
    """diffusers would leave it as it was drawn, or without a value."""
    file = edited(
        single,
        tmp_path / "x.safetensors",
        lambda held: {n: t for n, t in held.items() if n != name},
    )
    assert says in refusal(file, config=base)


@pytest.mark.parametrize(
    "name",
    [
        "model.diffusion_model.input_blocks.7.0.in_layers.2.bias",
        "model.diffusion_model.label_emb.0.0.weight",
        "first_stage_model.encoder.down.5.block.0.conv1.bias",
    ],
)
def test_a_tensor_that_would_stay_unused_is_refused(single, base, tmp_path, name):
    """As those of a deeper network: its first blocks alone are another model."""
    file = edited(single, tmp_path / "x.safetensors", lambda held: {**held, name: torch.zeros(16)})
    assert re.search("has unexpected|would stay unused", refusal(file, config=base))


def test_another_width_is_another_model(single, base, tmp_path, config):
    edit_json(config / "unet" / "config.json", cross_attention_dim=48)
    assert "has wrongly shaped" in refusal(single, config=config)
    edit_json(config / "unet" / "config.json", cross_attention_dim=32, layers_per_block=2)
    assert re.search("does not fit|lacks", refusal(single, config=config))
    edit_json(config / "unet" / "config.json", layers_per_block=1)
    edit_json(config / "text_encoder" / "config.json", hidden_size=64)
    assert re.search("does not fit|may be another model", refusal(single, config=config))


def test_a_file_of_something_else(base, tmp_path):
    file = tmp_path / "other.safetensors"
    save_file({"a.weight": torch.zeros(2, 2)}, file)
    assert "holds no part of" in refusal(file, config=base)


def test_without_accelerate_it_says_what_to_install(single, base, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'conjure[accelerate]'" in refusal(single, config=base)


def test_a_hub_id_as_config_comes_from_the_cache(single, base, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "reachable", lambda settings: False)
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--someone--base"
    ignore = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(base, repo / "snapshots" / commit, ignore=ignore)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    process = load(single, config="someone/base", **SETTINGS)
    assert process.revision.endswith(f"+config-{commit}")
    assert value(process) == value(load(base, **SETTINGS))
    assert "config: someone/gone is neither" in refusal(single, config="someone/gone")


def test_the_flag(single, base, capsys):
    flags = ["--process", str(single), "--config", str(base), "--steps", "2"]
    assert main(["distance", "a dog", "a violin", *flags]) == 0
    assert "+config-" in capsys.readouterr().out
    assert main(["distance", "a dog", "a violin", "--process", str(single)]) == 2
    assert "--config FOLDER_OR_ID" in capsys.readouterr().err


def test_the_builder_writes_names_that_diffusers_reads(base):
    """The oracle of these tests is diffusers' own conversion, not our reading of it."""
    held = load_file(weights_of(base, "unet"))
    from original_layout import unet_name

    original = {f"model.diffusion_model.{unet_name(name)}": t for name, t in held.items()}
    config = {"layers_per_block": 1, "class_embed_type": None, "addition_embed_type": None}
    back = convert_ldm_unet_checkpoint(original, config)
    assert back.keys() == held.keys()

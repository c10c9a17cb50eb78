"""Each part of a pipeline is read whole, by a class that is known, or refused in one line."""

import json
import os
import re
import shutil
import sys

import pytest
import torch
from folder_tools import edit_json, edit_weights, refusal, shard, weights_of
from safetensors.torch import load_file, save_file

import conjure
from conjure.processes import load

PARTS = {"unet": "conv_in.weight", "vae": "post_quant_conv.bias"}


def text_tensor(weights):
    return next(name for name in sorted(weights) if name.endswith("mlp.fc1.weight"))


# ------------------------------------------------------------------ tensors


def test_renamed_tensors_of_the_text_encoder_are_refused_by_name(folder):
    """They would be drawn at random, anew at every load, under one signature."""
    edit_weights(folder, "text_encoder", lambda w: {f"old.{k}": v for k, v in w.items()})
    line = refusal(folder)
    assert re.search(r"its text_encoder lacks \d+ tensors \(.*, …\) and has unexpected \d+", line)
    assert "old." in line


@pytest.mark.parametrize(("part", "name"), PARTS.items())
def test_a_missing_tensor_is_named(folder, part, name):
    edit_weights(folder, part, lambda w: {k: v for k, v in w.items() if k != name})
    assert f"its {part} lacks 1 tensor ({name})" in refusal(folder)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_an_unexpected_tensor_is_named(folder, part):
    edit_weights(folder, part, lambda w: {**w, "extra.weight": torch.zeros(2)})
    assert f"its {part} has unexpected 1 tensor (extra.weight)" in refusal(folder)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_tensor_of_another_shape_is_named(folder, part):
    name = PARTS.get(part) or text_tensor(load_file(weights_of(folder, part)))
    edit_weights(folder, part, lambda w: {**w, name: w[name][:-1].clone()})
    assert re.search(rf"its {part} has wrongly shaped 1 tensor \(.*{name[-9:]}\)", refusal(folder))


def test_tensors_missing_from_shards_are_named_and_whole_shards_load(folder):
    whole = load(folder, steps=2).pipeline.unet.conv_in.weight
    index = shard(folder, "unet", "diffusion_pytorch_model")
    shard(folder, "text_encoder", "model")
    assert torch.equal(load(folder, steps=2).pipeline.unet.conv_in.weight, whole)
    lost = index.parent / "diffusion_pytorch_model-00001-of-00002.safetensors"
    weights = load_file(lost)
    name = sorted(weights)[0]
    weights.pop(name)
    lost.unlink()
    save_file(weights, lost, metadata={"format": "pt"})
    assert f"lacks 1 tensor ({name}) that its index lists" in refusal(folder)


def test_positions_that_old_text_encoders_saved_do_no_harm(folder, pipelines):
    """SD 1.4's own text encoder has them: 0 … n − 1, which newer versions make themselves."""
    positions = {"text_model.embeddings.position_ids": torch.arange(16)[None]}
    edit_weights(folder, "text_encoder", lambda w: {**w, **positions})
    values = [
        conjure.distance("a dog", "a cat", process=load(place, steps=2, device="cpu")).value
        for place in (folder, pipelines["epsilon"])
    ]
    assert values[0] == values[1]


def test_a_text_encoder_without_its_pooler_reads_the_same(pipelines, tmp_path):
    folder = tmp_path / "albert"
    shutil.copytree(pipelines["albert"], folder)
    edit_weights(
        folder, "text_encoder", lambda w: {k: v for k, v in w.items() if "pooler" not in k}
    )
    states = [
        load(place, steps=2, device="cpu").embed(["a dog"]).tensors["encoder_hidden_states"]
        for place in (folder, pipelines["albert"])
    ]
    assert torch.equal(*states)


# ------------------------------------------------------------------ code


def marker_module(place, marker):
    place.write_text(f"open({str(marker)!r}, 'w').close()\nclass Evil: pass\n")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
@pytest.mark.parametrize("library", ["evil", "diffusers_modules", "os"])
def test_a_folders_own_module_is_never_run(folder, tmp_path, part, library, monkeypatch):
    marker = tmp_path / "ran"
    for place in (folder / part / "evil.py", folder / "evil.py", tmp_path / "evil.py"):
        marker_module(place, marker)
    monkeypatch.syspath_prepend(tmp_path)  # an installed module of that name
    edit_json(folder / "model_index.json", **{part: [library, "Evil"]})
    assert f"says that its {part} is ['{library}', 'Evil']" in refusal(folder)
    assert not marker.exists()
    assert "evil" not in sys.modules


@pytest.mark.parametrize(
    ("part", "given"),
    [
        ("unet", ["diffusers", "UNet2DModel"]),
        ("unet", ["diffusers", "AutoencoderKL"]),
        ("unet", ["transformers", "UNet2DConditionModel"]),
        ("vae", ["diffusers", "__doc__"]),
        ("vae", None),
        ("vae", [None, None]),
        ("scheduler", ["diffusers", "DiffusionPipeline"]),
        ("text_encoder", ["transformers", "CLIPTokenizer"]),
        ("text_encoder", ["transformers", "AutoModel"]),
        ("text_encoder", ["transformers", "models.clip.CLIPTextModel"]),
        ("tokenizer", ["transformers", ["CLIPTokenizer"]]),
        ("tokenizer", "CLIPTokenizer"),
        ("tokenizer", ["transformers", "\ud800"]),
    ],
)
def test_a_part_of_another_class_is_refused(folder, part, given):
    edit_json(folder / "model_index.json", **{part: given})
    assert f"says that its {part} is" in refusal(folder)


def test_a_part_that_a_pipeline_does_not_have_is_refused(folder):
    edit_json(folder / "model_index.json", controlnet=["diffusers", "ControlNetModel"])
    assert "has a part 'controlnet'" in refusal(folder)


def test_what_is_not_used_is_not_read(folder, tmp_path):
    marker = tmp_path / "ran"
    (folder / "safety_checker").mkdir()
    marker_module(folder / "safety_checker" / "evil.py", marker)
    edit_json(folder / "model_index.json", safety_checker=["evil", "Evil"])
    load(folder, steps=2)
    assert not marker.exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_that_a_configuration_names_is_not_run(folder, tmp_path, file):
    marker = tmp_path / "ran"
    part = "tokenizer" if file.startswith("tokenizer") else "text_encoder"
    marker_module(folder / part / "evil.py", marker)
    names = ("AutoConfig", "AutoModel", "CLIPTextModel", "AutoTokenizer", "CLIPTokenizer")
    edit_json(
        folder / part / file,
        auto_map=dict.fromkeys(names, "evil.Evil"),
        trust_remote_code=True,
        architectures=["Evil"],
    )
    load(folder, steps=2)
    assert not marker.exists()


def test_a_kernel_of_the_hub_is_refused(folder):
    edit_json(folder / "text_encoder" / "config.json", _attn_implementation="someone/kernel")
    assert "asks for code from the hub" in refusal(folder)


# ------------------------------------------------------------------ pickles and links

STEMS = [("text_encoder", "model"), ("unet", "diffusion_pytorch_model")]


def pickled_index(folder, part="text_encoder", stem="model", **weight_map):
    """An index of safetensors that names other files."""
    weights = weights_of(folder, part)
    names = list(load_file(weights))
    torch.save(load_file(weights), folder / part / "w.bin")
    weights.unlink()
    index = folder / part / f"{stem}.safetensors.index.json"
    shards = dict.fromkeys(names, "w.bin") | weight_map
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": shards}))
    return index


@pytest.mark.parametrize(("part", "stem"), STEMS)
def test_an_index_that_names_a_pickle_is_refused(folder, part, stem):
    pickled_index(folder, part, stem)
    assert re.search(r"names 'w\.bin', which is no \.safetensors file", refusal(folder))


@pytest.mark.parametrize("name", ["../w.safetensors", "/tmp/w.safetensors", "a/w.safetensors"])
def test_an_index_that_names_a_file_elsewhere_is_refused(folder, name):
    index = shard(folder, "unet", "diffusion_pytorch_model")
    found = json.loads(index.read_text())
    found["weight_map"]["conv_in.weight"] = name
    index.write_text(json.dumps(found))
    assert f"names {name!r}: shards lie beside it" in refusal(folder)
    assert "shards lie beside it" in refusal(folder, allow_pickle=True)


def test_an_index_of_shards_that_are_not_there_or_of_nothing_is_refused(folder):
    index = shard(folder, "unet", "diffusion_pytorch_model")
    (folder / "unet" / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()
    assert re.search(r"names '.*-00002-of-.*', which is not there", refusal(folder))
    for content in ("{}", '{"weight_map": []}', '{"weight_map": {}}'):
        index.write_text(content)
        assert "lists no weights" in refusal(folder)


@pytest.mark.parametrize(("part", "stem"), STEMS)
def test_weights_may_lie_elsewhere_behind_a_link(folder, tmp_path, part, stem):
    """It is opened by its own name and hashed whole, so the process is the same one."""
    whole = load(folder, steps=2)
    weights = weights_of(folder, part)
    for name in ("w.safetensors", "0a1b2c"):  # the hub's cache names files by their hash
        weights.rename(tmp_path / name)
        weights.symlink_to(tmp_path / name)
        linked = load(folder, steps=2)
        assert linked.revision == whole.revision
        assert conjure.distance("a dog", "a cat", process=linked).value == (
            conjure.distance("a dog", "a cat", process=whole).value
        )
        weights.unlink()
        (tmp_path / name).rename(weights)
    shard(folder, part, stem)
    place = sorted((folder / part).glob("*-of-00002.safetensors"))[0]
    place.rename(tmp_path / "shard.safetensors")
    place.symlink_to(tmp_path / "shard.safetensors")
    assert load(folder, steps=2).revision.startswith("sha256-")


def test_other_weights_behind_the_same_link_are_another_revision(folder, tmp_path):
    weights = weights_of(folder, "unet")
    weights.rename(tmp_path / "w.safetensors")
    weights.symlink_to(tmp_path / "w.safetensors")
    before = load(folder, steps=2).revision
    changed = load_file(tmp_path / "w.safetensors")
    changed["conv_in.bias"] += 1e-3
    (tmp_path / "w.safetensors").unlink()
    save_file(changed, tmp_path / "w.safetensors", metadata={"format": "pt"})
    assert load(folder, steps=2).revision != before


def test_a_folder_and_its_parts_may_be_links(folder, tmp_path):
    revision = load(folder, steps=2).revision
    (folder / "unet").rename(tmp_path / "unet")
    (folder / "unet").symlink_to(tmp_path / "unet")
    (tmp_path / "link").symlink_to(folder)
    process = load(tmp_path / "link", steps=2)
    assert (process.name, process.revision) == ("pipeline", revision)


@pytest.mark.parametrize(("part", "stem"), STEMS)
def test_a_link_to_a_pickle_or_to_nothing_is_refused(folder, tmp_path, part, stem):
    weights = weights_of(folder, part)
    torch.save(load_file(weights), tmp_path / "w.bin")
    weights.unlink()
    weights.symlink_to(tmp_path / "w.bin")
    assert "w.bin, which is no .safetensors file" in refusal(folder)
    shutil.copyfile(tmp_path / "w.bin", tmp_path / "blob")  # a pickle without an ending
    weights.unlink()
    weights.symlink_to(tmp_path / "blob")
    assert f"{part} cannot be loaded" in refusal(folder)
    for target in ("gone.safetensors", "."):
        weights.unlink()
        weights.symlink_to(tmp_path / target)
        assert "which is no file that is there" in refusal(folder)


def test_a_decoy_beside_a_pickle_is_refused(folder):
    path = weights_of(folder, "unet")
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.rename(path.with_name("decoy.safetensors"))
    assert "allow_pickle=True (--allow-pickle)" in refusal(folder)


def test_weights_that_a_configuration_redirects_are_refused(folder):
    config = folder / "text_encoder" / "config.json"
    edit_json(config, transformers_weights="other.safetensors")
    assert "transformers_weights" in refusal(folder)
    (folder / "unet" / "adapter_config.json").write_text("{}")
    assert "holds an adapter" in refusal(folder)


# ------------------------------------------------------------------ damaged files

FILES = [
    "model_index.json",
    "unet/config.json",
    "vae/config.json",
    "text_encoder/config.json",
    "scheduler/scheduler_config.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/tokenizer.json",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", ["null", "[]", "{", "", "[" * 200_000, "\xff", "7"])
def test_a_damaged_configuration_is_one_line(folder, name, content):
    (folder / name).write_bytes(content.encode("latin-1"))
    assert os.path.basename(name) in refusal(folder)


@pytest.mark.parametrize("name", [f for f in FILES if f != "tokenizer/tokenizer_config.json"])
def test_an_empty_configuration_is_one_line(folder, name):
    (folder / name).write_text("{}")
    refusal(folder)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("unet/config.json", {"sample_size": None}, "sample_size is None"),
        ("unet/config.json", {"sample_size": 0}, "sample_size is 0"),
        ("unet/config.json", {"sample_size": [8]}, "sample_size is [8]"),
        ("unet/config.json", {"sample_size": "8"}, "sample_size is '8'"),
        ("unet/config.json", {"sample_size": True}, "sample_size is True"),
        ("unet/config.json", {"block_out_channels": "x"}, "unet cannot be loaded"),
        ("unet/config.json", {"cross_attention_dim": 48}, "wrongly shaped"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "x"}, "scheduler"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": None}, "scheduler"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": "x"}, "scheduler"),
        ("text_encoder/config.json", {"hidden_size": 30}, "text_encoder"),
        ("text_encoder/config.json", {"vocab_size": 20}, "text_encoder"),
        ("tokenizer/tokenizer_config.json", {"model_max_length": 2}, "leaves none for a text"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_one_line(folder, name, change, says):
    edit_json(folder / name, **change)
    assert says in refusal(folder)


def test_a_tokenizer_of_another_model_is_refused_at_once(folder, pipelines):
    """It has more tokens than there are embeddings: the first text with one of them would fail."""
    shutil.rmtree(folder / "tokenizer")
    shutil.copytree(pipelines["albert"] / "tokenizer", folder / "tokenizer")
    index = json.loads((pipelines["albert"] / "model_index.json").read_text())
    edit_json(folder / "model_index.json", tokenizer=index["tokenizer"])
    assert "its tokenizer knows 57 tokens, its text encoder 55" in refusal(folder)


def test_without_a_limit_of_tokens_the_text_encoders_counts(folder):
    path = folder / "tokenizer" / "tokenizer_config.json"
    found = json.loads(path.read_text())
    found.pop("model_max_length")
    path.write_text(json.dumps(found))
    process = load(folder, steps=2)
    assert process.embed(["a dog"]).tensors["encoder_hidden_states"].shape == (1, 16, 32)
    edit_json(path, model_max_length=512)  # more than there are positions
    assert load(folder, steps=2).pipeline.tokenizer.model_max_length == 16


def test_a_text_encoder_in_the_layout_of_stable_diffusion_reads_the_same(folder, pipelines):
    """Its tensors are called text_model.…; transformers 5 saves them without."""
    edit_weights(
        folder,
        "text_encoder",
        lambda w: {f"text_model.{k.removeprefix('text_model.')}": v for k, v in w.items()},
    )
    assert any(k.startswith("text_model.") for k in load_file(weights_of(folder, "text_encoder")))
    states = [
        load(place, steps=2, device="cpu").embed(["a dog"]).tensors["encoder_hidden_states"]
        for place in (folder, pipelines["epsilon"])
    ]
    assert torch.equal(*states)

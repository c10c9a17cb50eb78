"""Weights that are changed by hand after loading show in the revision, at the next run."""

import pytest
import torch
from folder_tools import edit_weights
from lora_tools import KEYS, matrices, save_lora

import conjure
from conjure.processes import load
from conjure.processes.watch import WeightWatch

SETTINGS = {"steps": 2, "sampler": "ddim"}


def measured(process):
    return conjure.distance("a dog", "a violin", process=process)


@pytest.fixture
def process(pipelines):
    return load(pipelines["epsilon"], **SETTINGS)


@pytest.mark.filterwarnings("ignore::UserWarning")  # peft's
def test_a_lora_that_is_added_by_hand(process, pipelines, tmp_path):
    before = process.revision
    file = save_lora(tmp_path / "style.safetensors", matrices(pipelines["epsilon"]))
    process.pipeline.load_lora_weights(str(tmp_path), weight_name=file.name, adapter_name="style")
    full = measured(process)
    expected = measured(load(pipelines["epsilon"], lora=file, **SETTINGS))
    assert full.value == pytest.approx(expected.value, rel=1e-4)
    assert full.signature.key["revision"].startswith(f"{before}+edited-")
    process.pipeline.set_adapters(["style"], [0.5])
    half = measured(process)
    assert len({full.signature.key["revision"], half.signature.key["revision"], before}) == 3
    process.pipeline.set_adapters(["style"], [1.0])
    assert measured(process).signature == full.signature
    process.pipeline.fuse_lora()
    process.pipeline.unload_lora_weights()
    fused = measured(process)
    assert "+edited-" in fused.signature.key["revision"]
    assert fused.value == pytest.approx(full.value, rel=1e-4)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_lora_that_is_taken_away_again(process, pipelines, tmp_path):
    before = measured(process)
    file = save_lora(tmp_path / "style.safetensors", matrices(pipelines["epsilon"]))
    process.pipeline.load_lora_weights(str(tmp_path), weight_name=file.name)
    assert measured(process).value != pytest.approx(before.value, rel=0.01)
    process.pipeline.unload_lora_weights()
    after = measured(process)
    assert (after.value, after.signature) == (before.value, before.signature)


def test_an_edited_matrix_and_the_empty_prompt(process, folder):
    """The unconditional row is kept, and must not be that of the text encoder before."""
    measured(process)
    name = f"{KEYS['text_encoder']}.weight"
    process.pipeline.text_encoder.get_parameter(name).data.mul_(3)

    def edit(tensors):
        [key] = [key for key in tensors if key.endswith(name)]
        return {**tensors, key: tensors[key] * 3}

    edit_weights(folder, "text_encoder", edit)
    edited = measured(process)
    assert edited.value == pytest.approx(measured(load(folder, **SETTINGS)).value, rel=1e-5)
    assert "+edited-" in edited.signature.key["revision"]


def test_equal_edits_have_equal_revisions(pipelines, process):
    other = load(pipelines["epsilon"], **SETTINGS)
    for edited in (process, other):
        with torch.no_grad():
            edited.pipeline.unet.conv_in.weight[0, 0, 0, 0] += 1
    assert measured(process).signature == measured(other).signature
    further = other.with_settings(steps=3)
    assert measured(further).signature.key["revision"] == process.revision


def test_a_network_that_is_cast_or_replaced(process, pipelines):
    before = process.revision
    process.pipeline.unet.to(torch.float64)
    process.refresh()
    assert process.revision != before
    process.pipeline.unet.to(torch.float32)
    process.refresh()
    assert process.revision == before
    process.pipeline.unet.conv_in = torch.nn.Conv2d(4, 16, 3, padding=1)
    process.refresh()
    assert process.revision != before


def test_every_kind_of_tensor_is_read():
    """Each dtype and layout: a sample sees a change of all, the digest one of any entry."""
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.bool):
        network = torch.nn.Module()
        network.register_buffer("a", torch.zeros(300, 7, 3, 3).to(dtype))
        network.a = network.a.to(memory_format=torch.channels_last)
        network.register_buffer("wide", torch.zeros(1).expand(50))
        network.register_buffer("none", torch.zeros(0))
        watch = WeightWatch({"net": network})
        assert watch.edit() == ""
        digests = {watch._digest()}
        for place in [(0, 0, 0, 0), (299, 6, 2, 2), (150, 3, 1, 0)]:
            network.a[place] = 1
            assert watch.edit().startswith("+edited-")
            digests.add(watch._digest())
        assert len(digests) == 4
        same = torch.nn.Module()
        same.register_buffer("a", network.a.contiguous())
        same.register_buffer("wide", torch.zeros(50))
        same.register_buffer("none", torch.zeros(0))
        assert WeightWatch({"net": same})._digest() == watch._digest()


def test_what_is_not_changed_stays(process):
    before = process.revision
    first = measured(process)
    assert measured(process).signature == first.signature
    process.pipeline.unet.requires_grad_(False)
    process.refresh()
    assert process.revision == before

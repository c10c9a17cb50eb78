"""LoRA in other families than Stable Diffusion: one layer against the sum by hand."""

from collections.abc import Callable

import pytest
import torch
from folder_tools import refusal, weights_of
from safetensors.torch import load_file, save_file
from small.flux import save_flux
from small.sd3 import save_sd3
from small.sdxl import save_sdxl

import conjure
from conjure.processes import load

CASES: dict[str, tuple[Callable, str, str]] = {  # family → builder, part, end of a layer's name
    "sdxl": (save_sdxl, "unet", "attn2.to_k"),
    "sd3": (save_sd3, "transformer", "attn.to_q"),
    "flux": (save_flux, "transformer", "attn.to_q"),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    build, part, end = CASES[request.param]
    folder = tmp_path_factory.mktemp("families") / request.param
    build(folder)
    held = load_file(weights_of(folder, part))
    name = min(name for name in held if name.endswith(f"{end}.weight"))
    return folder, part, name.removesuffix(".weight"), held[name]


def save(path, part, layer, weight, rank=2):
    draw = torch.Generator().manual_seed(0)
    out, inside = weight.shape
    a = torch.randn(rank, inside, generator=draw) * 0.2
    b = torch.randn(out, rank, generator=draw) * 0.2
    save_file({f"{part}.{layer}.lora_A.weight": a, f"{part}.{layer}.lora_B.weight": b}, path)
    return b @ a


def test_it_is_the_sum_by_hand(case, tmp_path):
    folder, part, layer, weight = case
    file = tmp_path / "style.safetensors"
    delta = save(file, part, layer, weight)
    process = load(folder, steps=2, lora=f"{file}:0.5")
    found = getattr(process.pipeline, part).get_submodule(layer).weight
    torch.testing.assert_close(found, weight + 0.5 * delta)
    assert "+0.5*lora-" in process.revision
    plain = load(folder, steps=2)
    values = [conjure.distance("a dog", "a violin", process=p).value for p in (plain, process)]
    assert values[0] != pytest.approx(values[1], rel=1e-4)


def test_a_layer_that_it_does_not_have(case, tmp_path):
    folder, part, layer, weight = case
    file = tmp_path / "style.safetensors"
    save(file, part, layer, weight)
    held = load_file(file)
    save_file(held | {k.replace(".0.", ".77.", 1): v + 1 for k, v in held.items()}, file)
    assert "2 tensors of 4 have no place there" in refusal(folder, lora=file)

"""LoRA files for the small pipelines: random matrices, in the spellings that people find."""

from __future__ import annotations

from pathlib import Path

import torch
from folder_tools import edit_weights, weights_of
from safetensors.torch import load_file, save_file

RANK = 2
KEYS = {  # part, layer → how diffusers and kohya write it
    "unet": "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",
    "text_encoder": "encoder.layers.1.self_attn.out_proj",
}


def matrices(pipeline: Path, seed: int = 0) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """part → (A (rank, in), B (out, rank)) for one layer of each part, drawn anew for each seed."""
    draw = torch.Generator().manual_seed(seed)
    found = {}
    for part, layer in KEYS.items():
        held = load_file(weights_of(pipeline, part))
        [name] = [name for name in held if name.endswith(f"{layer}.weight")]
        out, inside = held[name].shape
        a, b = (torch.randn(shape, generator=draw) for shape in [(RANK, inside), (out, RANK)])
        found[part] = (a * 0.2, b * 0.2)
    return found


def save_lora(
    path: Path, given: dict[str, tuple[torch.Tensor, torch.Tensor]], style: str = "diffusers"
) -> Path:
    """style: "diffusers", "peft" or "kohya", whose α is written, as half the rank."""
    tensors = {}
    for part, (a, b) in given.items():
        if style == "kohya":
            prefix = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}[part]
            name = prefix + KEYS[part].replace(".", "_")
            tensors[f"{name}.alpha"] = torch.tensor(RANK / 2)
            down, up = f"{name}.lora_down.weight", f"{name}.lora_up.weight"
        else:
            name = f"{part}.{KEYS[part]}"
            own = "lora" if part == "unet" else "lora_linear_layer"  # diffusers has two habits
            ends = (f"{own}.down", f"{own}.up") if style == "diffusers" else ("lora_A", "lora_B")
            down, up = (f"{name}.{end}.weight" for end in ends)
        tensors |= {down: a.contiguous(), up: b.contiguous()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def add_by_hand(pipeline: Path, given: dict, scale: float) -> None:
    """The weights of a folder become W + scale · BA: what adding a LoRA means (Hu et al. 2021)."""
    for part, (a, b) in given.items():

        def edit(tensors, part=part, a=a, b=b):
            [name] = [name for name in tensors if name.endswith(f"{KEYS[part]}.weight")]
            return {**tensors, name: tensors[name] + scale * b @ a}

        edit_weights(pipeline, part, edit)

"""A small Stable Diffusion pipeline as one file in the original (CompVis) layout of names.

The names are those of CompVis' ``ldm`` code, in the direction opposite to diffusers' conversion.
"""

from __future__ import annotations

from pathlib import Path

import torch
from folder_tools import weights_of
from safetensors.torch import load_file, save_file

LAYERS = 1  # layers_per_block of the small UNet
_UNET = {
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "conv_in.": "input_blocks.0.0.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
}
_RESNET = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "time_emb_proj.": "emb_layers.1.",
    "conv_shortcut.": "skip_connection.",
}
_VAE_ATTENTION = {
    "group_norm.": "norm.",
    "to_q.": "q.",
    "to_k.": "k.",
    "to_v.": "v.",
    "to_out.0.": "proj_out.",
}


def _swap(name: str, table: dict[str, str]) -> str:
    for new, old in table.items():
        if name.startswith(new):
            return old + name.removeprefix(new)
    return name


def unet_name(name: str) -> str:
    """One tensor's name in diffusers' UNet → in the original one."""
    kind, *rest = name.split(".")
    if kind == "mid_block":
        place = 2 * int(rest[1]) + (rest[0] == "attentions")
        inner = ".".join(rest[2:])
        return f"middle_block.{place}." + (
            inner if rest[0] == "attentions" else _swap(inner, _RESNET)
        )
    if kind not in ("down_blocks", "up_blocks"):
        return _swap(name, _UNET)
    block, part, layer, inner = int(rest[0]), rest[1], int(rest[2]), ".".join(rest[3:])
    if kind == "down_blocks":
        first = 1 + block * (LAYERS + 1)
        if part == "downsamplers":
            return f"input_blocks.{first + LAYERS}.0.op.{inner.removeprefix('conv.')}"
        place = f"input_blocks.{first + layer}"
    else:
        place = f"output_blocks.{block * (LAYERS + 1) + layer}"
        if part == "upsamplers":  # after attention, at the end of the block
            return f"output_blocks.{block * (LAYERS + 1) + LAYERS}.2.{inner}"
    return f"{place}.1.{inner}" if part == "attentions" else f"{place}.0.{_swap(inner, _RESNET)}"


def vae_name(name: str, blocks: int = 2) -> str:
    """One tensor's name in diffusers' VAE → in the original one."""
    side, kind, *rest = name.split(".")
    if kind == "conv_norm_out":
        return ".".join([side, "norm_out", *rest])
    if kind == "mid_block":
        inner = ".".join(rest[2:])
        if rest[0] == "attentions":
            return f"{side}.mid.attn_1.{_swap(inner, _VAE_ATTENTION)}"
        return f"{side}.mid.block_{int(rest[1]) + 1}.{inner}"
    if kind not in ("down_blocks", "up_blocks"):
        return name
    way = "down" if kind == "down_blocks" else "up"
    block = int(rest[0]) if way == "down" else blocks - 1 - int(rest[0])
    inner = ".".join(rest[3:]).replace("conv_shortcut", "nin_shortcut")
    if rest[1] == "resnets":
        return f"{side}.{way}.{block}.block.{rest[2]}.{inner}"
    return f"{side}.{way}.{block}.{way}sample.{inner}"


def save_original(pipeline: Path, file: Path, parts=("unet", "vae", "text_encoder")) -> Path:
    """The networks of a folder, in one file."""
    tensors: dict[str, torch.Tensor] = {}
    for part in parts:
        held = load_file(weights_of(pipeline, part))
        if part == "unet":
            tensors |= {f"model.diffusion_model.{unet_name(n)}": t for n, t in held.items()}
        elif part == "vae":
            tensors |= {f"first_stage_model.{vae_name(n)}": t for n, t in held.items()}
        else:
            names = {n: n if n.startswith("text_model.") else f"text_model.{n}" for n in held}
            tensors |= {f"cond_stage_model.transformer.{names[n]}": t for n, t in held.items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file

"""Networks with random weights to time: they take as long as trained ones."""

from __future__ import annotations

from typing import Any

import torch

from conjure.core.errors import InputError
from conjure.processes.quiet import quiet

with quiet():
    from diffusers import UNet2DConditionModel

CONDITION_TOKENS = 77  # of CLIP, and so of SD 1.4

# sd14: the configuration of CompVis/stable-diffusion-v1-4, 859.5 M parameters, 0.803 TFLOP a row.
# wide: a U-Net of two levels over 8×8 latents, of nearly 2 GFLOP a row.
# tiny: for tests, and for timing everything but the network.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "sd14": {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "wide": {
        "sample_size": 8,
        "in_channels": 8,
        "out_channels": 8,
        "block_out_channels": (192, 384),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D",) * 2,
        "up_block_types": ("CrossAttnUpBlock2D",) * 2,
        "cross_attention_dim": 384,
        "attention_head_dim": 4,
        "norm_num_groups": 16,
    },
    "tiny": {
        "sample_size": 8,
        "in_channels": 8,
        "out_channels": 8,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 384,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    },
}


def random_network(architecture: str, device: torch.device, dtype: torch.dtype) -> Any:
    """A seeded UNet of that architecture that depends on its text and predicts at unit scale.

    Raises InputError for an unknown one.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise InputError(f"unknown architecture {architecture!r}; choose one of {known}")
    torch.manual_seed(0)
    with torch.device(device):
        unet = UNet2DConditionModel(**ARCHITECTURES[architecture]).eval().requires_grad_(False)
    for name, module in unet.named_modules():
        if name.endswith("attn2.to_out.0"):
            module.weight *= 20  # or two prompts would hardly differ
    unet.conv_out.weight /= unet(**random_rows(unet, 2), return_dict=False)[0].std()
    if device.type == "cuda":
        unet.to(memory_format=torch.channels_last)
    with quiet():  # it advises against casting, for networks that keep parts in float32
        return unet.to(dtype)


def random_rows(unet: Any, count: int, tokens: int = CONDITION_TOKENS) -> dict[str, torch.Tensor]:
    """Arguments of a call for ``count`` rows: noise, distinct timesteps, text states."""
    config, like = unet.config, {"device": unet.device, "dtype": unet.dtype}
    width = config.encoder_hid_dim or config.cross_attention_dim  # a projection may come first
    return {
        "sample": torch.randn(count, config.in_channels, *[config.sample_size] * 2, **like),
        "timestep": torch.arange(count, device=unet.device) * 37 % 1000,
        "encoder_hidden_states": torch.randn(count, tokens, width, **like),
    }


def flop_a_row(unet: Any, tokens: int = CONDITION_TOKENS) -> int:
    """Floating-point operations of one row (a multiplication and an addition are two)."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        unet(**random_rows(unet, 1, tokens))
    return int(counter.get_total_flops())

"""How many parameters the networks of each family have, and what their weights take in memory.

    python -m benchmarks.parameters

The networks are built from the configurations that the models are published with, on torch's
``meta`` device: nothing is fetched, and no memory is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import torch
import transformers

_KL = {  # the VAE of Stable Diffusion, its XL, PixArt
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}
_XL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


def _vae() -> Any:
    return diffusers.AutoencoderKL(**_KL)


def _unet(**changes: Any) -> Any:
    return diffusers.UNet2DConditionModel(
        **{"cross_attention_dim": 768, "attention_head_dim": 8} | changes
    )


def _clip(hidden: int, layers: int, heads: int) -> transformers.CLIPTextConfig:
    return transformers.CLIPTextConfig(
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=hidden,
    )


def _clip_l() -> Any:
    return transformers.CLIPTextModel(_clip(768, 12, 12))


def _clip_h() -> Any:
    return transformers.CLIPTextModel(_clip(1024, 23, 16))


def _clip_g() -> Any:
    return transformers.CLIPTextModelWithProjection(_clip(1280, 32, 20))


def _t5_xxl() -> Any:
    config = transformers.T5Config(
        d_model=4096,
        d_kv=64,
        d_ff=10240,
        num_layers=24,
        num_heads=64,
        feed_forward_proj="gated-gelu",
    )
    return transformers.T5EncoderModel(config)


def _pixart() -> Any:
    return diffusers.PixArtTransformer2DModel(sample_size=128, caption_channels=4096)


FAMILIES: dict[str, tuple[Callable[[], Any], ...]] = {  # the denoiser first
    "Stable Diffusion 1.x": (_unet, _clip_l, _vae),
    "Stable Diffusion 2.x": (
        lambda: _unet(
            cross_attention_dim=1024,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
        ),
        _clip_h,
        _vae,
    ),
    "Stable Diffusion XL": (lambda: _unet(**_XL), _clip_l, _clip_g, _vae),
    "LCM (of 1.x)": (lambda: _unet(time_cond_proj_dim=256), _clip_l, _vae),
    "PixArt-α and -Σ": (_pixart, _t5_xxl, _vae),
}


def parameters(build: Callable[[], Any]) -> int:
    """The parameters of a network, which is built without memory."""
    with torch.device("meta"):
        network = build()
    return sum(weight.numel() for weight in network.parameters())


def main() -> None:
    """Print one row a family: millions of parameters, and GB of weights in half precision."""
    print("| family | denoiser | all parts | float16 or bfloat16 | float32 |")
    print("| --- | --- | --- | --- | --- |")
    for name, builders in FAMILIES.items():
        counts = [parameters(build) for build in builders]
        total = sum(counts)
        print(
            f"| {name} | {counts[0] / 1e6:,.0f} M | {total / 1e6:,.0f} M"
            f" | {2 * total / 1e9:.1f} GB | {4 * total / 1e9:.1f} GB |"
        )


if __name__ == "__main__":
    main()

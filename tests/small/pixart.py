"""Small PixArt-α and PixArt-Σ pipelines: sizes of diffusers' own tests of them."""

from __future__ import annotations

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
)
from small.building import seeded, strengthen, t5_text, unit_scale


def save_pixart(folder, prediction="epsilon", kind=PixArtSigmaPipeline, side=8):
    """side: ``sample_size``; at 128 PixArt-α is told resolution and aspect"""
    with seeded():
        tokenizer, encoder = t5_text(32)
        told = kind is PixArtAlphaPipeline and side == 128
        transformer = PixArtTransformer2DModel(
            sample_size=side,
            num_layers=2,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=3,
            caption_channels=32,
            in_channels=4,
            cross_attention_dim=24,
            out_channels=8,
            use_additional_conditions=told,
        ).eval()
        strengthen(transformer, ("attn2.to_out.0", "caption_projection.linear_1"), 10)
        sizes = {"resolution": None, "aspect_ratio": None}
        if told:
            strengthen(transformer, ("resolution_embedder.linear_2",), 20)
            sizes = {"resolution": torch.full((4, 2), 16.0), "aspect_ratio": torch.ones(4, 1)}
        out = transformer(
            torch.randn(4, 4, 8, 8),
            encoder_hidden_states=torch.randn(4, 9, 32),
            timestep=torch.linspace(1, 999, 4),
            added_cond_kwargs=sizes,
        ).sample
        unit_scale(transformer.proj_out, out)
        pipeline = kind(
            transformer=transformer,
            vae=AutoencoderKL(
                block_out_channels=(8, 8),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=4,
            ).eval(),
            text_encoder=encoder,
            tokenizer=tokenizer,
            scheduler=DPMSolverMultistepScheduler(prediction_type=prediction),
        )
    pipeline.save_pretrained(folder)
    return folder


def save_alpha(folder, prediction="epsilon"):
    return save_pixart(folder, prediction, PixArtAlphaPipeline)


def call_pixart(pipeline, prompt, noise, generator, steps, guidance):
    height, width = (side * pipeline.vae_scale_factor for side in noise.shape[2:])
    return pipeline(
        prompt or "",
        latents=noise,
        generator=generator,
        num_inference_steps=steps,
        guidance_scale=guidance,
        height=height,
        width=width,
        clean_caption=False,
        use_resolution_binning=False,
        output_type="latent",
    ).images


def predict_pixart(pipeline, x, timesteps, prompt):
    """A row at a time, without the learned variance."""
    states, mask, _, _ = pipeline.encode_prompt(
        prompt or "", do_classifier_free_guidance=False, clean_caption=False
    )
    rows = [
        pipeline.transformer(
            row[None],
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            timestep=t[None],
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample.chunk(2, dim=1)[0]
        for row, t in zip(x, timesteps, strict=True)
    ]
    return torch.cat(rows)

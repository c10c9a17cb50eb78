"""A small Stable Diffusion 3 pipeline: sizes of diffusers' own test of it."""

from __future__ import annotations

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from small.building import clip_config, seeded, small_vae, strengthen, t5_text, unit_scale
from small_pipelines import clip_text
from transformers import CLIPTextModelWithProjection


def save_sd3(folder, t5=True):
    with seeded():
        tokenizer, _ = clip_text()
        tokenizer_3, text_encoder_3 = t5_text()
        encoders = [CLIPTextModelWithProjection(clip_config(len(tokenizer))).eval() for _ in "ab"]
        transformer = SD3Transformer2DModel(
            sample_size=8,
            patch_size=1,
            in_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=64,
            caption_projection_dim=32,
            pooled_projection_dim=64,
            out_channels=4,
            pos_embed_max_size=16,
        ).eval()
        strengthen(transformer, ("context_embedder", "text_embedder.linear_1"), 10)
        out = transformer(
            hidden_states=torch.randn(4, 4, 8, 8),
            timestep=torch.linspace(1, 999, 4),
            encoder_hidden_states=torch.randn(4, 9, 64),
            pooled_projections=torch.randn(4, 64),
        ).sample
        unit_scale(transformer.proj_out, out)
        pipeline = StableDiffusion3Pipeline(
            transformer=transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=small_vae(4),
            text_encoder=encoders[0],
            tokenizer=tokenizer,
            text_encoder_2=encoders[1],
            tokenizer_2=tokenizer,
            text_encoder_3=text_encoder_3 if t5 else None,
            tokenizer_3=tokenizer_3 if t5 else None,
        )
    pipeline.save_pretrained(folder)
    return folder


def call_sd3(pipeline, prompt, noise, generator, steps, guidance):
    return pipeline(
        prompt,
        latents=noise,
        generator=generator,
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="latent",
    ).images


def predict_sd3(pipeline, x, timesteps, prompt, guidance):
    """The network's own prediction, a row at a time."""
    states, _, pooled, _ = pipeline.encode_prompt(
        prompt or "", None, None, do_classifier_free_guidance=False
    )
    rows = [
        pipeline.transformer(row[None], states, pooled, t[None], return_dict=False)[0]
        for row, t in zip(x, timesteps, strict=True)
    ]
    return torch.cat(rows)

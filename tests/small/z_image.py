"""A small Z-Image pipeline: sizes of diffusers' own test of it."""

from __future__ import annotations

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from small.building import qwen_tokenizer, seeded, small_vae, strengthen, unit_scale
from transformers import Qwen3Config, Qwen3Model


def save_z_image(folder):
    with seeded():
        tokenizer = qwen_tokenizer()
        config = Qwen3Config(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            vocab_size=len(tokenizer),
            max_position_embeddings=512,
        )
        transformer = ZImageTransformer2DModel(
            in_channels=4,
            dim=32,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=16,
            axes_dims=[8, 4, 4],
            axes_lens=[640, 32, 32],
        ).eval()
        strengthen(transformer, ("cap_embedder.1",), 10)
        out = transformer(
            list(torch.randn(4, 4, 1, 8, 8)),
            torch.linspace(0, 0.99, 4),
            list(torch.randn(4, 9, 16)),
        ).sample
        final = transformer.all_final_layer["2-1"].linear
        unit_scale(final, torch.stack(out))
        pipeline = ZImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=small_vae(4),
            text_encoder=Qwen3Model(config).eval(),
            tokenizer=tokenizer,
            transformer=transformer,
        )
    pipeline.save_pretrained(folder)
    return folder


def call_z_image(pipeline, prompt, noise, generator, steps, guidance):
    factor = pipeline.vae_scale_factor
    return pipeline(
        prompt,
        height=noise.shape[2] * factor,
        width=noise.shape[3] * factor,
        latents=noise,
        generator=generator,
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="latent",
    ).images


def predict_z_image(pipeline, x, timesteps, prompt, guidance):
    """v, a row at a time: the network predicts −v."""
    states, _ = pipeline.encode_prompt(prompt or "", do_classifier_free_guidance=False)
    rows = [
        pipeline.transformer([row[:, None]], (1000 - t[None]) / 1000, states).sample[0][:, 0]
        for row, t in zip(x, timesteps, strict=True)
    ]
    return -torch.stack(rows)

"""Small Flux.1 pipelines: sizes of diffusers' own test of it."""

from __future__ import annotations

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from small.building import clip_config, seeded, small_vae, strengthen, t5_text, unit_scale
from small_pipelines import clip_text
from transformers import CLIPTextModel


def save_flux(folder, dev=True):
    with seeded():
        tokenizer, _ = clip_text()
        tokenizer_2, text_encoder_2 = t5_text()
        transformer = FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=64,
            pooled_projection_dim=32,
            axes_dims_rope=[4, 4, 8],
            guidance_embeds=dev,
        ).eval()
        strengthen(transformer, ("context_embedder", "text_embedder.linear_1"), 10)
        out = transformer(
            hidden_states=torch.randn(4, 16, 16),
            timestep=torch.linspace(0.01, 1, 4),
            guidance=torch.full((4,), 3.5) if dev else None,
            encoder_hidden_states=torch.randn(4, 9, 64),
            pooled_projections=torch.randn(4, 32),
            txt_ids=torch.zeros(9, 3),
            img_ids=FluxPipeline._prepare_latent_image_ids(4, 4, 4, "cpu", torch.float32),
        ).sample
        unit_scale(transformer.proj_out, out)
        scheduler = FlowMatchEulerDiscreteScheduler(
            shift=3.0 if dev else 1.0, use_dynamic_shifting=dev
        )
        pipeline = FluxPipeline(
            transformer=transformer,
            scheduler=scheduler,
            vae=small_vae(4),
            text_encoder=CLIPTextModel(clip_config(len(tokenizer))).eval(),
            tokenizer=tokenizer,
            text_encoder_2=text_encoder_2,
            tokenizer_2=tokenizer_2,
        )
    pipeline.save_pretrained(folder)
    return folder


def call_flux(pipeline, prompt, noise, generator, steps, guidance, **true):
    rows, channels, height, width = noise.shape
    factor = pipeline.vae_scale_factor
    out = pipeline(
        prompt,
        height=height * factor,
        width=width * factor,
        latents=pipeline._pack_latents(noise, rows, channels, height, width),
        generator=generator,
        num_inference_steps=steps,
        guidance_scale=guidance,
        max_sequence_length=512 if pipeline.transformer.config.guidance_embeds else 256,
        output_type="latent",
        **true,
    ).images
    return pipeline._unpack_latents(out, height * factor, width * factor, factor)


def predict_flux(pipeline, x, timesteps, prompt, guidance):
    """The network's own prediction, a row at a time."""
    dev = pipeline.transformer.config.guidance_embeds
    states, pooled, ids = pipeline.encode_prompt(
        prompt or "", max_sequence_length=512 if dev else 256
    )
    found = []
    for row, t in zip(x, timesteps, strict=True):
        channels, height, width = row.shape
        factor = pipeline.vae_scale_factor
        out = pipeline.transformer(
            hidden_states=pipeline._pack_latents(row[None], 1, channels, height, width),
            timestep=t[None] / 1000,
            guidance=torch.tensor([guidance]) if dev else None,
            encoder_hidden_states=states,
            pooled_projections=pooled,
            txt_ids=ids,
            img_ids=pipeline._prepare_latent_image_ids(
                1, height // 2, width // 2, "cpu", torch.float32
            ),
        ).sample
        found.append(pipeline._unpack_latents(out, height * factor, width * factor, factor))
    return torch.cat(found)

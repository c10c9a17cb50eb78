"""A small latent consistency model: Stable Diffusion's parts, and a UNet that is told w − 1."""

from __future__ import annotations

import torch
from diffusers import (
    AutoencoderKL,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    UNet2DConditionModel,
)
from small.building import seeded, strengthen, unit_scale
from small_pipelines import SD_SCHEDULER, clip_text


def save_lcm(folder, prediction="epsilon", width=8):
    """width: ``time_cond_proj_dim``, or None for a network that is not told its guidance"""
    with seeded():
        tokenizer, encoder = clip_text()
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=4,
            norm_num_groups=8,
            time_cond_proj_dim=width,
        ).eval()
        strengthen(unet, ("attn2.to_out.0", "cond_proj"), 20)
        out = unet(
            torch.randn(4, 4, 8, 8),
            torch.linspace(1, 999, 4),
            encoder_hidden_states=torch.randn(4, 16, 32),
        ).sample
        unit_scale(unet.conv_out, out)
        names = ("beta_start", "beta_end", "beta_schedule", "steps_offset", "clip_sample")
        pipeline = LatentConsistencyModelPipeline(
            vae=AutoencoderKL(
                block_out_channels=(8, 8),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=4,
            ).eval(),
            text_encoder=encoder.eval(),
            tokenizer=tokenizer,
            unet=unet,
            scheduler=LCMScheduler(
                prediction_type=prediction, **{name: SD_SCHEDULER[name] for name in names}
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder)
    return folder


def call_lcm(pipeline, prompt, noise, generator, steps, guidance):
    return pipeline(
        prompt,
        latents=noise,
        generator=generator,
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="latent",
    ).images


def predict_lcm(pipeline, x, timesteps, prompt):
    """The guided prediction at the guidance that the pipeline was last told."""
    states, _ = pipeline.encode_prompt(prompt, pipeline.device, 1, False)
    width = pipeline.unet.config.time_cond_proj_dim
    w = torch.tensor([pipeline.guidance_scale - 1.0])
    told = pipeline.get_guidance_scale_embedding(w, embedding_dim=width)
    return pipeline.unet(
        x,
        timesteps,
        timestep_cond=told.expand(len(x), -1),
        encoder_hidden_states=states.expand(len(x), -1, -1),
    ).sample

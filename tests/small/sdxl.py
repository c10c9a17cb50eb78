"""A small SDXL pipeline: sizes of diffusers' own test of it, where they matter."""

from __future__ import annotations

import json

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from small.building import clip_config, seeded, strengthen, unit_scale
from small_pipelines import SD_SCHEDULER, clip_text
from transformers import CLIPTextModel, CLIPTextModelWithProjection


def xl_unet(**changes) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
        norm_num_groups=8,
        **changes,
    ).eval()


def save_sdxl(folder, prediction="epsilon", zeros=True):
    """zeros: ``force_zeros_for_empty_prompt``"""
    with seeded():
        tokenizer, _ = clip_text()
        unet = xl_unet()
        strengthen(unet, ("attn2.to_out.0", "add_embedding.linear_2"), 20)
        told = {"text_embeds": torch.randn(4, 32), "time_ids": torch.full((4, 6), 16.0)}
        out = unet(
            torch.randn(4, 4, 8, 8),
            torch.linspace(1, 999, 4),
            encoder_hidden_states=torch.randn(4, 16, 64),
            added_cond_kwargs=told,
        ).sample
        unit_scale(unet.conv_out, out)
        pipeline = StableDiffusionXLPipeline(
            vae=AutoencoderKL(
                block_out_channels=(8, 8),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=4,
            ).eval(),
            text_encoder=CLIPTextModel(clip_config(len(tokenizer))).eval(),
            tokenizer=tokenizer,
            text_encoder_2=CLIPTextModelWithProjection(clip_config(len(tokenizer))).eval(),
            tokenizer_2=tokenizer,
            unet=unet,
            scheduler=EulerDiscreteScheduler(steps_offset=1),  # its file is replaced below
            force_zeros_for_empty_prompt=zeros,
            add_watermarker=False,
        )
    pipeline.save_pretrained(folder)
    scheduler = {
        **SD_SCHEDULER,
        "_class_name": "EulerDiscreteScheduler",
        "timestep_spacing": "leading",
        "prediction_type": prediction,
    }
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


def call_sdxl(pipeline, prompt, noise, generator, steps, guidance, **settings):
    """prompt: None for what guidance subtracts by default, zeros."""
    told = {"prompt": prompt}
    if prompt is None:
        states, _, pooled, _ = pipeline.encode_prompt("", do_classifier_free_guidance=False)
        told = {
            "prompt_embeds": torch.zeros_like(states),
            "pooled_prompt_embeds": torch.zeros_like(pooled),
        }
    return pipeline(
        **told,
        latents=noise,
        generator=generator,
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="latent",
        **settings,
    ).images


def predict_sdxl(pipeline, x, timesteps, prompt):
    states, _, pooled, _ = pipeline.encode_prompt(prompt or "", do_classifier_free_guidance=False)
    if prompt is None:
        states, pooled = torch.zeros_like(states), torch.zeros_like(pooled)
    side = float(x.shape[-1] * pipeline.vae_scale_factor)
    told = {
        "text_embeds": pooled.expand(len(x), -1),
        "time_ids": torch.tensor([[side, side, 0.0, 0.0, side, side]]).expand(len(x), -1),
    }
    states = states.expand(len(x), -1, -1)
    return pipeline.unet(x, timesteps, encoder_hidden_states=states, added_cond_kwargs=told).sample

"""A small Qwen-Image pipeline: sizes of diffusers' own test of it."""

from __future__ import annotations

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from small.building import qwen_tokenizer, seeded, strengthen, unit_scale
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration


def save_qwen_image(folder):
    with seeded():
        tokenizer = qwen_tokenizer()
        small = {"hidden_size": 16, "intermediate_size": 16}
        config = Qwen2_5_VLConfig(
            text_config={
                **small,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "vocab_size": len(tokenizer),
                "initializer_range": 0.5,
                "rope_scaling": {
                    "mrope_section": [1, 1, 2],
                    "rope_type": "default",
                    "type": "default",
                },
                "rope_theta": 1000000.0,
            },
            vision_config={**small, "depth": 2, "num_heads": 2, "out_hidden_size": 16},
        )
        transformer = QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=4,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(8, 4, 4),
        ).eval()
        strengthen(transformer, ("attn.add_v_proj",), 10)
        out = transformer(
            hidden_states=torch.randn(4, 16, 16),
            timestep=torch.linspace(0.01, 1, 4),
            encoder_hidden_states=torch.randn(4, 9, 16),
            img_shapes=[[(1, 4, 4)]] * 4,
        ).sample
        unit_scale(transformer.proj_out, out)
        vae = AutoencoderKLQwenImage(
            base_dim=24,
            z_dim=4,
            dim_mult=[1, 2],
            num_res_blocks=1,
            temperal_downsample=[False],
            latents_mean=[0.1, -0.2, 0.3, 0.0],
            latents_std=[1.0, 2.0, 0.5, 1.5],
        ).eval()
        pipeline = QwenImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(
                use_dynamic_shifting=True, shift_terminal=0.02
            ),
            vae=vae,
            text_encoder=Qwen2_5_VLForConditionalGeneration(config).eval(),
            tokenizer=tokenizer,
            transformer=transformer,
        )
    pipeline.save_pretrained(folder)
    return folder


def call_qwen_image(pipeline, prompt, noise, generator, steps, guidance):
    rows, channels, height, width = noise.shape
    factor = pipeline.vae_scale_factor
    out = pipeline(
        prompt,
        negative_prompt=" ",
        height=height * factor,
        width=width * factor,
        latents=pipeline._pack_latents(noise, rows, channels, height, width),
        generator=generator,
        num_inference_steps=steps,
        true_cfg_scale=guidance,
        output_type="latent",
    ).images
    return pipeline._unpack_latents(out, height * factor, width * factor, factor)[:, :, 0]


def predict_qwen_image(pipeline, x, timesteps, prompt, guidance):
    """The guided prediction, a row at a time, its texts not padded."""
    told = unguided(pipeline, x, timesteps, prompt)
    if guidance == 1:
        return told
    null = unguided(pipeline, x, timesteps, " ")
    guided = null + guidance * (told - null)
    for row, own in zip(guided, told, strict=True):
        for i in range(0, row.shape[1], 2):
            for j in range(0, row.shape[2], 2):
                token = row[:, i : i + 2, j : j + 2]
                token *= own[:, i : i + 2, j : j + 2].norm() / token.norm()
    return guided


def unguided(pipeline, x, timesteps, prompt):
    states, mask = pipeline.encode_prompt(prompt, max_sequence_length=512)
    found = []
    for row, t in zip(x, timesteps, strict=True):
        channels, height, width = row.shape
        factor = pipeline.vae_scale_factor
        out = pipeline.transformer(
            hidden_states=pipeline._pack_latents(row[None], 1, channels, height, width),
            timestep=t[None] / 1000,
            encoder_hidden_states=states,
            encoder_hidden_states_mask=mask,
            img_shapes=[[(1, height // 2, width // 2)]],
        ).sample
        unpacked = pipeline._unpack_latents(out, height * factor, width * factor, factor)
        found.append(unpacked[:, :, 0])
    return torch.cat(found)

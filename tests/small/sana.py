"""A small Sana pipeline: sizes of diffusers' own test of it."""

from __future__ import annotations

import torch
from diffusers import (
    AutoencoderDC,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    SanaPipeline,
    SanaTransformer2DModel,
)
from small.building import LETTERS, seeded, strengthen, unit_scale
from transformers import Gemma2Config, Gemma2Model, GemmaTokenizer


def gemma_text():
    """A Gemma tokenizer that spells in small letters, and its encoder."""
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    tokenizer = GemmaTokenizer(
        vocab={word: n for n, word in enumerate(words)}, merges=[], add_bos_token=True
    )
    config = Gemma2Config(
        head_dim=16,
        hidden_size=16,
        intermediate_size=64,
        max_position_embeddings=8192,
        num_attention_heads=2,
        num_hidden_layers=1,
        num_key_value_heads=2,
        vocab_size=len(words),
        attn_implementation="eager",
    )
    return tokenizer, Gemma2Model(config).eval()


def save_sana(folder, euler=False):
    with seeded():
        tokenizer, text_encoder = gemma_text()
        transformer = SanaTransformer2DModel(
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            num_attention_heads=2,
            attention_head_dim=4,
            num_cross_attention_heads=2,
            cross_attention_head_dim=4,
            cross_attention_dim=8,
            caption_channels=16,
            sample_size=16,
            timestep_scale=0.5,
        ).eval()
        strengthen(transformer, ("attn2.to_out.0", "caption_projection.linear_1"), 10)
        out = transformer(
            torch.randn(4, 4, 16, 16),
            encoder_hidden_states=torch.randn(4, 9, 16),
            timestep=torch.linspace(1, 999, 4),
        ).sample
        unit_scale(transformer.proj_out, out)
        vae = AutoencoderDC(
            in_channels=3,
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=("ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "EfficientViTBlock"),
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            scaling_factor=0.41407,
        ).eval()
        flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
        scheduler = (
            FlowMatchEulerDiscreteScheduler(shift=3.0)
            if euler
            else DPMSolverMultistepScheduler(**flow)
        )
        pipeline = SanaPipeline(
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            vae=vae,
            transformer=transformer,
            scheduler=scheduler,
        )
    pipeline.save_pretrained(folder)
    return folder


def call_sana(pipeline, prompt, noise, generator, steps, guidance):
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
        use_resolution_binning=False,
    ).images


def predict_sana(pipeline, x, timesteps, prompt, guidance):
    """The network's own prediction, a row at a time; only a prompt follows the instruction."""
    from conjure.processes.sana import INSTRUCTION

    states, mask, null, null_mask = pipeline.encode_prompt(
        "" if prompt is None else prompt, True, complex_human_instruction=INSTRUCTION
    )
    if prompt is None:
        states, mask = null, null_mask
    scale = pipeline.transformer.config.timestep_scale
    rows = [
        pipeline.transformer(row[None], states, t[None] * scale, encoder_attention_mask=mask).sample
        for row, t in zip(x, timesteps, strict=True)
    ]
    return torch.cat(rows)

"""Small Flux.2 klein pipelines: sizes of diffusers' own test of it."""

from __future__ import annotations

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from small.building import qwen_tokenizer, seeded, strengthen, unit_scale
from transformers import Qwen3Config, Qwen3ForCausalLM


def save_klein(folder, distilled=False):
    with seeded():
        tokenizer = qwen_tokenizer()
        config = Qwen3Config(
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=28,  # layers 9, 18 and 27 are read
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=4,
            vocab_size=len(tokenizer),
            max_position_embeddings=512,
            initializer_range=0.5,
            tie_word_embeddings=True,  # as the models have it: no weights of lm_head are saved
        )
        transformer = Flux2Transformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=24,
            timestep_guidance_channels=32,
            axes_dims_rope=[4, 4, 4, 4],
            guidance_embeds=False,
        ).eval()
        strengthen(transformer, ("attn.add_v_proj",), 10)
        out = transformer(
            hidden_states=torch.randn(4, 16, 16),
            timestep=torch.linspace(0.01, 1, 4),
            guidance=None,
            encoder_hidden_states=torch.randn(4, 9, 24),
            txt_ids=Flux2KleinPipeline._prepare_text_ids(torch.zeros(1, 9, 1)),
            img_ids=Flux2KleinPipeline._prepare_latent_ids(torch.zeros(1, 1, 4, 4)),
        ).sample
        unit_scale(transformer.proj_out, out)
        vae = AutoencoderKLFlux2(
            latent_channels=4,
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            norm_num_groups=4,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ).eval()
        vae.bn.running_mean.normal_()
        vae.bn.running_var.uniform_(0.5, 2)
        pipeline = Flux2KleinPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
            vae=vae,
            text_encoder=Qwen3ForCausalLM(config).eval(),
            tokenizer=tokenizer,
            transformer=transformer,
            is_distilled=distilled,
        )
    pipeline.save_pretrained(folder)
    return folder


def call_klein(pipeline, prompt, noise, generator, steps, guidance):
    factor = 2 * pipeline.vae_scale_factor
    return pipeline(
        prompt=prompt,
        height=noise.shape[2] * factor,
        width=noise.shape[3] * factor,
        latents=noise,
        generator=generator,
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="latent",
    ).images


def predict_klein(pipeline, x, timesteps, prompt, guidance):
    """The network's own prediction, a row at a time."""
    states, ids = pipeline.encode_prompt(prompt or "")
    found = []
    for row, t in zip(x, timesteps, strict=True):
        out = pipeline.transformer(
            hidden_states=row.flatten(1).T[None],
            timestep=t[None] / 1000,
            guidance=None,
            encoder_hidden_states=states,
            txt_ids=ids,
            img_ids=pipeline._prepare_latent_ids(row[None]),
        ).sample
        found.append(out[0].T.reshape(row.shape))
    return torch.stack(found)

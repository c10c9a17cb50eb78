"""A small AudioLDM2 pipeline: sizes of diffusers' own test of it, where they matter."""

from __future__ import annotations

import json

import torch
from diffusers import (
    AudioLDM2Pipeline,
    AudioLDM2ProjectionModel,
    AudioLDM2UNet2DConditionModel,
    AutoencoderKL,
    DDIMScheduler,
)
from small.building import seeded, strengthen, t5_text, unit_scale
from small_pipelines import SD_SCHEDULER
from tokenizers.pre_tokenizers import ByteLevel
from torch.nn.functional import pad
from transformers import (
    ClapAudioConfig,
    ClapConfig,
    ClapModel,
    ClapTextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    RobertaTokenizer,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
)


def clap_text() -> tuple[RobertaTokenizer, ClapModel]:
    """A byte-level tokenizer without merges, and the model that it belongs to: 64 tokens."""
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    tokenizer = RobertaTokenizer(
        vocab={word: n for n, word in enumerate(words)}, merges=[], model_max_length=64
    )
    text = ClapTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=37,
        num_attention_heads=2,
        num_hidden_layers=2,
        projection_dim=16,
        max_position_embeddings=66,
    )
    audio = ClapAudioConfig(
        spec_size=64,
        window_size=4,
        num_mel_bins=64,
        intermediate_size=37,
        depths=[2, 2],
        num_attention_heads=[2, 2],
        num_hidden_layers=2,
        hidden_size=192,
        projection_dim=16,
        patch_size=2,
        patch_stride=2,
        patch_embed_input_channels=4,
    )
    config = ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=16)
    return tokenizer, ClapModel(config).eval()


def save_audioldm2(folder, prediction="epsilon"):
    with seeded():
        tokenizer, clap = clap_text()
        tokenizer_2, t5 = t5_text(32)
        tokenizer_2.model_max_length = 40
        unet = AudioLDM2UNet2DConditionModel(
            block_out_channels=(8, 16),
            norm_num_groups=8,
            layers_per_block=1,
            sample_size=8,
            in_channels=4,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=([None, 16, 32], [None, 16, 32]),
        ).eval()
        strengthen(unet, ("attn2.to_out.0",), 20)
        out = unet(
            torch.randn(4, 4, 8, 4),
            torch.linspace(1, 999, 4),
            encoder_hidden_states=torch.randn(4, 8, 16),
            encoder_hidden_states_1=torch.randn(4, 9, 32),
        ).sample
        unit_scale(unet.conv_out, out)
        language_model = GPT2LMHeadModel(
            GPT2Config(n_embd=16, n_head=2, n_layer=2, vocab_size=10, n_positions=99)
        ).eval()
        language_model.config.max_new_tokens = 8
        vocoder = SpeechT5HifiGan(
            SpeechT5HifiGanConfig(
                model_in_dim=8,
                sampling_rate=16000,
                upsample_initial_channel=16,
                upsample_rates=[2, 2],
                upsample_kernel_sizes=[4, 4],
                resblock_kernel_sizes=[3, 7],
                resblock_dilation_sizes=[[1, 3, 5], [1, 3, 5]],
                normalize_before=False,
            )
        ).eval()
        pipeline = AudioLDM2Pipeline(
            vae=AutoencoderKL(
                in_channels=1,
                out_channels=1,
                block_out_channels=(8, 8),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=4,
            ).eval(),
            text_encoder=clap,
            text_encoder_2=t5,
            projection_model=AudioLDM2ProjectionModel(
                text_encoder_dim=16, text_encoder_1_dim=32, langauge_model_dim=16
            ).eval(),
            language_model=language_model,
            tokenizer=tokenizer,
            tokenizer_2=tokenizer_2,
            feature_extractor=None,
            unet=unet,
            scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
            vocoder=vocoder,
        )
    pipeline.save_pretrained(folder)
    scheduler = {**SD_SCHEDULER, "_class_name": "DDIMScheduler", "prediction_type": prediction}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


def padded_rows(pipeline, prompt, length=40):
    """A prompt's states, mask and generated states, encoded alone, T5's padded to one length."""
    states, mask, generated = pipeline.encode_prompt(prompt or "", "cpu", 1, False)
    short = length - states.shape[1]
    return pad(states, (0, 0, 0, short)), pad(mask, (0, short)), generated


def call_audioldm2(pipeline, prompt, noise, generator, steps, guidance):
    """Without guidance the plain call; with it, what is subtracted is given to it in full."""
    told = {"prompt": prompt or ""}
    if guidance > 1:
        names = ("prompt_embeds", "attention_mask", "generated_prompt_embeds")
        told = dict(zip(names, padded_rows(pipeline, prompt), strict=True))
        null = padded_rows(pipeline, None)
        told |= {f"negative_{name}": row for name, row in zip(names, null, strict=True)}
    return pipeline(
        **told,
        latents=noise,
        generator=generator,
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="latent",
    ).audios


def predict_audioldm2(pipeline, x, timesteps, prompt):
    states, mask, generated = pipeline.encode_prompt(prompt or "", "cpu", 1, False)
    n = len(x)
    return pipeline.unet(
        x,
        timesteps,
        encoder_hidden_states=generated.expand(n, -1, -1),
        encoder_hidden_states_1=states.expand(n, -1, -1),
        encoder_attention_mask_1=mask.expand(n, -1),
    ).sample

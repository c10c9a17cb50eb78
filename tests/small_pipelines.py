"""Small random Stable Diffusion pipelines, built from configurations and saved to disk.

A network with random weights predicts almost nothing and hardly listens to its text. Its output
layer is rescaled so that the prediction has unit scale, and its cross-attention strengthened, so
that two prompts differ far above rounding; a test holds both.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import (
    AlbertConfig,
    AlbertModel,
    BertTokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# What SD 1.4's file says. Saving a PNDMScheduler would add its own timestep spacing, which samplers
# that default to another would then follow.
SD_SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def clip_text() -> tuple[CLIPTokenizer, CLIPTextModel]:
    """A CLIP tokenizer that spells, with one merge to its name, and its encoder: 16 tokens."""
    words = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(c + "</w>" for c in LETTERS), "do"]
    tokenizer = CLIPTokenizer(
        vocab={word: n for n, word in enumerate(words)}, merges=[("d", "o")], model_max_length=16
    )
    config = CLIPTextConfig(
        vocab_size=len(words),
        intermediate_size=64,
        max_position_embeddings=16,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        **SMALL,
    )
    return tokenizer, CLIPTextModel(config)


def wordpiece_tokenizer(length: int) -> BertTokenizer:
    """A WordPiece tokenizer that spells: ``length`` tokens at most."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *("##" + c for c in LETTERS)]
    return BertTokenizer(vocab={word: n for n, word in enumerate(words)}, model_max_length=length)


def albert_text() -> tuple[BertTokenizer, AlbertModel]:
    """A WordPiece tokenizer and an ALBERT that is given the attention mask, as emoji has them."""
    tokenizer = wordpiece_tokenizer(16)
    config = AlbertConfig(
        vocab_size=len(tokenizer),
        embedding_size=16,
        intermediate_size=64,
        max_position_embeddings=16,
        use_attention_mask=True,
        **SMALL,
    )
    return tokenizer, AlbertModel(config)


def small_unet() -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
    ).eval()
    with torch.no_grad():
        for name, module in unet.named_modules():
            if name.endswith("attn2.to_out.0"):
                module.weight *= 20
        x, states = torch.randn(8, 4, 8, 8), torch.randn(8, 16, 32)
        out = unet(x, torch.linspace(1, 999, 8), encoder_hidden_states=states).sample
        unet.conv_out.weight /= out.std()
        unet.conv_out.bias.zero_()
    return unet


def save_pipeline(folder: Path, prediction: str = "epsilon", text=clip_text) -> Path:
    """One small pipeline, the same at every call, with the scheduler that SD 1.4 came with."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer, encoder = text()
        pipeline = StableDiffusionPipeline(
            vae=AutoencoderKL(
                block_out_channels=(8, 8),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=4,
            ),
            text_encoder=encoder.eval(),
            tokenizer=tokenizer,
            unet=small_unet(),
            scheduler=PNDMScheduler(steps_offset=1),  # its file is replaced below
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder)
    scheduler = {**SD_SCHEDULER, "prediction_type": prediction}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder

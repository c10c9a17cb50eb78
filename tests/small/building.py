"""What the builders of small pipelines share: tokenizers made on the spot, and unit scale."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, Qwen2Tokenizer, T5Config, T5EncoderModel, T5Tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@contextlib.contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Within it, weights are the same at every call; outside, nothing has changed."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        yield


def t5_text(width: int = 64) -> tuple[T5Tokenizer, T5EncoderModel]:
    """A T5 tokenizer that spells, and its encoder."""
    marks = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    vocab = [*marks, *((letter, -3.0) for letter in LETTERS)]
    tokenizer = T5Tokenizer(vocab=vocab, extra_ids=0)
    config = T5Config(
        vocab_size=len(vocab), d_model=width, d_kv=8, d_ff=37, num_layers=2, num_heads=4
    )
    return tokenizer, T5EncoderModel(config).eval()


CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def qwen_tokenizer() -> Qwen2Tokenizer:
    """A byte-level BPE tokenizer that spells, with a chat template."""
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words = [*marks, *sorted(ByteLevel.alphabet())]
    tokenizer = Qwen2Tokenizer(vocab={word: n for n, word in enumerate(words)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": marks[1:]})
    tokenizer.chat_template = CHAT
    return tokenizer


def clip_config(words: int, length: int = 16) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=words,
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=3,
        num_attention_heads=4,
        projection_dim=32,
        max_position_embeddings=length,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def small_vae(channels: int) -> AutoencoderKL:
    """Halves each side, as the small pipelines want it."""
    return AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.0609,
        scaling_factor=1.5035,
    ).eval()


def strengthen(network: torch.nn.Module, parts: tuple[str, ...], factor: float) -> None:
    """Multiply the weights of the modules with these endings, so that texts are heeded."""
    for name, module in network.named_modules():
        if name.endswith(parts):
            module.weight *= factor


def unit_scale(layer: torch.nn.Linear, out: torch.Tensor) -> None:
    """Scale an output layer that gave ``out`` so that predictions have unit scale."""
    layer.weight /= out.std()
    if layer.bias is not None:
        layer.bias.zero_()


def edit_scheduler(folder: Path, **changes: object) -> None:
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

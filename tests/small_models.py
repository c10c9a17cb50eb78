"""Small random text models with real tokenizers, built from configurations and saved to disk.

Weights are drawn ten times and more as wide as usual: with the usual ones all tokens are about
equally likely, all texts are about the same, and a test would compare noise with noise.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_pipelines import LETTERS, SMALL, clip_text, wordpiece_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    CLIPTextModelWithProjection,
    FalconConfig,
    FalconForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5Model,
)

from conjure import baselines
from conjure.core.errors import InputError

END = "<|endoftext|>"


def byte_tokenizer(begin: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE as GPT-2 has, without merges or padding; with ``begin`` as LLaMA has."""
    words = [END, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={word: n for n, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{END} $A", special_tokens=[(END, 0)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END)


def language_model(kind: str, folder: Path) -> Path:
    """A causal language model of 257 byte tokens that reads 128 of them."""
    marks = {"vocab_size": 257, "bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.3}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "gpt2":
            network = GPT2LMHeadModel(
                GPT2Config(n_positions=128, n_embd=32, n_layer=2, n_head=4, **marks)
            )
        elif kind == "llama":
            network = LlamaForCausalLM(
                LlamaConfig(
                    intermediate_size=64,
                    num_key_value_heads=2,
                    max_position_embeddings=128,
                    **SMALL,
                    **marks,
                )
            )
        else:
            network = FalconForCausalLM(
                FalconConfig(max_position_embeddings=128, multi_query=True, **SMALL, **marks)
            )
    network.save_pretrained(folder)
    byte_tokenizer(begin=kind == "llama").save_pretrained(folder)
    return folder


def marked_tokenizer() -> PreTrainedTokenizerFast:
    """Letters with </s> behind them, and <s> before, as RoBERTa's and T5's."""
    words = ["<s>", "<pad>", "</s>", "<unk>", *LETTERS]
    tokenizer = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def encoder(kind: str, folder: Path) -> Path:
    """A text encoder: "bert", "roberta", "t5" (with its decoder) or "clip" (with a projection)."""
    wide = {"intermediate_size": 64, "initializer_range": 0.3, **SMALL}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "bert":
            tokenizer = wordpiece_tokenizer(64)
            network = BertModel(
                BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **wide)
            )
        elif kind == "clip":
            tokenizer, text = clip_text()
            config = text.config
            config.projection_dim, config.initializer_factor = 16, 10.0
            network = CLIPTextModelWithProjection(config)
        elif kind == "roberta":
            tokenizer = marked_tokenizer()
            network = RobertaModel(
                RobertaConfig(
                    vocab_size=len(tokenizer), max_position_embeddings=34, pad_token_id=1, **wide
                )
            )
        else:
            tokenizer = marked_tokenizer()
            network = T5Model(
                T5Config(
                    vocab_size=len(tokenizer),
                    d_model=32,
                    d_kv=8,
                    d_ff=64,
                    num_layers=2,
                    num_heads=4,
                    pad_token_id=1,
                    initializer_factor=3.0,
                )
            )
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def baseline_refusal(row: str, **settings) -> str:
    """The one line in which ``baselines.load`` refuses."""
    with pytest.raises(InputError) as caught:
        baselines.load(row, **settings)
    line = str(caught.value)
    assert "\n" not in line
    return line

"""Texts through the text encoder that the process will have, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

BATCH = 256


@torch.no_grad()
def encoded(folder: Path, texts: list[str], padding: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (states, mask) of BATCH texts: (n, tokens, 384) float32, (n, tokens) of 1 and 0.

    folder:  with tokenizer/ and text_encoder/
    padding: "longest" of each batch, or "max_length", as the pipeline pads
    """
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    encoder = AutoModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()
    for i in range(0, len(texts), BATCH):
        tokens = tokenizer(
            texts[i : i + BATCH], padding=padding, truncation=True, return_tensors="pt"
        )
        states = encoder(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
        yield states, tokens.attention_mask

"""The paragon of Table 2: the process's own text encoder, compared directly.

All information about a prompt reaches the denoiser through these states. So they bound how well
the process can know a meaning. The comparison shows how close the process comes to that bound.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..core.errors import InputError, PromptTruncatedWarning
from ..core.process import GenerativeProcess
from ..processes.tokens import padded_tokens
from .baseline import sign
from .cosine import CosineBaseline, Limit, check_pooling, end_marks, is_clip, pool


def paragon(process: GenerativeProcess, pooling: str | None = None) -> CosineBaseline:
    """1 − cosine of the states that ``process.embed`` passes to the denoiser.

    pooling: "mean", "cls" or "eos", see ``cosine.pool``. None is the pooling that the encoder was
             trained with: eos for CLIP, mean for others. CLIP's eos state is taken without its
             text projection, which the denoiser does not see either

    Raises InputError if the process has no pipeline with a tokenizer and a text encoder.
    """
    pipeline: Any = getattr(process, "pipeline", None)
    tokenizer = getattr(pipeline, "tokenizer", None)
    encoder = getattr(pipeline, "text_encoder", None)
    if tokenizer is None or encoder is None:
        raise InputError(f"{process.name} has no text encoder of its own, so no paragon")
    kind = encoder.config.model_type
    chosen = pooling or ("eos" if is_clip(kind) else "mean")
    name = f"paragon:{pooling}" if pooling else "paragon"
    check_pooling(name, kind, chosen)
    ends = end_marks(tokenizer)
    _check_states(process, tokenizer, name, chosen)
    as_read: Callable[[str], str] = getattr(process, "as_read", str)

    def encode(texts: list[str]) -> Tensor:
        with warnings.catch_warnings():
            # ``Limit`` gives one warning for all texts instead.
            warnings.simplefilter("ignore", PromptTruncatedWarning)
            cond = process.embed(texts).tensors
        states = cond["encoder_hidden_states"]
        tokens = padded_tokens(tokenizer, [as_read(text) for text in texts]).to(states.device)
        mask = cond.get("encoder_attention_mask", tokens.attention_mask)
        return pool(states, tokens.input_ids, mask, chosen, ends)

    line = sign(
        baseline="paragon",
        process=process.name,
        revision=process.revision or None,
        encoder=kind,
        pool=chosen,
        distance="1-cos",
        dtype=process.dtype,
        batch=process.batch_size,
        device=str(process.device),
    )
    limit = Limit(process.name, tokenizer, tokenizer.model_max_length, as_read)
    return CosineBaseline(name, line, encode, process.batch_size, limit)


def _check_states(process: GenerativeProcess, tokenizer: Any, name: str, pooling: str) -> None:
    """Raise InputError where the denoiser does not take one state for each token of a text."""
    cond = process.embed([""]).tensors
    states = cond.get("encoder_hidden_states")
    tokens = padded_tokens(tokenizer, [""]).input_ids.shape[1]
    if states is None or states.shape[1] != tokens:
        raise InputError(
            f"{process.name} gives its denoiser more than the states of one text encoder, so"
            f" {name} is not defined: measure without it"
        )
    if "encoder_attention_mask" in cond and pooling != "mean":
        raise InputError(f"{name}: {process.name} changes a text before it is read: use mean")

"""Sample continuations of a text from a causal language model, and score them after other texts.

Texts of one batch are padded on the left, so that all continuations begin in the same column. Each
text goes through the network once; its keys and values serve all n continuations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Continuations:
    """n continuations of one text, on the CPU.

    tokens:  (n, length) int64; tokens after a continuation's end are meaningless
    lengths: (n,) int64, at least 1; the last token of a continuation that ended is its end mark
    scores:  (n,) float64, the mean log-probability a token (nats) after the text itself
    """

    tokens: Tensor
    lengths: Tensor
    scores: Tensor


def draws(text: str, seed: int, n: int, length: int) -> Tensor:
    """(n, length) float64 in [0, 1), from a generator seeded with the text and the seed."""
    digest = sha256(f"{seed}\0{text}".encode()).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.rand(n, length, generator=generator, dtype=torch.float64)


def sample(
    network: Any,
    texts: Sequence[Sequence[int]],
    uniforms: Tensor,
    ends: Sequence[int],
    top_k: int = 0,
) -> list[Continuations]:
    """Ancestral sampling at temperature 1, from the whole vocabulary or the most likely tokens.

    texts:    m texts as tokens
    uniforms: (m, n, length) in [0, 1). Token j of a continuation is the quantile uniforms[…, j] of
              its distribution, so it depends on the rest of the batch by rounding only
    ends:     tokens that end a continuation; the end mark is its last token and is scored
    top_k:    draw from this many most likely tokens, with probabilities scaled to sum to 1; 0
              draws from all. Scores always use the whole vocabulary
    """
    _, n, length = uniforms.shape
    state, logits = _read(network, texts, n)
    tokens, scores = [], []
    for j in range(length):
        log_p = _log_softmax(logits)
        rising = _most_likely(log_p, top_k).exp().cumsum(-1)
        u, whole = uniforms[..., j].reshape(-1, 1).to(rising), rising[:, -1:]
        # Keep the quantile below the total, so that rounding cannot pick a token of probability 0.
        below = whole * (1 - torch.finfo(rising.dtype).eps)
        token = torch.searchsorted(rising, torch.minimum(u * whole, below), right=True)
        token = token.clamp(max=rising.shape[-1] - 1)  # NaN would give an index out of range
        tokens.append(token.cpu())
        scores.append(log_p.gather(1, token).cpu().double())
        if j + 1 < length:
            state, later = _advance(network, state, token)
            logits = later[:, -1]
    drawn = torch.cat(tokens, 1)
    lengths = _lengths(drawn, ends)
    means = _mean(torch.cat(scores, 1), lengths)
    parts = zip(drawn.view(-1, n, length), lengths.view(-1, n), means.view(-1, n), strict=True)
    return [Continuations(*part) for part in parts]


def score(
    network: Any, texts: Sequence[Sequence[int]], continuations: Sequence[Continuations]
) -> Tensor:
    """The mean log-probability a token of continuations after other texts: (m, n) float64, nats.

    texts:         m texts as tokens
    continuations: m sets of n; set i is appended to text i, as the tokens that were sampled
    """
    tokens = torch.cat([each.tokens for each in continuations])
    lengths = torch.cat([each.lengths for each in continuations])
    state, first = _read(network, texts, len(tokens) // len(texts))
    device = first.device
    logits = first.unsqueeze(1)
    longest = int(lengths.max())
    if longest > 1:
        _, later = _advance(network, state, tokens[:, : longest - 1].to(device))
        logits = torch.cat([logits, later], 1)
    chosen = tokens[:, :longest, None].to(device)
    log_p = logits.float().gather(-1, chosen)[..., 0] - logits.float().logsumexp(-1)
    return _mean(log_p.cpu().double(), lengths).view(len(texts), -1)


def misreading(network: Any, texts: Sequence[Sequence[int]]) -> float:
    """How much padding and the cache change the next token's distribution: 0 … 1.

    It is the largest total variation between reading each text alone, and reading all texts in
    one padded batch with their last tokens through the cache.
    texts: two or more, of different lengths
    """
    state, _ = _read(network, [text[:-1] for text in texts], 1)
    last = torch.tensor([text[-1:] for text in texts], device=network.device)
    _, logits = _advance(network, state, last)
    batched = _log_softmax(logits[:, -1]).exp()
    alone = torch.cat(
        [network(input_ids=torch.tensor([t], device=network.device)).logits[:, -1] for t in texts]
    )
    return float((batched - _log_softmax(alone).exp()).abs().sum(-1).max() / 2)


@dataclass(frozen=True)
class _State:
    """What the network has read: its cache, the mask of text, and each row's next position."""

    cache: Any
    mask: Tensor
    position: Tensor


def _read(network: Any, texts: Sequence[Sequence[int]], copies: int) -> tuple[_State, Tensor]:
    """Read m texts → the state of m · copies rows, and the logits of their next tokens."""
    longest = max(map(len, texts))
    ids = torch.zeros(len(texts), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, longest - len(text) :] = torch.tensor(text)
        mask[row, longest - len(text) :] = 1
    ids, mask = ids.to(network.device), mask.to(network.device)
    out = network(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        use_cache=True,
    )
    if getattr(out, "past_key_values", None) is None:
        raise ValueError("it returns no past_key_values")
    out.past_key_values.batch_repeat_interleave(copies)
    mask = mask.repeat_interleave(copies, 0)
    state = _State(out.past_key_values, mask, mask.sum(1, keepdim=True))
    return state, out.logits[:, -1].repeat_interleave(copies, 0)


def _advance(network: Any, state: _State, tokens: Tensor) -> tuple[_State, Tensor]:
    """Read (rows, k) further tokens → the state after them, and (rows, k, vocabulary) logits."""
    k = tokens.shape[1]
    mask = torch.cat([state.mask, torch.ones_like(tokens)], 1)
    out = network(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=state.position + torch.arange(k, device=tokens.device),
        past_key_values=state.cache,
        use_cache=True,
    )
    return replace(state, cache=out.past_key_values, mask=mask, position=state.position + k), (
        out.logits
    )


def _log_softmax(logits: Tensor) -> Tensor:
    """log_softmax in float64, so that rare tokens count in the sum; MPS has no float64."""
    exact = torch.float32 if logits.device.type == "mps" else torch.float64
    return logits.to(exact).log_softmax(-1)


def _most_likely(log_p: Tensor, top_k: int) -> Tensor:
    """Keep each row's top_k most likely tokens, with ties; set the others to −∞."""
    if not 0 < top_k < log_p.shape[-1]:
        return log_p
    threshold = log_p.topk(top_k, dim=-1).values[:, -1:]
    return log_p.where(log_p >= threshold, -math.inf)


def _lengths(tokens: Tensor, ends: Sequence[int]) -> Tensor:
    """(rows, length) → (rows,), the number of tokens up to the first end mark, included."""
    ended = (tokens.unsqueeze(-1) == tokens.new_tensor(list(ends))).any(-1)
    return torch.where(ended.any(1), ended.int().argmax(1) + 1, tokens.shape[1])


def _mean(scores: Tensor, lengths: Tensor) -> Tensor:
    """(rows, length) → (rows,), the mean of each row's first ``lengths`` entries."""
    counts = torch.arange(scores.shape[1]) < lengths.unsqueeze(1)
    return scores.where(counts, 0).sum(1) / lengths

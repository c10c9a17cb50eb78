"""Baselines that turn a text into a vector. The distance is 1 − cosine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.errors import InputError, NonFiniteError, PromptTruncatedWarning
from ..core.reading import tell
from ..core.spec import Signature
from ..core.types import Pair
from ..processes.spelling import spelled
from ..processes.tokens import TextReader
from .baseline import Progress, distinct_texts


@dataclass(frozen=True)
class Limit:
    """What a model reads of a text.

    max_tokens: how much of it, None if there is no limit
    as_read:    what a text becomes before it is tokenised
    """

    name: str
    tokenizer: Any
    max_tokens: int | None
    as_read: Callable[[str], str] = str

    def report(self, texts: Sequence[str]) -> None:
        """Give one warning of texts that are cut, and one of texts with unknown tokens.

        Raises InputError for a text of which the model knows nothing: all such texts would be one.
        """
        if len(texts) == 0:
            return
        texts = [self.as_read(text) for text in texts]
        reader = TextReader(self.name, self.tokenizer)
        for reason in reader.unreadable(texts).values():
            raise InputError(reason)
        if (unknown := reader.of_unknown(texts)) is not None:
            tell(unknown)
        if self.max_tokens is None:
            return
        found = self.tokenizer(spelled(self.tokenizer, texts), verbose=False)["input_ids"]
        counts = [len(ids) for ids in found]
        cut = [(text, n) for text, n in zip(texts, counts, strict=True) if n > self.max_tokens]
        if not cut:
            return
        text, n = cut[0]
        said = f"this text has {n}, so its end does not count"
        if len(cut) > 1:
            said = f"{len(cut):,} texts have more, so their ends do not count; the first has {n}"
        tell(
            PromptTruncatedWarning(
                f"{self.name} reads {self.max_tokens} tokens (start and end marks included) and"
                f" {said}: {text!r:.160}"
            )
        )


class CosineBaseline:
    """1 − the cosine of two texts' vectors, in 0 … 2; see ``Baseline``.

    encode: up to ``batch_size`` texts → (n, width), one vector for each
    limit:  what the model reads of a text, for warnings
    """

    def __init__(
        self,
        name: str,
        signature: Signature,
        encode: Callable[[list[str]], Tensor],
        batch_size: int,
        limit: Limit,
    ) -> None:
        self.name = name
        self.signature = signature
        self._encode = encode
        self._batch_size = batch_size
        self._limit = limit

    def distances(self, pairs: Sequence[Pair], progress: Progress | None = None) -> list[float]:
        """1 − cosine of each pair; see ``Baseline.distances``."""
        vectors = self.vectors(distinct_texts(pairs), progress)
        # ‖u − v‖² / 2 equals 1 − cos for unit vectors, and is accurate for small distances.
        return [float((vectors[a] - vectors[b]).square().sum() / 2) for a, b in pairs]

    def cost(self, pairs: Sequence[Pair]) -> int:
        """How many distinct texts are encoded."""
        return len(distinct_texts(pairs))

    def vectors(self, texts: Sequence[str], progress: Progress | None = None) -> dict[str, Tensor]:
        """{text: its vector}, scaled to length 1: (width,) float64 on the CPU."""
        found: dict[str, Tensor] = {}
        self._limit.report(texts)
        ordered = sorted(texts, key=len, reverse=True)  # similar lengths need little padding
        for i in range(0, len(ordered), self._batch_size):
            batch = ordered[i : i + self._batch_size]
            with torch.inference_mode():
                vectors = self._encode(batch).to("cpu", torch.float64)
            for text, vector in zip(batch, vectors, strict=True):
                length = vector.norm()
                if not length.isfinite() or length == 0:
                    raise NonFiniteError(
                        f"{self.name} gives {text!r:.80} no direction (NaN, infinity or zero):"
                        " try dtype float32"
                    )
                found[text] = vector / length
            if progress is not None:
                progress(len(found), len(ordered))
        return found


def pool(states: Tensor, ids: Tensor, mask: Tensor, pooling: str, ends: set[int]) -> Tensor:
    """Pool the token states of n texts: one vector for each, (n, width).

    states:  (n, tokens, width), the encoder's last hidden states
    ids:     (n, tokens), the tokens
    mask:    (n, tokens), 0 for padding, else 1
    pooling: "mean", over all tokens except padding, start and end marks included;
             "cls", the first token;
             "eos", the first end mark, or the last token if there is none. CLIP pads with its end
             mark, so the first one is meant
    ends:    the end marks
    """
    if states.dtype in (torch.float16, torch.bfloat16):
        states = states.float()  # in half precision a sum over tokens loses digits or overflows
    rows = torch.arange(len(states), device=states.device)
    first = mask.argmax(dim=1)
    if pooling == "cls":
        return states[rows, first]
    if pooling == "eos":
        last = mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)
        inner = (ids.unsqueeze(-1) == ids.new_tensor(sorted(ends))).any(-1) & (mask == 1)
        inner[rows, first] = False  # a start mark may be the same token
        return states[rows, torch.where(inner.any(1), inner.int().argmax(1), last)]
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def end_marks(tokenizer: Any) -> set[int]:
    """The tokens that end a text: the tokenizer's eos, or else its sep."""
    for token in (tokenizer.eos_token_id, tokenizer.sep_token_id):
        if token is not None:
            return {int(token)}
    return set()


def check_pooling(name: str, model_type: str, pooling: str) -> None:
    """Raise InputError for cls pooling of CLIP, whose first token is the same for all texts."""
    if pooling == "cls" and is_clip(model_type):
        raise InputError(
            f"{name}: the first token of a CLIP text encoder sees no text (its attention is"
            " causal); choose eos or mean"
        )


def is_clip(model_type: str) -> bool:
    """Whether it is CLIP's text encoder, which is trained with the state of its end mark."""
    return model_type in ("clip", "clip_text_model")

"""Language models: two texts are similar if the model continues them in the same way.

Liu et al., *Meaning Representations from Trajectories in Autoregressive Models* (ICLR 2024,
arXiv 2310.18348). n continuations are sampled from each text. Each of the 2n continuations is
scored after both texts, by its mean log-probability a token. The distance is the L1 distance of
the two vectors of 2n scores. ``trajectories.py`` samples and scores.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from ..core.errors import InputError, NonFiniteError
from ..core.types import Pair
from ..processes.devices import find_device, settle_dtype
from ..processes.quiet import quiet
from .baseline import Progress, distinct_texts, sign
from .models import (
    Model,
    check_tokens,
    locate,
    read_config,
    read_network,
    read_tokenizer,
    refusing,
)
from .rows import PROMPTED
from .settings import BaselineSettings
from .trajectories import Continuations, draws, misreading, sample, score

T = TypeVar("T")

# How much rounding may change a next token's distribution, in total variation.
_EXACT, _HALF = 1e-3, 0.1

# The authors' code: dataset/CompareTask.py, scripts/run_text2text.sh.
PROMPT = 'This sentence: "{}" implies: '


def prepare(text: str, prompted: bool, strip: bool = False) -> str:
    """A text as the model reads it: with a full stop at its end, unless it ends with punctuation.

    strip: remove blanks at its end first

    >>> prepare("A dog runs", prompted=True)
    'This sentence: "A dog runs." implies: '
    >>> prepare("Does it? ", prompted=False), prepare("Does it? ", prompted=False, strip=True)
    ('Does it? .', 'Does it?')
    """
    text = text.rstrip() if strip else text
    if text[-1] not in string.punctuation:
        text += "."
    return PROMPT.format(text) if prompted else text


def open_language_model(
    name: str, source: str, choice: str | None, settings: BaselineSettings
) -> Autoregressive:
    """Open a causal language model by its folder or hub id.

    name:   the row
    choice: "prompted" puts the text into PROMPT; None takes the text alone

    Raises InputError if there is no such model, or it is not a causal language model.
    """
    device = find_device(settings.device, settings.dtype)  # before gigabytes are fetched
    settings = replace(settings, dtype=settle_dtype(settings.dtype, device))
    model = locate(source, settings)
    config = read_config(model.name, model.network)
    kind = config.model_type
    masked = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or masked:
        raise InputError(
            f"{model.name} is of the kind {kind}, which is not a causal language model; for a text"
            f" encoder give encoder={model.name}"
        )
    tokenizer = read_tokenizer(model.name, model.network)
    network, _ = read_network(model.name, model.network, AutoModelForCausalLM, settings)
    network = network.to(device)
    _check_reading(model.name, tokenizer, network)
    return Autoregressive(name, model, (tokenizer, network), choice, settings)


@torch.inference_mode()
def _check_reading(name: str, tokenizer: Any, network: Any) -> None:
    """Raise InputError if padding or the cache change what the network predicts.

    Recurrent networks (Mamba, RWKV) have a state in place of a cache of keys and values, and read
    padding as text. Others ignore the given positions.
    """
    what = (
        f"{name} is of the kind {network.config.model_type}, and lm= needs a network that has a"
        " cache of keys and values and ignores padding"
    )
    texts = ["A dog.", "No."]
    with refusing(what), quiet():
        first, second = tokenizer(texts, verbose=False)["input_ids"]
        for text, ids in zip(texts, (first, second), strict=True):
            check_tokens(name, text, ids, network)
        off = misreading(network, [first * 2, second * 3])
    exact = network.dtype in (torch.float32, torch.float64)
    if off > (_EXACT if exact else _HALF):
        raise InputError(
            f"{what}: in a batch its predictions change, by {off:.2g} in total variation"
        )


class Autoregressive:
    """The L1 distance between the scores of 2n continuations, in nats; see ``Baseline``."""

    def __init__(
        self,
        name: str,
        model: Model,
        parts: tuple[Any, Any],
        choice: str | None,
        settings: BaselineSettings,
    ) -> None:
        """parts: the tokenizer, and the network on its device."""
        self._tokenizer, self._network = parts
        self._settings = settings
        self._prompted = choice == PROMPTED
        device = self._network.device
        rows = settings.batch_size or (64 if device.type == "cpu" else 256)
        self._texts_at_once = max(1, rows // settings.continuations)
        with refusing(f"{model.name} names end marks that are not tokens"):
            self._ends = _end_marks(self._tokenizer, self._network)
        self.name = name
        self.signature = sign(
            baseline="lm",
            model=model.name,
            revision=model.revision,
            prompt="prompted" if self._prompted else "none",
            n=settings.continuations,
            tokens=settings.tokens,
            temperature=1,
            topk=settings.top_k or "all",
            strip="yes" if settings.strip else "no",
            seed=settings.seed,
            distance="L1",
            dtype=settings.dtype,
            batch=self._texts_at_once * settings.continuations,
            device=str(device),
        )

    @torch.inference_mode()
    def distances(self, pairs: Sequence[Pair], progress: Progress | None = None) -> list[float]:
        """The L1 distance of each pair; see ``Baseline.distances``.

        The continuations of each distinct text are drawn once. They depend on the text and the
        seed only.
        """
        if not pairs:
            return []
        with refusing(f"{self.name} cannot run on these texts"):
            distances = self._distances(pairs, progress)
        for pair, distance in zip(pairs, distances, strict=True):
            if not math.isfinite(distance):
                raise NonFiniteError(
                    f"{self.name} predicts NaN or infinity for {pair!r:.160} in"
                    f" {self._settings.dtype}: try float32 or bfloat16"
                )
        return distances

    def _distances(self, pairs: Sequence[Pair], progress: Progress | None) -> list[float]:
        texts = distinct_texts(pairs)
        tokens = self._tokenized(texts)
        done, total = 0, self.cost(pairs)

        def report(count: int) -> None:
            nonlocal done
            done += count * self._settings.continuations
            if progress is not None:
                progress(done, total)

        drawn: dict[str, Continuations] = {}
        for batch in self._batches(texts, lambda text: len(tokens[text])):
            drawn.update(zip(batch, self._sample(batch, tokens), strict=True))
            report(len(batch))
        # (a, b) → the scores of b's continuations after the text a
        crossed: dict[Pair, Tensor] = {}
        ordered = list(dict.fromkeys(way for a, b in pairs if a != b for way in ((a, b), (b, a))))
        for ways in self._batches(ordered, lambda way: len(tokens[way[0]])):
            befores = [tokens[before] for before, _ in ways]
            found = score(self._network, befores, [drawn[owner] for _, owner in ways])
            crossed.update(zip(ways, found, strict=True))
            report(len(ways))
        return [0.0 if a == b else _l1(drawn, crossed, a, b) for a, b in pairs]

    def cost(self, pairs: Sequence[Pair]) -> int:
        """How many continuations are sampled, plus how many are scored after the other text."""
        apart = {frozenset(pair) for pair in pairs if pair[0] != pair[1]}
        return self._settings.continuations * (len(distinct_texts(pairs)) + 2 * len(apart))

    def _tokenized(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """{text: tokens}. Raises InputError if a text leaves no room for a continuation."""
        prepared = [prepare(text, self._prompted, self._settings.strip) for text in texts]
        found = [list(ids) for ids in self._tokenizer(prepared, verbose=False)["input_ids"]]
        places = getattr(self._network.config, "max_position_embeddings", None)
        for text, ids in zip(texts, found, strict=True):
            check_tokens(self.name, text, ids, self._network)
            if places is not None and len(ids) + self._settings.tokens > places:
                raise InputError(
                    f"{self.name} reads {places} tokens, {self._settings.tokens} of them for the"
                    f" continuation, and this text has {len(ids)}: shorten {text!r:.80}"
                )
        return dict(zip(texts, found, strict=True))

    def _sample(self, texts: Sequence[str], tokens: dict[str, list[int]]) -> list[Continuations]:
        own = self._settings
        uniforms = [draws(text, own.seed, own.continuations, own.tokens) for text in texts]
        befores = [tokens[text] for text in texts]
        stacked = torch.stack(uniforms)
        return sample(self._network, befores, stacked, self._ends, own.top_k)

    def _batches(self, items: Sequence[T], length: Callable[[T], int]) -> Iterator[list[T]]:
        """Batches of items of similar length, longest first."""
        ordered = sorted(items, key=length, reverse=True)
        for i in range(0, len(ordered), self._texts_at_once):
            yield ordered[i : i + self._texts_at_once]


def _l1(drawn: dict[str, Continuations], crossed: dict[Pair, Tensor], a: str, b: str) -> float:
    """Σ |score after a − score after b| over the continuations of a and of b."""
    of_a = drawn[a].scores - crossed[b, a]
    of_b = crossed[a, b] - drawn[b].scores
    return float(of_a.abs().sum() + of_b.abs().sum())


def _end_marks(tokenizer: Any, network: Any) -> list[int]:
    """The tokens that end a text, from the tokenizer and from the model's settings."""
    named = getattr(network.generation_config, "eos_token_id", None)
    found = [*named] if isinstance(named, list) else [named]
    return sorted({int(token) for token in (tokenizer.eos_token_id, *found) if token is not None})

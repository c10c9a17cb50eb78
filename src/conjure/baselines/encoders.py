"""Text encoders by hub id or folder: transformers with a pooling, or sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForTextEncoding,
    CLIPTextModelWithProjection,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES,
)

from ..core.errors import InputError
from ..processes.devices import find_device, settle_dtype
from .baseline import sign
from .cosine import CosineBaseline, Limit, check_pooling, end_marks, is_clip, pool
from .models import (
    Model,
    check_tokens,
    check_vocabulary,
    load_options,
    locate,
    read,
    read_config,
    read_network,
    read_tokenizer,
    refusing,
)
from .settings import BaselineSettings

BATCH_SIZE = 32
_UNBOUNDED = 10**6  # a tokenizer without a limit names a larger number


def open_encoder(
    name: str, source: str, pooling: str | None, settings: BaselineSettings
) -> CosineBaseline:
    """Open a text encoder by its folder or hub id.

    name:    the row
    pooling: "mean", "cls" or "eos", see ``cosine.pool``. For CLIP, eos goes through the text
             projection if the model has one. None runs a sentence-transformers model by its own
             modules; other models take eos (CLIP) or mean

    Raises InputError if there is no such model, or it is not a text encoder.
    """
    device = find_device(settings.device, settings.dtype)  # before gigabytes are fetched
    settings = replace(settings, dtype=settle_dtype(settings.dtype, device))
    model = locate(source, settings, chained=pooling is None)
    if model.chain and pooling is None:
        return _sentence_transformer(name, model, device, settings)
    return _transformer(name, model, pooling, device, settings)


def _transformer(
    name: str, model: Model, pooling: str | None, device: torch.device, settings: BaselineSettings
) -> CosineBaseline:
    config = read_config(model.name, model.network)
    _check_kind(model.name, config)
    chosen = pooling or ("eos" if is_clip(config.model_type) else "mean")
    check_pooling(name, config.model_type, chosen)
    tokenizer = read_tokenizer(model.name, model.network)
    network, projected = _network(model.name, model.network, config.model_type, settings)
    network = network.to(device)
    projected = projected and chosen == "eos"
    limit = Limit(model.name, tokenizer, _max_tokens(model.name, tokenizer, config))
    ends = end_marks(tokenizer)

    def encode(texts: list[str]) -> Tensor:
        longest = limit.max_tokens
        cut = {} if longest is None else {"truncation": True, "max_length": longest}
        tokens = tokenizer(texts, padding=True, return_tensors="pt", **cut).to(device)
        for text, ids in zip(texts, tokens.input_ids.tolist(), strict=True):
            check_tokens(model.name, text, ids, network)
        states = network(**tokens).last_hidden_state
        vectors = pool(states, tokens.input_ids, tokens.attention_mask, chosen, ends)
        return network.text_projection(vectors.to(network.dtype)) if projected else vectors

    chosen_as = f"{chosen}+projection" if projected else chosen
    return _baseline(name, model, chosen_as, device, settings, (encode, limit))


def _sentence_transformer(
    name: str, model: Model, device: torch.device, settings: BaselineSettings
) -> CosineBaseline:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise InputError(
            f"{model.name} is a sentence-transformers model: pip install 'conjure[baselines]', or"
            f" name a pooling, as in {name}:mean"
        ) from error

    for module in model.chain:
        if module.kind == "network":  # sentence-transformers does not report missing weights
            config = read_config(model.name, module.folder)
            _network(model.name, module.folder, config.model_type, settings, _spare(module.folder))

    def load() -> Any:
        return SentenceTransformer(
            str(model.folder),
            device=str(device),
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs=load_options(settings),
        )

    network = read(model.name, load)
    max_tokens = _whole(model.name, "max_seq_length", network.max_seq_length)
    if model.chain[0].kind == "network":
        check_vocabulary(model.name, network.tokenizer)
        _check_room(model.name, network.tokenizer, max_tokens)

    def encode(texts: list[str]) -> Tensor:
        vectors: Tensor = network.encode(
            texts, batch_size=len(texts), show_progress_bar=False, convert_to_tensor=True
        )
        return vectors

    limit = Limit(model.name, network.tokenizer, max_tokens)
    return _baseline(name, model, "its-own", device, settings, (encode, limit))


def _baseline(
    name: str,
    model: Model,
    pooling: str,
    device: torch.device,
    settings: BaselineSettings,
    parts: tuple[Callable[[list[str]], Tensor], Limit],
) -> CosineBaseline:
    encode, limit = parts

    def guarded(texts: list[str]) -> Tensor:
        with refusing(f"{model.name} cannot encode {texts[0]!r:.80}"):
            return encode(texts)

    batch_size = settings.batch_size or BATCH_SIZE
    line = sign(
        baseline="encoder",
        model=model.name,
        revision=model.revision,
        pool=pooling,
        distance="1-cos",
        dtype=settings.dtype,
        batch=batch_size,
        device=str(device),
    )
    return CosineBaseline(name, line, guarded, batch_size, limit)


def _check_kind(name: str, config: Any) -> None:
    """Raise InputError for a model that is not a text encoder: a language or picture model, say."""
    kind = config.model_type
    masked = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.is_encoder_decoder
    if masked or is_clip(kind) or kind in MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES:
        return
    causal = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    hint = f"; for a causal language model give lm={name}" if causal else ""
    raise InputError(f"{name} is of the kind {kind}, which is not a text encoder{hint}")


def _network(
    name: str,
    folder: Path,
    kind: str,
    settings: BaselineSettings,
    spare: tuple[str, ...] = ("pooler", "text_projection"),
) -> tuple[Any, bool]:
    """The encoder, and whether it has a projection of its pooled state.

    spare: the parts whose weights may be missing
    """
    loader: Any = AutoModel
    if is_clip(kind):
        loader = CLIPTextModelWithProjection
    elif kind in MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES:
        loader = AutoModelForTextEncoding  # for T5, the encoder without the decoder
    network, absent = read_network(name, folder, loader, settings, spare)
    return network, is_clip(kind) and not any("text_projection" in key for key in absent)


def _spare(folder: Path) -> tuple[str, ...]:
    """The parts whose weights a Transformer module of sentence-transformers does not need."""
    asked = any(b"pooler" in path.read_bytes() for path in folder.glob("sentence_*_config.json"))
    return () if asked else ("pooler", "text_projection")


def _max_tokens(name: str, tokenizer: Any, config: Any) -> int | None:
    """The maximum tokens of a text for tokenizer and network; None if there is no limit."""
    places = getattr(config, "max_position_embeddings", None)
    # RoBERTa and its relatives start to count positions after the padding token's number.
    taken = 2 if "roberta" in config.model_type else 0
    known = [
        _whole(name, "model_max_length", tokenizer.model_max_length),
        _whole(name, "max_position_embeddings", places, taken),
    ]
    max_tokens = min((each for each in known if each is not None), default=None)
    _check_room(name, tokenizer, max_tokens)
    return max_tokens


def _check_room(name: str, tokenizer: Any, max_tokens: int | None) -> None:
    """Raise InputError if the limit leaves no token for the text beside its marks."""
    marks = tokenizer.num_special_tokens_to_add()
    if max_tokens is not None and max_tokens <= marks:
        raise InputError(f"{name} reads {max_tokens} tokens of a text, and {marks} are its marks")


def _whole(name: str, field: str, value: Any, taken: int = 0) -> int | None:
    """A number of tokens from a configuration, minus ``taken``; None for no limit."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > taken:
        raise InputError(f"{name} says {field} {value!r:.80}, which is not a number of tokens")
    return None if value > _UNBOUNDED else int(value) - taken

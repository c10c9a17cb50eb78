"""LoRA: small matrices that are added to a model's weights, found, checked and named by content.

diffusers adds them. What it only logs is an error here: tensors that fit nowhere change nothing,
and the number would be that of the plain model.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.errors import InputError, UnchangedWeightsWarning
from ..core.reading import tell
from ..core.text import first_line, number_of
from .adapter_files import Lora, matrices
from .quiet import quiet

_NAMED = 3  # tensors that a message names
_WIDE = ("float32", "float64")  # dtypes in which a sum of weights keeps the small ones


def add_loras(pipeline: Any, loras: Sequence[Lora], source: str, dtype: str) -> None:
    """Add adapters to a pipeline that is on the CPU: W + scale · ΔW in each of its layers.

    In float32 and float64 the sums replace the weights. Half precision would round ΔW away, so
    there the adapters stay beside the weights.

    Raises InputError for an adapter of which a tensor fits nowhere. Warns of one that changes
    nothing (UnchangedWeightsWarning).
    """
    if not loras:
        return
    if not hasattr(pipeline, "load_lora_weights"):
        kind = type(pipeline).__name__
        raise InputError(f"{source} takes no LoRA: diffusers adds none to a {kind}")
    names = {f"lora{place}": lora for place, lora in enumerate(loras)}
    for name, lora in names.items():
        _add(pipeline, name, lora, source)
    used = {name: lora.scale for name, lora in names.items() if lora.scale != 0}
    with quiet():
        pipeline.set_adapters(list(used) or list(names), list(used.values()) or [0.0] * len(names))
        if not used:
            pipeline.unload_lora_weights()
        elif dtype in _WIDE:
            parts = [part for part, _ in _networks(pipeline) if _has_adapters(pipeline, part)]
            pipeline.fuse_lora(components=parts, adapter_names=list(used))
            pipeline.unload_lora_weights()


def _add(pipeline: Any, name: str, lora: Lora, source: str) -> None:
    """One adapter, checked tensor by tensor to have arrived in a network."""
    place = {"weight_name": lora.file.name, "use_safetensors": True, "local_files_only": True}
    unet = getattr(pipeline, "unet", None)
    config = {} if unet is None else {"unet_config": unet.config}
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # peft's, on what is checked below
            read = pipeline.lora_state_dict(str(lora.file.parent), **place, **config)
            wanted = read[0] if isinstance(read, tuple) else read
            pipeline.load_lora_weights(str(lora.file.parent), adapter_name=name, **place)
    except Exception as error:  # whatever diffusers and peft make of it
        raise InputError(
            f"LoRA {lora.name} cannot be added to {source}, which may be another architecture:"
            f" {_said(error)}"
        ) from error
    _check_arrived(pipeline, name, lora, wanted, source)
    if lora.scale != 0 and not _changes(pipeline, name):
        tell(
            UnchangedWeightsWarning(
                f"LoRA {lora.name} changes no weight of {source}: all its products are zero"
            )
        )


def _check_arrived(
    pipeline: Any, name: str, lora: Lora, wanted: dict[str, Tensor], source: str
) -> None:
    arrived: Counter[str] = Counter()
    for part, network in _networks(pipeline):
        for key, tensor in network.state_dict().items():
            if name in key.split("."):
                if tensor.is_meta:
                    raise InputError(
                        f"LoRA {lora.name} is incomplete: it has no {part}.{key} that goes with the"
                        " tensors it has"
                    )
                arrived[_print_of(tensor)] += 1
    count, dtypes = arrived.total(), {network.dtype for _, network in _networks(pipeline)}
    lost = []
    for key, tensor in wanted.items():
        if key.endswith(".alpha"):  # a number, which is part of the scale
            continue
        marks = {_print_of(tensor.to(dtype)) for dtype in dtypes} | {_print_of(tensor)}
        mark = next((mark for mark in marks if arrived[mark] > 0), None)
        if mark is None:
            lost.append(key)
        else:
            arrived[mark] -= 1
    held = matrices(lora.file)
    if not lost and count < len(held):
        raise InputError(
            f"LoRA {lora.name} does not fit {source}: {len(held) - count} of its {len(held)}"
            " tensors have no place there"
        )
    if lost:
        more = ["…"] if len(lost) > _NAMED else []
        raise InputError(
            f"LoRA {lora.name} does not fit {source}: {number_of(len(lost), 'tensor')} of"
            f" {len(wanted)} have no place there"
            f" ({', '.join([f'{key:.100}' for key in sorted(lost)[:_NAMED]] + more)}); use one that"
            " was made for this model"
        )


def _networks(pipeline: Any) -> Iterator[tuple[str, Any]]:
    for part in pipeline._lora_loadable_modules:
        network = getattr(pipeline, part, None)
        if network is not None:
            yield part, network


def _has_adapters(pipeline: Any, part: str) -> bool:
    return any(map(_is_layer, getattr(pipeline, part).modules()))


def _changes(pipeline: Any, name: str) -> bool:
    """Whether any product of an adapter is not zero."""
    layers = [m for _, n in _networks(pipeline) for m in n.modules() if _is_layer(m)]
    return any(
        bool(layer.get_delta_weight(name).any()) for layer in layers if name in layer.scaling
    )


def _is_layer(module: Any) -> bool:
    """Whether a module is one of peft's, around a layer of the network."""
    return hasattr(module, "get_delta_weight")


def _print_of(tensor: Tensor) -> str:
    """What stands for a tensor: its shape, dtype and bytes."""
    raw = tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
    return f"{tuple(tensor.shape)} {tensor.dtype} {hashlib.sha256(raw).hexdigest()}"


def _said(error: Exception) -> str:
    """The line of an error that says most: torch puts the mismatch into its second line."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((f"{line:.300}" for line in lines if "mismatch" in line), first_line(error))

"""Notice weights that were changed by hand after loading: an adapter, an erased concept, a cast.

A process says by its revision which weights it has. ``process.pipeline`` is in the user's hands, so
that would become untrue without a sign. Each run therefore looks at a sample of every tensor, which
takes milliseconds. Only where it differs are all weights read, for a digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

_SAMPLED = 64  # entries of a tensor that are looked at
_COLUMNS = 1021  # a prime, so that no usual width is a multiple of it
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class WeightWatch:
    """The weights of some networks, as they were when this was made.

    What may go unnoticed: an edit through ``tensor.data`` of a few entries, none of them sampled.
    """

    def __init__(self, networks: Mapping[str, Any]) -> None:
        self._networks = dict(networks)
        self._before = self._look()

    def edit(self) -> str:
        """ "" where nothing was changed; else "+edited-" and 12 digits that stand for all weights.

        Equal weights and adapters give equal digits, on any device.
        """
        return "" if self._look() == self._before else f"+edited-{self._digest()[:12]}"

    def _look(self) -> tuple[Any, ...]:
        facts, samples = [], []
        for name, tensor in self._tensors():
            version = None if tensor.is_inference() else tensor._version
            facts.append((name, tuple(tensor.shape), tensor.dtype, version))
            if not tensor.is_meta and tensor.numel():
                samples.append(_sample(tensor))
        return facts, list(self._adapters()), _joined(samples)

    def _digest(self) -> str:
        total = hashlib.sha256(repr(list(self._adapters())).encode())
        for name, tensor in self._tensors():
            total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            if not tensor.is_meta:
                total.update(_sums(tensor))
        return total.hexdigest()

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for part, network in self._networks.items():
            for name, tensor in network.state_dict(keep_vars=True).items():
                if isinstance(tensor, Tensor):
                    yield f"{part}.{name}", tensor.detach()

    def _adapters(self) -> Iterator[tuple[Any, ...]]:
        """Which adapters are active, and how strongly: peft's layers hold it beside the tensors."""
        for part, network in self._networks.items():
            for name, module in network.named_modules():
                scaling = getattr(module, "scaling", None)
                if isinstance(scaling, dict) and hasattr(module, "active_adapters"):
                    active = sorted(module.active_adapters)
                    merged = sorted(getattr(module, "merged_adapters", []))
                    off = bool(getattr(module, "disable_adapters", False))
                    yield part, name, active, merged, off, sorted(scaling.items())


def _sample(tensor: Tensor) -> Tensor:
    """Up to _SAMPLED entries, evenly spread over the memory, whatever the layout."""
    count = min(_SAMPLED, tensor.numel())
    dense = tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()
    if not dense:  # expanded from fewer entries
        return tensor.reshape(-1)[:count]
    step = tensor.numel() // count
    return tensor.as_strided((count,), (step,), tensor.storage_offset())


def _joined(samples: list[Tensor]) -> bytes:
    """The bytes of all samples: one transfer for each dtype and device."""
    groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for sample in samples:
        groups.setdefault((sample.dtype, sample.device), []).append(sample)
    return b"".join(_raw(torch.cat(group)) for group in groups.values())


def _sums(tensor: Tensor) -> bytes:
    """Sums of the bit patterns, over columns: exact, so the same on every device."""
    bits = tensor.contiguous().reshape(-1)
    bits = bits.view(_BITS[bits.element_size()]) if bits.dtype != torch.bool else bits.int()
    whole = len(bits) // _COLUMNS * _COLUMNS
    table = bits[:whole].reshape(-1, _COLUMNS).sum(0, dtype=torch.int64)
    return _raw(table) + _raw(bits[whole:].long())


def _raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().cpu().view(torch.uint8).numpy().tobytes()

"""Shapes: of a network's latents, and of rows that meet them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.text import brief


def native_shape(name: str, config: Any, part: str) -> tuple[int, ...]:
    """(channels, height, width) that a network's configuration says; InputError where it does not.

    config: with ``in_channels`` and ``sample_size``, a number or two; part: the network's name
    """
    size = config.sample_size
    sides = list(size) if isinstance(size, list | tuple) else [size, size]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise InputError(
            f"{name} does not say how large its pictures are: sample_size is {brief(size)} in"
            f" {part}/config.json"
        )
    return (config.in_channels, *sides)


def padded(rows: Tensor, count: int) -> Tensor:
    """(n, …) → (count, …), the last row repeated."""
    return torch.cat([rows, rows[-1:].expand(count - len(rows), *rows.shape[1:])])


def column(values: Tensor, like: Tensor) -> Tensor:
    """(n,) → (n, 1, …, 1), to scale the rows of ``like``."""
    return values.reshape(-1, *[1] * (like.dim() - 1))

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


def resized(
    name: str, native: tuple[int, ...], size: tuple[int, int], factor: int, unit: int | None
) -> tuple[int, ...]:
    """(channels, height, width) of latents for pictures of (width, height) pixels.

    native: the shape that the network was made for; factor: pixels a latent; unit: what the sides
    of latents must be a multiple of, None for a network of one size. Raises InputError.
    """
    width, height = size
    channels, *sides = native
    if [height, width] == [side * factor for side in sides]:
        return native
    if unit is None:
        own = "x".join(str(side * factor) for side in reversed(sides))
        raise InputError(f"{name} takes pictures of {own} alone: leave size out")
    step = factor * unit
    if width % step or height % step:
        near = "x".join(str(max(round(side / step), 1) * step) for side in (width, height))
        raise InputError(
            f"{name} takes no pictures of {width}x{height}: both sides must be multiples of {step},"
            f" such as {near}"
        )
    return channels, height // factor, width // factor


def pixels_per_latent(pipeline: Any) -> int:
    """The pixels of a picture for each of its latents, along a side."""
    found = getattr(pipeline, "vae_scale_factor", None)
    return int(found or 2 ** (len(pipeline.vae.config.block_out_channels) - 1))


def unet_unit(config: Any) -> int:
    """What the sides of a UNet's latents must be a multiple of: 2 for each halving."""
    return int(2 ** (len(config.block_out_channels) - 1))


def padded(rows: Tensor, count: int) -> Tensor:
    """(n, …) → (count, …), the last row repeated."""
    return torch.cat([rows, rows[-1:].expand(count - len(rows), *rows.shape[1:])])


def column(values: Tensor, like: Tensor) -> Tensor:
    """(n,) → (n, 1, …, 1), to scale the rows of ``like``."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


def unet_shape(name: str, config: Any, part: str) -> tuple[int, ...]:
    """(channels, height, width) of a UNet's native size; InputError where it takes more than texts.

    config: the UNet's; part: its name in the pipeline
    """
    if config.in_channels != config.out_channels:
        raise InputError(
            f"{name} takes more than latents (an inpainting, depth or editing model, say)"
        )
    if config.time_cond_proj_dim is not None:
        raise InputError(
            f"{name} takes its guidance as an input (a distilled model), which is known of"
            " LatentConsistencyModelPipeline alone"
        )
    return native_shape(name, config, part)

"""Latents of one sample → pictures: the trajectory, and what each text predicts along it."""

from __future__ import annotations

import math
from typing import Protocol, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..core.errors import NonFiniteError
from ..core.process import GenerativeProcess
from ..core.sampling import guide
from ..core.schedule import Schedule
from ..decoding import Decodes
from .observing import Shown, positions
from .record import Picture, Pictures

STEP_SIDE = 256  # most pixels of a side of a step's picture
END_SIDE = 512  # most pixels of a side of x_0
_EXPLODING = 2.0  # an initial scale above it: x grows with σ̂, it is not αx₀ + σε


@runtime_checkable
class Denoises(Protocol):
    """A process that can say where a prediction points to. The distance needs no such method."""

    def denoised(self, x: Tensor, step: int, prediction: Tensor) -> Tensor:
        """x̂₀ (n, *latent_shape), from x_j in the solver's scale and a prediction there."""
        ...


def draw(process: GenerativeProcess, latents: Shown, sample: int) -> Pictures:
    """The pictures of one sample's latents, decoded where the process has a decoder.

    A picture of a step has at most 256 pixels a side, x_0 at most 512; larger ones are averaged.
    Raises NonFiniteError where a picture is NaN or infinity.
    """
    halves, steps = latents.x.shape[:2]
    predicted = _predicted(process, latents)  # (2, steps, 2, *latent_shape)
    way = torch.cat([_plain(latents.x, process.schedule), latents.x_0[sample, :, None]], dim=1)
    flat = [
        each.flatten(0, each.dim() - len(process.latent_shape) - 1) for each in (way, predicted)
    ]
    if isinstance(process, Decodes):
        decoded = True
        drawn = [_decoded(process, rows, STEP_SIDE) for rows in flat]
        ends = _decoded(process, latents.x_0.flatten(0, 1), END_SIDE)
    else:
        decoded = False
        scale = _false_colour_scale(torch.cat(flat))
        drawn = [_false_colour(rows, scale, process.latent_shape) for rows in flat]
        ends = _false_colour(latents.x_0.flatten(0, 1), scale, process.latent_shape)
    return Pictures(
        decoded,
        sample,
        _folded(drawn[0], halves, steps + 1),
        _folded(drawn[1], halves, steps, 2),
        _folded(ends, len(latents.x_0), 2),
    )


def _predicted(process: GenerativeProcess, latents: Shown) -> Tensor:
    """x̂₀ under text1 and text2 at every step of both halves: (2, steps, 2, *latent_shape)."""
    denoises = cast(Denoises, process)
    guided = [
        guide(eps, latents.eps_uncond, process.guidance)
        for eps in (latents.eps_own, latents.eps_cross)
    ]
    found = []
    for half in range(2):
        texts = (guided[half], guided[1 - half])  # own is text1 on half 0, text2 on half 1
        for step in range(latents.x.shape[1]):
            x = torch.stack([latents.x[half, step]] * 2).to(process.device)
            both = torch.stack([text[half, step] for text in texts]).to(process.device)
            found.append(denoises.denoised(x, step, both).cpu())
    return torch.stack(found).reshape(*latents.x.shape[:2], 2, *process.latent_shape)


def _plain(x: Tensor, schedule: Schedule) -> Tensor:
    """x_j as a decoder expects latents: near unit variance, whatever the solver's scale."""
    if schedule.initial_scale < _EXPLODING:
        return x
    sigmas = torch.tensor(schedule.sigmas[:-1], dtype=torch.float64)
    scale = (1 + sigmas.square()).rsqrt().to(x)
    return x * scale.reshape(1, -1, *[1] * (x.dim() - 2))


def _decoded(process: Decodes, latents: Tensor, side: int) -> Tensor:
    """(n, *latent_shape) → (n, 3, H, W), some at a time, so that few are large at once."""
    parts = []
    for row in range(0, len(latents), 8):
        drawn = process.decode(latents[row : row + 8]).to("cpu", torch.float32)
        if not drawn.isfinite().all():
            raise NonFiniteError("the decoder gave NaN or infinity: try dtype float32")
        parts.append(shrunk(drawn, side))
    return torch.cat(parts)


def picture_pixels(process: GenerativeProcess, decoder: Decodes) -> int:
    """How many pixels a picture of x_0 has here: one latent of zeros is decoded to see it."""
    blank = torch.zeros(1, *process.latent_shape, device=process.device, dtype=process.latent_dtype)
    return shrunk(decoder.decode(blank), END_SIDE)[0, 0].numel()


def shrunk(drawn: Tensor, side: int) -> Tensor:
    """Pictures (n, 3, H, W) with at most ``side`` pixels a side, averaged where they have more."""
    height, width = drawn.shape[-2:]
    factor = max(height, width) / side
    if factor <= 1:
        return drawn
    size = (max(1, math.floor(height / factor)), max(1, math.floor(width / factor)))
    return adaptive_avg_pool2d(drawn, size)


def _false_colour_scale(latents: Tensor) -> tuple[float, float]:
    """What is black and what is full colour: the range of all latents but the outermost 2 %."""
    values = latents.double().flatten().sort().values
    last = len(values) - 1
    low, high = (float(values[round(share * last)]) for share in (0.01, 0.99))
    return low, max(high, low + 1e-9)


def _false_colour(
    latents: Tensor, scale: tuple[float, float], latent_shape: tuple[int, ...]
) -> Tensor:
    """(n, *latent_shape) → (n, 3, h, w): the first three channels; grey if there are fewer."""
    low, high = scale
    size = positions(latent_shape)
    planes = latents.reshape(len(latents), -1, *size).double()
    if not planes.isfinite().all():
        raise NonFiniteError("the latents of a picture are NaN or infinity: try dtype float32")
    planes = planes[:, :3] if planes.shape[1] >= 3 else planes[:, :1].expand(-1, 3, -1, -1)
    return ((planes - low) / (high - low)).clamp(0, 1).float()


def _folded(drawn: Tensor, *leading: int) -> Picture:
    """(n, 3, H, W) → (*leading, H, W, 3)."""
    found: Picture = np.ascontiguousarray(
        drawn.permute(0, 2, 3, 1).reshape(*leading, *drawn.shape[2:], 3).numpy()
    )
    return found

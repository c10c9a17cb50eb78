"""Collect what one pass of the estimator shows of one pair: maps, and the latents of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..core.types import Comparison, Pair, TrajectoryStep


def positions(latent_shape: Sequence[int]) -> tuple[int, int]:
    """(h, w) of a latent's map: the last two axes, those between channels and rows stacked.

    A vector has one row. A latent of two axes has no channels.

    >>> positions((4, 64, 48)), positions((7,)), positions((5, 6)), positions((4, 3, 8, 9))
    ((64, 48), (1, 7), (5, 6), (24, 9))
    """
    if len(latent_shape) == 1:
        return 1, latent_shape[0]
    *rows, width = latent_shape[1:] if len(latent_shape) > 2 else latent_shape
    return torch.Size(rows).numel(), width


def over_positions(values: Tensor, latent_shape: Sequence[int]) -> Tensor:
    """(…, *latent_shape) → (…, h, w): the sums over channels."""
    leading = values.shape[: values.dim() - len(latent_shape)]
    if len(latent_shape) > 2:
        values = values.sum(dim=len(leading))
    return values.reshape(*leading, *positions(latent_shape))


@runtime_checkable
class Arranges(Protocol):
    """A process whose pictures lie otherwise than its latents, as a spectrogram may."""

    def picture_order(self, maps: Tensor) -> Tensor:
        """(…, h, w) of latent positions → (…, h', w') as ``decode`` lays them out, none lost."""
        ...


@dataclass
class Shown:
    """The latents of one sample, and x_0 of all; every prediction is unguided.

    x:          (2 halves, steps, *latent_shape), x_j in the solver's scale
    eps_own:    (2, steps, *latent_shape), under the half's own text; eps_cross: the other text
    eps_uncond: the same for ε_∅; None without guidance
    x_0:        (samples, 2, *latent_shape)
    """

    x: Tensor
    eps_own: Tensor
    eps_cross: Tensor
    eps_uncond: Tensor | None
    x_0: Tensor


@dataclass
class Collector:
    """An observer of one pair, which may be one of many in a run.

    pair:         (text1, text2), two different texts
    seeds:        the noise of each sample
    weights:      (2, steps) float64, by which squared differences are multiplied
    latent_shape: of the process
    shown:        which sample's latents are kept; None keeps none
    arranges:     lays maps out as pictures; None where they lie as latents do
    """

    pair: Pair
    seeds: Sequence[int]
    weights: Tensor
    latent_shape: tuple[int, ...]
    shown: int | None
    arranges: Arranges | None = None
    maps: Tensor = field(init=False)
    latents: Shown | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        size = positions(self.latent_shape)
        shape = (len(self.seeds), *self.weights.shape, *size)
        self.maps = self._arranged(torch.full(shape, torch.nan, dtype=torch.float64)).clone()

    def on_step(self, prompts: Sequence[str], seeds: Sequence[int], step: TrajectoryStep) -> None:
        if self.shown is None:
            return
        for half, text in enumerate(self.pair):
            if text in prompts:
                self._keep_step(half, prompts.index(text), seeds, step)

    def on_comparison(self, comparison: Comparison) -> None:
        if comparison.pair not in (self.pair, self.pair[::-1]):
            return
        # the observer is shown a pair in alphabetical order
        order = [0, 1] if comparison.pair == self.pair else [1, 0]
        squares = comparison.squares[:, order].cpu()
        maps = self._arranged(over_positions(squares, self.latent_shape))
        for n, (seed, step) in enumerate(
            zip(comparison.seed.tolist(), comparison.step.tolist(), strict=True)
        ):
            sample = self.seeds.index(seed)
            self.maps[sample, :, step] = maps[n] * self.weights[:, step, None, None]
            if sample == self.shown:
                kept = self._kept(comparison.x)
                kept.eps_cross[:, step] = comparison.eps_cross[n, order].cpu()

    def _arranged(self, maps: Tensor) -> Tensor:
        return maps if self.arranges is None else self.arranges.picture_order(maps)

    def _keep_step(self, half: int, row: int, seeds: Sequence[int], step: TrajectoryStep) -> None:
        kept = self._kept(step.x)
        if step.x_next is not None:  # the last one stays: x_0
            for n, seed in enumerate(seeds):
                kept.x_0[self.seeds.index(seed), half] = step.x_next[row, n].cpu()
        assert self.shown is not None
        if (seed := self.seeds[self.shown]) not in seeds:
            return
        n = seeds.index(seed)
        kept.x[half, step.step] = step.x[row, n].cpu()
        kept.eps_own[half, step.step] = step.eps_cond[row, n].cpu()
        if step.eps_uncond is not None:
            if kept.eps_uncond is None:
                kept.eps_uncond = torch.full_like(kept.x, torch.nan)
            kept.eps_uncond[half, step.step] = step.eps_uncond[row, n].cpu()

    def _kept(self, like: Tensor) -> Shown:
        if self.latents is None:
            shape = (2, self.weights.shape[1], *self.latent_shape)
            # NaN: what was never shown must not pass for a picture
            x, own, cross = (torch.full(shape, torch.nan, dtype=like.dtype) for _ in range(3))
            ends = torch.full((len(self.seeds), 2, *self.latent_shape), torch.nan, dtype=like.dtype)
            self.latents = Shown(x, own, cross, None, ends)
        return self.latents

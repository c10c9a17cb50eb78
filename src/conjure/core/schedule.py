"""Noise levels, in one currency for every sampler: the noise-to-signal ratio σ̂ = σ/α."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The T steps of a sampler, from noise to picture.

    timesteps:     T values, what the network is told at each step
    sigmas:        T + 1 ratios σ̂_j = σ(t_j)/α(t_j), falling; the last is where the sampler ends
    initial_scale: x_T = initial_scale · standard normal noise, in the solver's own scale
    stochastic:    whether the solver adds noise on the way (an SDE) or not (its ODE)
    """

    timesteps: tuple[float, ...]
    sigmas: tuple[float, ...]
    initial_scale: float
    stochastic: bool

    @property
    def digest(self) -> str:
        """8 hexadecimal digits for the steps themselves, to six significant digits.

        It tells two grids apart that go by one sampler's name, in two versions of a library say.
        """
        values = (*self.timesteps, *self.sigmas, self.initial_scale)
        text = " ".join(f"{value:.6g}" for value in values) + f" {self.stochastic}"
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def __len__(self) -> int:
        return len(self.timesteps)

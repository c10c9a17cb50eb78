"""Noise levels, in one currency for every sampler: the noise-to-signal ratio σ̂ = σ/α."""

from __future__ import annotations

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

    def __len__(self) -> int:
        return len(self.timesteps)

"""The noise levels of a sampler, all as the noise-to-signal ratio σ̂ = σ/α."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple


class Transition(NamedTuple):
    """One step of a sampler that adds noise, in the variance-exploding coordinate x/α.

    x_{j+1}/α_{j+1} = (a function of x_j) + shift · ε + noise · z, with z standard normal.
    """

    shift: float
    noise: float


@dataclass(frozen=True)
class Schedule:
    """The T steps of a sampler, from noise to picture.

    timesteps:     T values, the network's time input at each step
    sigmas:        T + 1 ratios σ̂_j = σ(t_j)/α(t_j), never rising; the last one is the end of the
                   walk
    initial_scale: x_T = initial_scale · standard normal noise, in the solver's own scale
    stochastic:    whether the solver adds noise on the way (an SDE) or not (its ODE)
    transitions:   the T steps of a stochastic solver; None if it does not state them
    renews:        whether a stochastic solver draws all of x's noise anew at each step (LCM,
                   ``stochastic_sampling`` of flow matching). Then it discretises no SDE
    """

    timesteps: tuple[float, ...]
    sigmas: tuple[float, ...]
    initial_scale: float
    stochastic: bool
    transitions: tuple[Transition, ...] | None = None
    renews: bool = False

    @property
    def digest(self) -> str:
        """8 hexadecimal digits that stand for all values, each to six significant digits.

        Two grids of one sampler's name, from two versions of a library say, have two digests.
        """
        values = (*self.timesteps, *self.sigmas, self.initial_scale)
        text = " ".join(f"{value:.6g}" for value in values) + f" {self.stochastic}"
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def fault(self) -> str | None:
        """What is wrong with it, in words that name the field; None where nothing is.

        A step may stay at its σ̂: the last one of diffusers' ``ddim``, and steps of solvers that
        predict twice at one noise level (PNDM, Heun).
        """
        steps = len(self.timesteps)
        if not steps:
            return "its schedule has no steps"
        if len(self.sigmas) != steps + 1:
            return f"its schedule has {steps} timesteps and {len(self.sigmas)} sigmas, not one more"
        falling = all(then <= now for now, then in itertools.pairwise(self.sigmas))
        if not (falling and self.sigmas[-1] >= 0):
            return "the sigmas of its schedule must fall, and not below 0"
        if not (isinstance(self.initial_scale, Real) and math.isfinite(self.initial_scale)):
            return "the initial_scale of its schedule must be a finite number"
        if self.transitions is not None and len(self.transitions) != steps:
            return f"its schedule has {steps} timesteps and {len(self.transitions)} transitions"
        return None

    def __len__(self) -> int:
        return len(self.timesteps)


def euler_maruyama(sigmas: Sequence[float]) -> tuple[Transition, ...]:
    """Steps of the reverse SDE with its own noise: variance g² Δt = σ̂_j² − σ̂_{j+1}²."""
    lost = [(now, now**2 - then**2) for now, then in itertools.pairwise(sigmas)]
    return tuple(Transition(-variance / now, math.sqrt(variance)) for now, variance in lost)


def ancestral(sigmas: Sequence[float]) -> tuple[Transition, ...]:
    """Steps that draw from q(x_{j+1} | x_j, x₀) with x₀ = x_j/α_j − σ̂_j ε, as DDPM does.

    (Ho et al. 2020, equations 6 and 7; diffusers' ``ddpm`` and ``euler-ancestral``.) The mean is
    that of Euler–Maruyama; the variance is r = σ̂²_{j+1}/σ̂²_j times its variance. There is no noise
    if σ̂_{j+1} = 0.
    """
    found = []
    for (now, then), step in zip(itertools.pairwise(sigmas), euler_maruyama(sigmas), strict=True):
        found.append(Transition(step.shift, step.noise * then / now))
    return tuple(found)


def ddim(sigmas: Sequence[float], eta: float) -> tuple[Transition, ...]:
    """Steps of DDIM with η: the noise of DDPM's posterior times η (Song et al. 2021, equation 16).

    x_{j+1}/α_{j+1} = x̂₀ + √(σ̂²_{j+1} − s²) ε + s z with x̂₀ = x_j/α_j − σ̂_j ε. With η = 1 these are
    the steps of ``ancestral``; with η = 0 there is no noise.
    """
    found = []
    for (now, then), step in zip(itertools.pairwise(sigmas), ancestral(sigmas), strict=True):
        noise = eta * step.noise
        found.append(Transition(math.sqrt(max(then**2 - noise**2, 0.0)) - now, noise))
    return tuple(found)

"""A sampler's name → diffusers' scheduler, its noise levels σ̂, and a solver that walks it.

Every scheduler here is fed ε, whatever the network predicts, so that all share one currency.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.schedule import Schedule
from .quiet import quiet

# ε in, nothing clipped: the latents are no pictures, and a clipped step is another process.
_COMMON = {"prediction_type": "epsilon", "clip_sample": False, "thresholding": False}

# FP16's smallest positive number: what diffusers' σ-samplers put for ᾱ = 0, so that σ̂ is finite.
_LEAST_ALPHA_BAR = 2.0**-24


@dataclass(frozen=True)
class _Kind:
    scheduler: Any
    exploding: bool  # x in the variance-exploding scale (x₀ + σ̂ε), or preserving (αx₀ + σε)
    stochastic: bool
    overrides: Mapping[str, Any]


_KINDS = {
    "lms": _Kind(diffusers.LMSDiscreteScheduler, True, False, {}),
    "euler": _Kind(diffusers.EulerDiscreteScheduler, True, False, {"timestep_type": "discrete"}),
    "euler-ancestral": _Kind(diffusers.EulerAncestralDiscreteScheduler, True, True, {}),
    "ddim": _Kind(diffusers.DDIMScheduler, False, False, {}),
    "ddpm": _Kind(diffusers.DDPMScheduler, False, True, {"variance_type": "fixed_small"}),
    "dpm-solver++": _Kind(
        diffusers.DPMSolverMultistepScheduler,
        False,
        False,
        {"algorithm_type": "dpmsolver++", "use_flow_sigmas": False},  # the ODE, not the SDE
    ),
}


def scheduler_class(name: str) -> Any:
    """diffusers' class for a sampler's name."""
    return _KINDS[name].scheduler


class Sampler:
    """One sampler at T steps on one model's noise schedule.

    schedule:    its timesteps and σ̂, as the core wants them
    input_scale: T factors; the network's input is ``input_scale[j] · x_j``
    """

    def __init__(self, name: str, steps: int, config: Mapping[str, Any]) -> None:
        """config: that of the scheduler which the model came with.

        Raises InputError for more steps than the model was trained on or the sampler can tell
        apart.
        """
        self._kind = _KINDS[name]
        if config.get("rescale_betas_zero_snr") and name == "lms":
            raise InputError(
                "lms does not know the noise schedule of this model (zero terminal SNR);"
                " choose another sampler, euler or ddim for example"
            )
        trained = config["num_train_timesteps"]
        if steps > trained:
            raise InputError(f"{steps} steps are more than the {trained} the model was trained on")
        self._fresh = _scheduler(self._kind, steps, config)
        sigmas = _sigmas(self._fresh)
        if len(sigmas) != steps + 1 or not _falling(sigmas):
            # rounding to whole timesteps gives one twice, or one outside the training's
            raise InputError(f"{name} cannot take {steps} steps with this model; take fewer")
        self.schedule = Schedule(
            timesteps=tuple(float(t) for t in self._fresh.timesteps),
            sigmas=tuple(sigmas),
            initial_scale=float(self._fresh.init_noise_sigma),
            stochastic=self._kind.stochastic,
        )
        exploding = self._kind.exploding
        self.input_scale = tuple((s * s + 1) ** -0.5 if exploding else 1.0 for s in sigmas[:-1])

    def solver(self) -> SchedulerSolver:
        """A fresh solver: diffusers' schedulers keep a trajectory's history to themselves."""
        return SchedulerSolver(copy.deepcopy(self._fresh), self._kind.stochastic)


class SchedulerSolver:
    """One diffusers scheduler as the core's ``Solver``."""

    def __init__(self, scheduler: Any, stochastic: bool) -> None:
        self._scheduler = scheduler
        self._stochastic = stochastic

    def step(
        self, x: Tensor, prediction: Tensor, step: int, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """x_j and ε, both (n, *latent_shape) → x_{j+1}; see ``core.process.Solver``.

        Noise is drawn one row at a time, each from its own generator, in the dtype of ``x``.
        Of a float64 ``x``, diffusers' euler, euler-ancestral and dpm-solver++ take the nearest
        float32 before they add to it; the other samplers keep it.
        """
        # one generator a row: rows with equal generators get equal noise, in whatever batch
        noise = {"generator": list(generators)} if self._stochastic else {}
        timestep = self._scheduler.timesteps[step]
        return self._scheduler.step(prediction, timestep, x, return_dict=False, **noise)[0]


def _scheduler(kind: _Kind, steps: int, config: Mapping[str, Any]) -> Any:
    overrides = {**_COMMON, **kind.overrides}
    if steps == 1:
        # The other spacings put a single step at the clean end, where x_T is no noise at all.
        overrides["timestep_spacing"] = "trailing"
    with quiet():
        scheduler = kind.scheduler.from_config(config, **overrides)
        scheduler.set_timesteps(steps)
    # diffusers keeps its tables in float32, too coarse for a float64 run. As 0-d factors they
    # never widen a float32 latent.
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double().clamp(min=_LEAST_ALPHA_BAR)
    if hasattr(scheduler, "sigmas"):
        scheduler.sigmas = scheduler.sigmas.double()
        scheduler.set_begin_index(0)  # by counting: a timestep may occur twice in a table
        scheduler.is_scale_input_called = True  # the adapter scales; the flag only warns
    return scheduler


def _sigmas(scheduler: Any) -> list[float]:
    """The T + 1 ratios σ̂ = σ/α, the last where the sampler ends."""
    if hasattr(scheduler, "sigmas"):
        return [float(s) for s in scheduler.sigmas]
    inside = scheduler.timesteps[scheduler.timesteps < len(scheduler.alphas_cumprod)]
    alpha_bar = scheduler.alphas_cumprod[inside].tolist()
    alpha_bar.append(float(getattr(scheduler, "final_alpha_cumprod", 1.0)))  # DDPM ends at x₀
    return [((1 - a) / a) ** 0.5 for a in alpha_bar]


def _falling(sigmas: Sequence[float]) -> bool:
    """Whether every step lowers the noise; DDIM's last may stay where it is (ᾱ₀ to ᾱ₀)."""
    inner = all(after < before for before, after in itertools.pairwise(sigmas[:-1]))
    return inner and sigmas[-1] <= sigmas[-2]

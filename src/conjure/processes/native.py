"""``sampler="native"``: the scheduler that a pipeline came with, in its own configuration.

It is walked as the pipeline's own call does it, so clipping, karras sigmas, orders and noise are
the model's. A solver that predicts more than once a step (PNDM at its start, Heun) has as many
steps here as predictions: each is a point at which two prompts can be compared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import diffusers

from ..core.errors import InputError
from ..core.schedule import Transition, ancestral, ddim
from .quiet import quiet
from .samplers import Sampler, check_steps, noise_levels, set_out

# x in the variance-exploding scale (x₀ + σ̂ε) or in the preserving one (αx₀ + σε)
_EXPLODING = (
    diffusers.LMSDiscreteScheduler,
    diffusers.EulerDiscreteScheduler,
    diffusers.EulerAncestralDiscreteScheduler,
    diffusers.HeunDiscreteScheduler,
)
_PRESERVING = (
    diffusers.DDIMScheduler,
    diffusers.DDPMScheduler,
    diffusers.PNDMScheduler,
    diffusers.LCMScheduler,
    diffusers.DPMSolverMultistepScheduler,
    diffusers.DPMSolverSinglestepScheduler,
    diffusers.UniPCMultistepScheduler,
    diffusers.DEISMultistepScheduler,
)
_NOISY = (
    diffusers.EulerAncestralDiscreteScheduler,
    diffusers.DDPMScheduler,
    diffusers.LCMScheduler,
)


class NativeSampler(Sampler):
    """The pipeline's own scheduler at T steps; the attributes are those of ``Sampler``."""

    def __init__(self, scheduler: Any, steps: int, eta: float = 0.0) -> None:
        """scheduler: the pipeline's own; it is left as it is. eta: of DDIM.

        Raises InputError for a scheduler that is not known here, more steps than the model was
        trained on, or tables that no sampler could walk.
        """
        kind, config = type(scheduler), scheduler.config
        flow = config.get("use_flow_sigmas") or config.get("prediction_type") == "flow_prediction"
        if kind not in (*_EXPLODING, *_PRESERVING) or flow:
            known = ", ".join(sorted(each.__name__ for each in (*_EXPLODING, *_PRESERVING)))
            raise InputError(
                f"its scheduler, {kind.__name__}{' on flow sigmas' if flow else ''}, is not walked"
                f" as it is (known are {known}): choose another sampler"
            )
        if "learned" in str(config.get("variance_type")):
            raise InputError(
                "its scheduler takes a learned variance, which is not walked as it is: choose"
                " another sampler, ddpm or ddim for example"
            )
        if eta and kind is not diffusers.DDIMScheduler:
            raise InputError(f"eta goes with DDIM, not with the model's own {kind.__name__}")
        check_steps(steps, config)
        with quiet():
            self._fresh = set_out(kind.from_config(config), steps)
        sigmas = noise_levels(self._fresh)
        if kind is diffusers.LCMScheduler:
            sigmas[-1] = 0.0  # its last step ends at x̂₀
        if len(sigmas) != len(self._fresh.timesteps) + 1 or sigmas != sorted(sigmas, reverse=True):
            raise InputError(f"{kind.__name__} cannot take {steps} steps with this model")
        self.step_options = {"eta": eta} if eta else {}
        noisy = kind in _NOISY or eta > 0 or _algorithm(config).startswith("sde-")
        transitions = _transitions(kind, config, sigmas, eta)
        self._settle(sigmas, transitions, noisy, kind in _EXPLODING)
        if kind is diffusers.LCMScheduler:
            self.schedule = replace(self.schedule, renews=True)


def _algorithm(config: Any) -> str:
    """Which of the DPM-Solvers; "" for others."""
    return str(config.get("algorithm_type") or "")


def _transitions(
    kind: Any, config: Any, sigmas: list[float], eta: float
) -> tuple[Transition, ...] | None:
    """The steps of a chain whose mean is linear in ε; None where it is not, or is not known."""
    if config.get("clip_sample") or config.get("thresholding"):
        return None
    if kind is diffusers.DDIMScheduler and eta:
        return ddim(sigmas, eta)
    small = kind is diffusers.DDPMScheduler and config.get("variance_type") == "fixed_small"
    if small or kind is diffusers.EulerAncestralDiscreteScheduler:
        return ancestral(sigmas)
    return None

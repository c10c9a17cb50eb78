"""A flow-matching model's own scheduler: its noise levels, and a solver that walks it.

A flow model interpolates: x = (1 − σ)x₀ + σε, with 0 ≤ σ ≤ 1. Its network predicts the velocity
v = ε − x₀ (Lipman et al. 2023; Liu et al. 2023). The solver's currency is v. At σ = 1 it must be:
ε = x + (1 − σ)v is x itself there, whatever v is.

Every level is read from ``scheduler.sigmas`` after ``set_timesteps``. None is computed from the
configuration: diffusers applies a static shift once when the scheduler is made and once more when
the steps are set.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import numpy
import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.schedule import Schedule
from .quiet import quiet
from .samplers import wide_dtype

_EULER = diffusers.FlowMatchEulerDiscreteScheduler
_DPM = diffusers.DPMSolverMultistepScheduler


class FlowSampler:
    """A flow model's scheduler at T steps.

    schedule:    its timesteps and σ̂ = σ/(1 − σ), as the core wants them; σ̂ is infinite at σ = 1
    levels:      the T + 1 σ themselves, falling from at most 1
    input_scale: T ones; the network's input is x_j itself
    alpha_sigma: T pairs (1 − σ, σ); the network's input is (1 − σ)x₀ + σε
    """

    def __init__(self, scheduler: Any, steps: int, **arguments: Any) -> None:
        """scheduler: what the model came with. It is not changed.

        arguments: what the model's pipeline gives ``set_timesteps`` besides the number of steps,
                   such as ``mu`` or ``sigmas``

        Raises InputError for a scheduler that is not one of flow matching, and for steps that it
        cannot take.
        """
        _check_kind(scheduler)
        trained = scheduler.config.num_train_timesteps
        if steps > trained:
            raise InputError(f"{steps} steps are more than the {trained} the model was trained on")
        self._fresh = _scheduler(scheduler, steps, arguments)
        self.levels = tuple(float(level) for level in self._fresh.sigmas)
        if len(self.levels) != steps + 1 or not _falling(self.levels):
            raise InputError(f"its scheduler cannot take {steps} steps; take another number")
        sigmas = tuple(level / (1 - level) if level < 1 else math.inf for level in self.levels)
        self.schedule = Schedule(
            timesteps=tuple(float(t) for t in self._fresh.timesteps),
            sigmas=sigmas,
            initial_scale=1.0,
            stochastic=_is_stochastic(self._fresh),
            renews=bool(self._fresh.config.get("stochastic_sampling")),
        )
        self.input_scale = (1.0,) * steps
        self.alpha_sigma = tuple((1 - level, level) for level in self.levels[:-1])

    def comparison_factors(self, prediction: str, compare: str) -> list[tuple[float, float]]:
        """T pairs (c, d): what is compared is c · v + d · x_j; see ``core/currency.py``.

        compare: "epsilon", ε = x + (1 − σ)v; "score", −ε/σ up to its sign; "velocity" and
                 "output", v. The prediction is always a velocity
        """
        if compare == "epsilon":
            return [(alpha, 1.0) for alpha, _ in self.alpha_sigma]
        if compare == "score":
            return [(alpha / sigma, 1 / sigma) for alpha, sigma in self.alpha_sigma]
        return [(1.0, 0.0)] * len(self.schedule)

    def solver(self) -> FlowSolver:
        """A new solver; a scheduler holds one trajectory's history."""
        return FlowSolver(copy.deepcopy(self._fresh), self.schedule.stochastic)


class FlowSolver:
    """One flow-matching scheduler of diffusers as the core's ``Solver``; its currency is v."""

    def __init__(self, scheduler: Any, stochastic: bool) -> None:
        self._scheduler = scheduler
        self._stochastic = stochastic

    def step(
        self, x: Tensor, prediction: Tensor, step: int, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """x_j and the guided v, both (n, *latent_shape) → x_{j+1} in x's dtype.

        A deterministic step is taken in float64, where the device knows it; diffusers takes the
        nearest float32 of x before it adds to it. A stochastic one is taken in the dtype of x, as
        is its noise, one row at a time, each from its own generator.
        """
        scheduler, dtype = self._scheduler, x.dtype
        wide = x if self._stochastic else x.to(wide_dtype(x))
        noise = {"generator": list(generators)} if self._stochastic else {}
        after = scheduler.step(
            prediction.to(wide.dtype), scheduler.timesteps[step], wide, return_dict=False, **noise
        )[0]
        return after.to(dtype)


def _check_kind(scheduler: Any) -> None:
    """InputError where the scheduler is none that is walked here, or is set to something else."""
    kind, config = type(scheduler), scheduler.config
    if kind is _EULER:
        if config.invert_sigmas:
            raise InputError("its scheduler inverts its sigmas (invert_sigmas), not known here")
        return
    if kind is not _DPM:
        raise InputError(
            f"its scheduler is {kind.__name__}; a flow model is walked by {_EULER.__name__}, or by"
            f" {_DPM.__name__} with flow sigmas"
        )
    wanted = {
        "use_flow_sigmas": (True,),
        "prediction_type": ("flow_prediction",),
        "algorithm_type": ("dpmsolver++", "sde-dpmsolver++"),
        "thresholding": (False,),
    }
    for name, values in wanted.items():
        if config[name] not in values:
            raise InputError(
                f"its scheduler, {kind.__name__}, says {name}: {config[name]}; a flow model is"
                f" walked with {' or '.join(map(str, values))}"
            )


def _scheduler(scheduler: Any, steps: int, arguments: Mapping[str, Any]) -> Any:
    """A scheduler of the same kind and configuration at T steps."""
    with quiet(), numpy.errstate(invalid="ignore"):  # one step with shift_terminal: σ is NaN
        fresh = type(scheduler).from_config(scheduler.config)
        fresh.set_timesteps(**{"num_inference_steps": steps, **arguments})
    # diffusers keeps the table in float32, too coarse for a float64 run. As 0-d factors its values
    # never widen a float32 latent.
    fresh.sigmas = fresh.sigmas.double()
    fresh.set_begin_index(0)  # by counting: a timestep may occur twice in a table
    return fresh


def _is_stochastic(scheduler: Any) -> bool:
    config = scheduler.config
    return bool(config.get("stochastic_sampling")) or config.get("algorithm_type", "").startswith(
        "sde-"
    )


def _falling(levels: Sequence[float]) -> bool:
    """Whether the levels fall all the way, from at most 1 to at least 0; False for NaN."""
    return levels[0] <= 1 and levels[-1] >= 0 and all(b < a for a, b in itertools.pairwise(levels))

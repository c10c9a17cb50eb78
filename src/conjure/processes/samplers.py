"""A sampler's name → diffusers' scheduler, its noise levels σ̂, and a solver that walks it.

Every solver here is fed ε, whatever the network predicts, so that all share one currency. The
scheduler inside gets back what the network predicted: near pure noise x₀ = (x − σε)/α would cancel.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import diffusers
import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.process import Solver
from ..core.schedule import Schedule, Transition, ancestral, ddim
from .quiet import quiet

# Nothing clipped: the latents are no pictures, and a clipped step is another process.
_COMMON = {"clip_sample": False, "thresholding": False}

# FP16's smallest positive number: what diffusers' σ-samplers put for ᾱ = 0, so that σ̂ is finite.
_ZERO_ALPHA_BAR = 2.0**-24


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


class AnySampler(Protocol):
    """What a process needs of its sampler, of this module or of ``flow_samplers``."""

    @property
    def schedule(self) -> Schedule:
        """Timesteps and σ̂, as the core wants them."""
        ...

    @property
    def input_scale(self) -> Sequence[float]:
        """T factors; the network's input is ``input_scale[j] · x_j``."""
        ...

    @property
    def alpha_sigma(self) -> Sequence[tuple[float, float]]:
        """T pairs (α, σ); the network's input is αx₀ + σε."""
        ...

    def comparison_factors(self, prediction: str, compare: str) -> list[tuple[float, float]]:
        """T pairs (c, d): what is compared is c · prediction + d · x_j."""
        ...

    def solver(self) -> Solver:
        """A new solver."""
        ...


def scheduler_class(name: str) -> Any:
    """diffusers' class for a sampler's name."""
    return _KINDS[name].scheduler


class Sampler:
    """One sampler at T steps on one model's noise schedule.

    schedule:    its timesteps and σ̂, as the core wants them
    input_scale: T factors; the network's input is ``input_scale[j] · x_j``
    alpha_sigma: T pairs (α, σ) with α² + σ² = 1; the network's input is αx₀ + σε
    """

    step_options: Mapping[str, Any] = MappingProxyType({})  # of the scheduler's step

    def __init__(self, name: str, steps: int, config: Mapping[str, Any], eta: float = 0.0) -> None:
        """config: that of the scheduler which the model came with; eta: of ddim.

        Raises InputError for more steps than the model was trained on or the sampler can tell
        apart.
        """
        kind = _KINDS[name]
        if eta and name != "ddim":
            raise InputError(f"eta goes with the sampler ddim, not with {name}")
        if config.get("rescale_betas_zero_snr") and name == "lms":
            raise InputError(
                "lms does not know the noise schedule of this model (zero terminal SNR);"
                " choose another sampler, euler or ddim for example"
            )
        if "beta_schedule" not in config or config.get("use_flow_sigmas"):
            raise InputError(
                f"its scheduler, {config.get('_class_name', 'without a name')}, has no noise"
                " schedule of betas, and no sampler here walks another"
            )
        check_steps(steps, config)
        self._fresh = _scheduler(kind, steps, config)
        sigmas = noise_levels(self._fresh)
        if len(sigmas) != steps + 1 or not _falling(sigmas):
            # rounding to whole timesteps gives one twice, or one outside the training's
            raise InputError(f"{name} cannot take {steps} steps with this model; take fewer")
        # both stochastic kinds draw from the same posterior, in scales of their own
        transitions = ancestral(sigmas) if kind.stochastic else None
        if eta:
            self.step_options = {"eta": eta}
            transitions = ddim(sigmas, eta)
        self._settle(sigmas, transitions, kind.stochastic or eta > 0, kind.exploding)

    def _settle(
        self,
        sigmas: Sequence[float],
        transitions: tuple[Transition, ...] | None,
        stochastic: bool,
        exploding: bool,
    ) -> None:
        """The tables of the scheduler ``_fresh``."""
        self.schedule = Schedule(
            timesteps=tuple(float(t) for t in self._fresh.timesteps),
            sigmas=tuple(sigmas),
            initial_scale=float(self._fresh.init_noise_sigma),
            stochastic=stochastic,
            transitions=transitions,
        )
        alphas = [(s * s + 1) ** -0.5 for s in sigmas[:-1]]
        self.alpha_sigma = tuple((a, a * s) for a, s in zip(alphas, sigmas, strict=False))
        self.input_scale = tuple(alphas) if exploding else (1.0,) * len(alphas)

    def comparison_factors(self, prediction: str, compare: str) -> list[tuple[float, float]]:
        """T pairs (c, d): what is compared is c · ε + d · x_j; see ``core/currency.py``.

        prediction: what the network gives: "epsilon", "v_prediction" or "sample"
        compare:    "epsilon"; "score", −ε/σ up to its sign; "velocity", v = (ε − σx)/α; or
                    "output", the prediction itself, and x₀ = (x − σε)/α up to its sign
        """
        names = {"epsilon": "epsilon", "v_prediction": "velocity", "sample": "x0"}
        kind = names[prediction] if compare == "output" else compare
        found = []
        for (alpha, sigma), scale in zip(self.alpha_sigma, self.input_scale, strict=True):
            c, d = {
                "epsilon": (1.0, 0.0),
                "score": (1 / sigma, 0.0),
                "velocity": (1 / alpha, -sigma / alpha),
                "x0": (sigma / alpha, -1 / alpha),
            }[kind]
            found.append((c, d * scale))
        return found

    def solver(self) -> SchedulerSolver:
        """A fresh solver: diffusers' schedulers keep a trajectory's history to themselves."""
        return SchedulerSolver(copy.deepcopy(self._fresh), self)


class SchedulerSolver:
    """One diffusers scheduler as the core's ``Solver``."""

    def __init__(self, scheduler: Any, sampler: Sampler) -> None:
        self._scheduler = scheduler
        self._sampler = sampler

    def step(
        self, x: Tensor, prediction: Tensor, step: int, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """x_j and ε, both (n, *latent_shape) → x_{j+1} in x's dtype; see ``core.process.Solver``.

        ε may be wider than x. A converted ε should be: near pure noise it hardly differs from x,
        and the network's own prediction is recovered from its last digits.
        A deterministic step is taken in float64, where the device knows it. A stochastic one in the
        dtype of ``x``, as is its noise, one row at a time, each from its own generator.
        Of a float64 ``x``, diffusers' euler, euler-ancestral and dpm-solver++ take the nearest
        float32 before they add to it; the other samplers keep it.
        """
        scheduler, stochastic = self._scheduler, self._sampler.schedule.stochastic
        wide = x.to(wide_dtype(x))
        alpha, sigma = self._sampler.alpha_sigma[step]
        scaled = wide * self._sampler.input_scale[step]
        out = from_epsilon(prediction.to(wide.dtype), scaled, alpha, sigma, _fed(scheduler))
        if stochastic:
            wide, out = x, out.to(x.dtype)
        # one generator a row: rows with equal generators get equal noise, in whatever batch
        options = dict(self._sampler.step_options)
        if stochastic:
            options["generator"] = list(generators)
        after = scheduler.step(out, scheduler.timesteps[step], wide, return_dict=False, **options)[
            0
        ]
        return after.to(x.dtype)


def to_epsilon(out: Tensor, x: Tensor, alpha: Any, sigma: Any, prediction: str) -> Tensor:
    """The network's ε, v or x₀ at x = αx₀ + σε → ε."""
    if prediction == "epsilon":
        return out
    if prediction == "v_prediction":  # v = αε − σx₀ (Salimans & Ho 2022, section 4)
        return alpha * out + sigma * x
    return (x - alpha * out) / sigma


def from_epsilon(epsilon: Tensor, x: Tensor, alpha: Any, sigma: Any, prediction: str) -> Tensor:
    """ε at x = αx₀ + σε → ε, v or x₀: what ``to_epsilon`` undoes."""
    if prediction == "epsilon":
        return epsilon
    if prediction == "v_prediction":
        return (epsilon - sigma * x) / alpha
    return (x - sigma * epsilon) / alpha


def wide_dtype(x: Tensor) -> torch.dtype:
    """float64, where x's device knows it: all do but Apple's."""
    return x.dtype if x.device.type == "mps" else torch.float64


def _fed(scheduler: Any) -> str:
    """What a scheduler's step takes: "epsilon", "v_prediction" or "sample"."""
    return str(scheduler.config.prediction_type)


def _scheduler(kind: _Kind, steps: int, config: Mapping[str, Any]) -> Any:
    overrides = {**_COMMON, **kind.overrides}
    if kind.scheduler is diffusers.EulerAncestralDiscreteScheduler and (
        config.get("prediction_type") == "sample"
    ):
        overrides["prediction_type"] = "epsilon"  # x₀ is what its step does not take
    if steps == 1:
        # The other spacings put a single step at the clean end, where x_T is no noise at all.
        overrides["timestep_spacing"] = "trailing"
    with quiet():
        scheduler = kind.scheduler.from_config(config, **overrides)
    return set_out(scheduler, steps)


def set_out(scheduler: Any, steps: int) -> Any:
    """The scheduler itself, at the beginning of T steps, its tables in float64."""
    with quiet():
        scheduler.set_timesteps(steps)
    # diffusers keeps its tables in float32, too coarse for a float64 run. As 0-d factors they
    # never widen a float32 latent.
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    if _fed(scheduler) == "epsilon":  # x₀ = (x − σε)/α: no step of it starts from α = 0
        scheduler.alphas_cumprod = _positive(scheduler.alphas_cumprod)
    if hasattr(scheduler, "sigmas"):
        scheduler.sigmas = scheduler.sigmas.double()
        scheduler.is_scale_input_called = True  # the adapter scales; the flag only warns
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)  # by counting: a timestep may occur twice in a table
    return scheduler


def check_steps(steps: int, config: Mapping[str, Any]) -> None:
    """Raise InputError for more steps than the model was trained on."""
    trained = config["num_train_timesteps"]
    if steps > trained:
        raise InputError(f"{steps} steps are more than the {trained} the model was trained on")


def noise_levels(scheduler: Any) -> list[float]:
    """The T + 1 ratios σ̂ = σ/α, the last where the sampler ends."""
    if hasattr(scheduler, "sigmas"):
        return [float(s) for s in scheduler.sigmas]
    inside = scheduler.timesteps[scheduler.timesteps < len(scheduler.alphas_cumprod)]
    alpha_bar = _positive(scheduler.alphas_cumprod[inside]).tolist()
    alpha_bar.append(float(getattr(scheduler, "final_alpha_cumprod", 1.0)))  # DDPM ends at x₀
    return [((1 - a) / a) ** 0.5 for a in alpha_bar]


def _positive(alpha_bar: Tensor) -> Tensor:
    """ᾱ, where it is 0 (zero terminal SNR) a small number for it: σ̂ = 4096, not infinity."""
    return alpha_bar.masked_fill(alpha_bar == 0, _ZERO_ALPHA_BAR)


def _falling(sigmas: Sequence[float]) -> bool:
    """Whether every step lowers the noise; DDIM's last may stay where it is (ᾱ₀ to ᾱ₀)."""
    inner = all(after < before for before, after in itertools.pairwise(sigmas[:-1]))
    return inner and sigmas[-1] <= sigmas[-2]

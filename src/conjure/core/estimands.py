"""The estimands: each reduces the terms of a pair to one number a sample, in one entry.

Every reduction is a pure function (Terms) → (samples,) float64. All except ``kl`` are symmetric in
the two prompts. ``registry.py`` says what an entry holds; ``docs/estimands.md`` what it is worth.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import InputError
from .process import GenerativeProcess
from .registry import estimand
from .schedule import Schedule
from .types import Terms


@estimand("jeffreys", "Algorithm 1: both directions, mean over steps", additive=True)
def jeffreys(terms: Terms) -> Tensor:
    """mean_j (forward + backward): the paper's method (the sum of both directions)."""
    return _both(terms).mean(dim=1)


@estimand("kl", "one direction, on the first prompt's trajectories", additive=True)
def kl(terms: Terms) -> Tensor:
    """mean_j forward; not symmetric."""
    return _weighted(terms, terms.forward).mean(dim=1)


@estimand("initial", "step 1 alone, at pure noise")
def initial(terms: Terms) -> Tensor:
    """Step 1 alone, where x is pure noise (a baseline of the paper)."""
    return pointwise(terms, 1)


@estimand("final", "the last step alone")
def final(terms: Terms) -> Tensor:
    """The last step alone (a baseline of the paper)."""
    return pointwise(terms, len(terms.schedule))


@estimand("output", "the pictures: ‖x_0 − x̃_0‖²", needs=frozenset({"output"}))
def output(terms: Terms) -> Tensor:
    """‖x_0 − x̃_0‖²: the final latents, compared directly (a baseline of the paper)."""
    return _recorded(terms.output, "output")


@estimand("coupled", "each prompt on its own trajectory", needs=frozenset({"coupled"}))
def coupled(terms: Terms) -> Tensor:
    """mean_j of ‖ε(x_j|a) − ε(x̃_j|b)‖² + ‖ε(x̃_j|a) − ε(x_j|b)‖², from the authors' poster."""
    return _recorded(terms.coupled, "coupled").mean(dim=1)


def girsanov_reading(process: GenerativeProcess) -> dict[str, str]:
    """What ``girsanov`` integrates over in this process: the fact ``reading`` of its signature.

    path:       the sampler is stochastic. The path measures of the two reverse SDEs, guided or not
    marginal:   the sampler is deterministic and there is no guidance. The marginals p_t, which the
                probability-flow ODE and the SDE share if the network predicts the score of p_t
    trajectory: the sampler is deterministic and guided. The sampler's own trajectories; no
                divergence between known measures. A guided score is not the score of any
                forward-diffused density, so ODE and SDE share no marginals
    """
    if process.schedule.stochastic:
        return {"reading": "path"}
    unguided = process.guidance_mode == "none" or process.guidance == 1
    return {"reading": "marginal" if unguided else "trajectory"}


def girsanov_refusal(schedule: Schedule) -> str | None:
    """Why the steps have no limit as T → ∞; None if they have one."""
    if schedule.renews:
        return "this sampler draws all noise anew at each step, so it follows no SDE; use jeffreys"
    return None


@estimand(
    "girsanov",
    "Girsanov's integral, in nats as T → ∞",
    additive=True,
    refuse=girsanov_refusal,
    read=girsanov_reading,
    of_epsilon=True,
)
def girsanov(terms: Terms) -> Tensor:
    """KL(P_a‖P_b) + KL(P_b‖P_a) in nats as T → ∞: Σ_j ½ g² ‖Δs_j‖² Δt on both trajectories.

    ``girsanov_reading`` says what P_a and P_b are. At finite T this is a left Riemann sum with an
    error of order 1/T. On unguided Gaussians with Stable Diffusion's noise schedule it is 30 to
    52 % too low at T = 10, 7 to 15 % at 50 and 2 to 4 % at 200 (tests/processes/test_worth.py). On
    guided Gaussians of different spread it can be wrong by factors. At T = 10 use it to rank pairs,
    not as a number of nats. ``chain`` is exact at any T.
    """
    return _both(terms) @ girsanov_weights(terms.schedule)


def chain_refusal(schedule: Schedule) -> str | None:
    """Why the chains have no finite divergence on this schedule; None if they have one."""
    if schedule.transitions is None and schedule.stochastic:
        return "the schedule of this sampler does not state its transitions"
    if schedule.transitions is None:
        return (
            "it needs a sampler that adds noise, such as ddpm or euler-ancestral: the chains of a"
            " deterministic one are infinitely far apart; use girsanov"
        )
    *inner, last = schedule.transitions
    if any(step.noise == 0 for step in inner) or (not inner and last.noise == 0):
        return (
            "it needs noise in every step but the last, and in one at least: this sampler with"
            f" {len(schedule)} steps has not; take more"
        )
    return None


@estimand(
    "chain",
    "divergence of the sampled chain, in nats",
    additive=True,
    refuse=chain_refusal,
    of_epsilon=True,
)
def chain(terms: Terms) -> Tensor:
    """KL(Q_a‖Q_b) + KL(Q_b‖Q_a) in nats, where Q are the Markov chains that the sampler walks.

    Exact at any T, for samplers that add noise. From the same x_j, both prompts' steps are
    Gaussians of one variance, which gives Σ_j ½ (shift_j/noise_j)² ‖Δε_j‖².

    The last step of ``ddpm`` and ``euler-ancestral``, to σ̂ = 0, adds no noise. Its x_0 is a
    function of x_1 that differs between the prompts, so its divergence is infinite. The step is
    left out: Q are the laws of (x_T, …, x_1).

    ``chain`` and ``girsanov`` have the same limit as T → ∞. Long steps draw less noise than the
    SDE does, so at T = 10 ``chain`` is larger: 8 to 14 times on those Gaussians, and 1.3 to 1.9
    times at T = 50.
    """
    return _both(terms) @ chain_weights(terms.schedule)


@estimand("pointwise", "one step alone, from 1 (pure noise) to T", at_step=True)
def pointwise(terms: Terms, step: int) -> Tensor:
    """Step ``step`` alone, counted from 1 (pure noise) to T as in the paper (Figure 3)."""
    return _both(terms)[:, step - 1]


@estimand("cumulative", "the mean over the steps up to one", additive=True, at_step=True)
def cumulative(terms: Terms, step: int) -> Tensor:
    """The mean over steps 1 … ``step``, counted as in the paper (Figure 3); T gives jeffreys."""
    return _both(terms)[:, :step].mean(dim=1)


def girsanov_weights(schedule: Schedule) -> Tensor:
    """½ (1 − σ̂_{j+1}²/σ̂_j²) for each step: (steps,) float64.

    In the variance-exploding coordinate x/α the score is s = −ε/σ̂ and g² Δt = σ̂_j² − σ̂_{j+1}²,
    so ½ g² ‖Δs‖² Δt = ½ (1 − σ̂_{j+1}²/σ̂_j²) ‖Δε‖²: exactly the KL divergence between two
    Euler–Maruyama steps from the same x. A first σ̂ of infinity (α = 0) weighs ½.
    """
    sigmas = torch.tensor(schedule.sigmas, dtype=torch.float64)
    return 0.5 * (1 - (sigmas[1:] / sigmas[:-1]).square())


def chain_weights(schedule: Schedule) -> Tensor:
    """½ (shift/noise)² for each step, 0 for a last step without noise: (steps,) float64.

    For Euler–Maruyama these are ``girsanov_weights``. For ``ddpm`` and ``euler-ancestral`` they are
    ½ (1 − r)/r with r = σ̂²_{j+1}/σ̂²_j. Raises InputError if no finite divergence exists.
    """
    if reason := chain_refusal(schedule):
        raise InputError(f"estimand 'chain': {reason}")
    steps = schedule.transitions or ()
    ratios = [step.shift / step.noise if step.noise else 0.0 for step in steps]
    return 0.5 * torch.tensor(ratios, dtype=torch.float64).square()


def _both(terms: Terms) -> Tensor:
    return _weighted(terms, terms.forward + terms.backward)


def _weighted(terms: Terms, values: Tensor) -> Tensor:
    """Apply the weights of ``cross_steps``, so that sums over the measured steps are unbiased."""
    return values if terms.weights is None else values * terms.weights


def _recorded(values: Tensor | None, name: str) -> Tensor:
    if values is None:
        raise InputError(
            f"these terms were taken without {name!r}: ask for it before the run, "
            f"with estimand={name!r}"
        )
    return values

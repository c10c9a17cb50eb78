"""Terms → one number a sample: what a run left behind, reduced in the ways people ask for.

Every reduction is a pure function (Terms) → (samples,) float64. All but ``kl`` are symmetric in
the two prompts. Those in SUMS add over steps, and so can be estimated from some of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .errors import InputError
from .schedule import Schedule
from .shapes import Terms

Reduction = Callable[[Terms], Tensor]


def jeffreys(terms: Terms) -> Tensor:
    """mean_j (forward + backward): Algorithm 1, the paper's method (the sum of both directions)."""
    return _both(terms).mean(dim=1)


def kl(terms: Terms) -> Tensor:
    """mean_j forward: one direction, on the first prompt's trajectories; not symmetric."""
    return _weighted(terms, terms.forward).mean(dim=1)


def pointwise(step: int) -> Reduction:
    """Step ``step`` alone, counted from 1 (pure noise) to T as in the paper (Figure 3)."""
    return lambda terms: _both(terms)[:, step - 1]


def cumulative(step: int) -> Reduction:
    """The mean over steps 1 … ``step``, counted as in the paper (Figure 3); T gives jeffreys."""
    return lambda terms: _both(terms)[:, :step].mean(dim=1)


def initial(terms: Terms) -> Tensor:
    """Step 1 alone, where x is pure noise (a baseline of the paper)."""
    return pointwise(1)(terms)


def final(terms: Terms) -> Tensor:
    """The last step alone."""
    return pointwise(len(terms.schedule))(terms)


def output(terms: Terms) -> Tensor:
    """‖x_0 − x̃_0‖², the direct comparison of what comes out (a baseline of the paper)."""
    return _recorded(terms.output, "output")


def coupled(terms: Terms) -> Tensor:
    """mean_j of ‖ε(x_j|a) − ε(x̃_j|b)‖² + ‖ε(x̃_j|a) − ε(x_j|b)‖², from the authors' poster."""
    return _recorded(terms.coupled, "coupled").mean(dim=1)


def girsanov(terms: Terms) -> Tensor:
    """KL(P_a‖P_b) + KL(P_b‖P_a) in nats as T → ∞: Σ_j ½ g² ‖Δs_j‖² Δt on both trajectories.

    ``girsanov_reading`` says what P are. At finite T it is a left Riemann sum with an error of
    order 1/T. On unguided Gaussians with Stable Diffusion's noise schedule it is 30 to 52 % too low
    at T = 10, 7 to 15 % at 50, 2 to 4 % at 200 (tests/processes/test_worth.py); where guided
    Gaussians differ in spread it can be off by factors. At T = 10 read it as a weighted sum that
    ranks pairs, not as a number of nats. ``chain`` is exact at any T, of what the sampler walks.
    """
    return _both(terms) @ girsanov_weights(terms.schedule)


def girsanov_reading(stochastic: bool, guidance: float) -> str:
    """What the integral of ``girsanov`` is taken over.

    path:       a stochastic sampler: the path measures of the two (guided) reverse SDEs
    marginal:   a deterministic one without guidance: the marginals p_t, which the probability-flow
                ODE shares with the SDE where the network predicts the score of p_t
    trajectory: a deterministic one with guidance: the sampler's own trajectories, and no divergence
                of known measures. A guided score is not the score of any forward-diffused density,
                so ODE and SDE share no marginals, and the two integrals differ
    """
    if stochastic:
        return "path"
    return "marginal" if guidance == 1 else "trajectory"


def girsanov_weights(schedule: Schedule) -> Tensor:
    """½ (1 − σ̂_{j+1}²/σ̂_j²) for each step: (steps,) float64.

    In the variance-exploding coordinate x/α the score is s = −ε/σ̂ and g² Δt = σ̂_j² − σ̂_{j+1}²,
    so ½ g² ‖Δs‖² Δt = ½ (1 − σ̂_{j+1}²/σ̂_j²) ‖Δε‖²: exactly the KL divergence between two
    Euler–Maruyama steps from the same x. A first σ̂ of infinity (α = 0) weighs ½.
    """
    sigmas = torch.tensor(schedule.sigmas, dtype=torch.float64)
    return 0.5 * (1 - (sigmas[1:] / sigmas[:-1]).square())


def chain(terms: Terms) -> Tensor:
    """KL(Q_a‖Q_b) + KL(Q_b‖Q_a) in nats: Q are the Markov chains that the sampler really walks.

    Exact at any T, for samplers that add noise: both steps from the same x_j are Gaussians of one
    variance, so Σ_j ½ (shift_j/noise_j)² ‖Δε_j‖². The last step to σ̂ = 0 of ``ddpm`` and
    ``euler-ancestral`` adds no noise: x_0 is a function of x_1 that differs between the prompts,
    which no finite divergence can hold. So it is left out: Q are the laws of (x_T, …, x_1), down
    to the last noise that is drawn. As T → ∞ it meets ``girsanov``; long steps draw less noise
    than the SDE, so at T = 10 it is larger (8 to 14 times on those Gaussians; 1.3 to 1.9 at 50).
    """
    return _both(terms) @ chain_weights(terms.schedule)


def chain_weights(schedule: Schedule) -> Tensor:
    """½ (shift/noise)² for each step, 0 for a last one without noise: (steps,) float64.

    For Euler–Maruyama that is ``girsanov_weights``; for ``ddpm`` and ``euler-ancestral`` it is
    ½ (1 − r)/r with r = σ̂²_{j+1}/σ̂²_j. Raises InputError where no finite divergence exists.
    """
    if schedule.transitions is None:
        raise InputError(
            "estimand 'chain' needs a sampler that adds noise, such as ddpm or euler-ancestral: "
            + (
                "the schedule of this one does not state its transitions"
                if schedule.stochastic
                else "the chains of a deterministic one are infinitely far apart; use girsanov"
            )
        )
    *inner, last = schedule.transitions
    if any(step.noise == 0 for step in inner) or (not inner and last.noise == 0):
        raise InputError(
            "estimand 'chain' needs noise in every step but the last, and in one at least: "
            f"this sampler with {len(schedule)} steps has not; take more"
        )
    ratios = [step.shift / step.noise if step.noise else 0.0 for step in schedule.transitions]
    return 0.5 * torch.tensor(ratios, dtype=torch.float64).square()


ESTIMANDS: dict[str, Reduction] = {
    "jeffreys": jeffreys,
    "kl": kl,
    "initial": initial,
    "final": final,
    "output": output,
    "coupled": coupled,
    "girsanov": girsanov,
    "chain": chain,
}
SUMS = ("jeffreys", "kl", "girsanov", "chain", "cumulative")
AT_STEP: dict[str, Callable[[int], Reduction]] = {"pointwise": pointwise, "cumulative": cumulative}


def reduction(estimand: str, steps: int) -> Reduction:
    """The reduction that a name stands for, on a process of so many steps.

    Names are those of ESTIMANDS, and "pointwise:3" or "cumulative:3" with a step from 1 to
    ``steps``. Raises InputError for any other.
    """
    if estimand in ESTIMANDS:
        return ESTIMANDS[estimand]
    name, _, step = str(estimand).partition(":")
    if name not in AT_STEP:
        known = ", ".join([*ESTIMANDS, *(f"{name}:STEP" for name in AT_STEP)])
        raise InputError(f"unknown estimand {estimand!r}; the estimands are {known}")
    if not (step.isascii() and step.isdigit() and 1 <= int(step) <= steps):
        raise InputError(f"estimand {estimand!r}: give a step from 1 to {steps}, as in {name}:1")
    return AT_STEP[name](int(step))


def require_schedule(estimand: str, schedule: Schedule) -> None:
    """Raise InputError, before anything is measured, where an estimand does not exist for it."""
    if estimand == "chain":
        chain_weights(schedule)


def per_sample(terms: Terms, estimand: str) -> Tensor:
    """The estimand of each sample: (samples,) float64. Raises InputError, as ``reduction`` does."""
    return reduction(estimand, len(terms.schedule))(terms)


def _both(terms: Terms) -> Tensor:
    return _weighted(terms, terms.forward + terms.backward)


def _weighted(terms: Terms, values: Tensor) -> Tensor:
    """Where some steps were left out, those measured count for them too: sums stay unbiased."""
    return values if terms.weights is None else values * terms.weights


def _recorded(values: Tensor | None, name: str) -> Tensor:
    if values is None:
        raise InputError(
            f"these terms were taken without {name!r}: ask for it before the run, "
            f"with estimand={name!r}"
        )
    return values

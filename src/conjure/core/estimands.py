"""Terms → one number a sample: the estimands, one entry each.

Every reduction is a pure function (Terms) → (samples,) float64. All but ``kl`` are symmetric in the
two prompts. ``registry.py`` says what an entry holds.
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
    """‖x_0 − x̃_0‖², the direct comparison of what comes out (a baseline of the paper)."""
    return _recorded(terms.output, "output")


@estimand("coupled", "each prompt on its own trajectory", needs=frozenset({"coupled"}))
def coupled(terms: Terms) -> Tensor:
    """mean_j of ‖ε(x_j|a) − ε(x̃_j|b)‖² + ‖ε(x̃_j|a) − ε(x_j|b)‖², from the authors' poster."""
    return _recorded(terms.coupled, "coupled").mean(dim=1)


def _girsanov_reading(process: GenerativeProcess) -> dict[str, str]:
    return {"reading": "path" if process.schedule.stochastic else "marginal"}


@estimand("girsanov", "Girsanov's integral, in nats", additive=True, read=_girsanov_reading)
def girsanov(terms: Terms) -> Tensor:
    """KL(P_a‖P_b) + KL(P_b‖P_a) in nats: Σ_j ½ g² ‖Δs_j‖² Δt on both trajectories.

    With a stochastic sampler P are the path measures; with a deterministic one the same integral
    is read over the marginals p_t, which the ODE shares with the SDE.
    """
    return _both(terms) @ girsanov_weights(terms.schedule)


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

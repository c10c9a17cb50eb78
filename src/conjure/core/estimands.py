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
from .text import brief

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
    """KL(P_a‖P_b) + KL(P_b‖P_a) in nats: Σ_j ½ g² ‖Δs_j‖² Δt on both trajectories.

    With a stochastic sampler P are the path measures; with a deterministic one the same integral
    is read over the marginals p_t, which the ODE shares with the SDE.
    """
    return _both(terms) @ girsanov_weights(terms.schedule)


def girsanov_weights(schedule: Schedule) -> Tensor:
    """½ (1 − σ̂_{j+1}²/σ̂_j²) for each step: (steps,) float64.

    In the variance-exploding coordinate x/α the score is s = −ε/σ̂ and g² Δt = σ̂_j² − σ̂_{j+1}²,
    so ½ g² ‖Δs‖² Δt = ½ (1 − σ̂_{j+1}²/σ̂_j²) ‖Δε‖²: exactly the KL divergence between two
    Euler–Maruyama steps from the same x. A first σ̂ of infinity (α = 0) weighs ½.
    """
    sigmas = torch.tensor(schedule.sigmas, dtype=torch.float64)
    return 0.5 * (1 - (sigmas[1:] / sigmas[:-1]).square())


ESTIMANDS: dict[str, Reduction] = {
    "jeffreys": jeffreys,
    "kl": kl,
    "initial": initial,
    "final": final,
    "output": output,
    "coupled": coupled,
    "girsanov": girsanov,
}
SUMS = ("jeffreys", "kl", "girsanov", "cumulative")
AT_STEP: dict[str, Callable[[int], Reduction]] = {"pointwise": pointwise, "cumulative": cumulative}


def reduction(estimand: str, steps: int) -> Reduction:
    """The reduction that a name stands for, on a process of so many steps.

    Names are those of ESTIMANDS, and "pointwise:3" or "cumulative:3" with a step from 1 to
    ``steps``. Raises InputError for any other.
    """
    name, _, step = estimand.partition(":") if isinstance(estimand, str) else ("", "", "")
    if estimand == name and name in ESTIMANDS:
        return ESTIMANDS[name]
    if name not in AT_STEP:
        known = ", ".join([*ESTIMANDS, *(f"{name}:STEP" for name in AT_STEP)])
        raise InputError(f"unknown estimand {brief(estimand)}; the estimands are {known}")
    # Python reads no number of thousands of digits, and no process takes a million steps
    digits = step.lstrip("0") if step.isascii() and step.isdigit() else ""
    number = int(digits) if 0 < len(digits) <= 6 else 0
    if not 1 <= number <= steps:
        raise InputError(
            f"estimand {brief(estimand)}: give a step from 1 to {steps}, as in {name}:1"
        )
    return AT_STEP[name](number)


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

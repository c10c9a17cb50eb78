"""Algorithm 1 of Liu & Soatto, *Conjuring Semantic Similarity* (ICLR 2026, arXiv 2410.16431).

Start here: this is the algorithm as printed, and it runs. It is slow; everything faster in this
package is tested to give the same numbers.

    Input: prompts a and b, k samples, T steps, ε(x, t | y) = ε_∅ + w (ε_y − ε_∅)
    for i in range(k):
        x_T ~ π                                    the same noise for a and for b
        a's trajectory  x_T … x_0  under a         b's trajectory  x̃_T … x̃_0  under b
        forward[i, j]  = ‖ε(x_j, t_j | a) − ε(x_j, t_j | b)‖²      on a's trajectory
        backward[i, j] = ‖ε(x̃_j, t_j | a) − ε(x̃_j, t_j | b)‖²      on b's trajectory
    return mean_i mean_j (forward[i, j] + backward[i, j])

``process.py`` says what a process is. ``schedule.py`` holds the t_j; step j counts from 0 at x_T.
A process may compare something else than its predictions ε, by factors c_j: ``currency.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .process import GenerativeProcess
from .sampling import initial_noise
from .types import Conditioning


def reference_distance(
    process: GenerativeProcess, a: str, b: str, *, samples: int = 1, seed: int = 0
) -> float:
    """What Algorithm 1 returns: the Jeffreys divergence, as the estimand ``jeffreys`` has it.

    >>> from conjure.core.gaussian import GaussianProcess
    >>> here, there = torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])
    >>> process = GaussianProcess({"here": (here, torch.eye(2)), "there": (there, torch.eye(2))})
    >>> round(reference_distance(process, "here", "there"), 2)
    1.92
    """
    forward, backward = reference_terms(process, a, b, samples=samples, seed=seed).unbind(dim=1)
    return float((forward + backward).mean())


@torch.no_grad()
def reference_terms(
    process: GenerativeProcess, a: str, b: str, *, samples: int = 1, seed: int = 0
) -> Tensor:
    """(samples, 2, T) float64: forward and backward of every sample i and step j."""
    cond_a, cond_b, uncond = process.embed([a]), process.embed([b]), process.unconditional()
    c = getattr(process, "comparison_scale", None) or [1.0] * len(process.schedule)

    def eps(x: Tensor, j: int, cond: Conditioning) -> Tensor:
        """ε(x, t_j | y) = ε_∅ + w (ε_y − ε_∅)."""
        eps_y = process.predict(x, torch.tensor([j]), cond)
        if uncond is None:  # no ε_∅ to subtract
            return eps_y
        eps_uncond = process.predict(x, torch.tensor([j]), uncond)
        return eps_uncond + process.guidance * (eps_y - eps_uncond)

    # ---- Algorithm 1 ----------------------------------------------------------------------------
    terms = torch.zeros(samples, 2, len(process.schedule), dtype=torch.float64)
    for i in range(samples):
        for direction, (own, other) in enumerate([(cond_a, cond_b), (cond_b, cond_a)]):
            generator = torch.Generator("cpu").manual_seed(seed + i)
            x = initial_noise(process, [generator])  # x_T ~ π, the same for a and for b
            solver = process.solver()
            for j in range(len(process.schedule)):
                eps_own = eps(x, j, own)
                gap = (eps_own - eps(x, j, other)).double()
                terms[i, direction, j] = c[j] ** 2 * gap.square().sum()
                x = solver.step(x, eps_own, j, [generator])
    return terms

"""Algorithm 1 of Liu & Soatto (ICLR 2026, arXiv 2410.16431) as it is printed, and as slow as that.

Start here. Everything faster in this package is tested to give the same numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .process import GenerativeProcess
from .sampling import initial_noise
from .types import Conditioning


@torch.no_grad()
def reference_terms(
    process: GenerativeProcess, a: str, b: str, *, samples: int = 1, seed: int = 0
) -> Tensor:
    """(samples, 2, T) float64: ‖ε(x_j | a) − ε(x_j | b)‖² on a's trajectories and on b's.

    The distance is ``reference_terms(…).sum(dim=1).mean()``.
    """
    cond_a, cond_b = process.embed([a]), process.embed([b])
    cond_empty = process.unconditional()

    def eps(x: Tensor, j: int, cond: Conditioning) -> Tensor:
        """ε(x_j | y) = ε_∅ + w (ε_y − ε_∅)."""
        eps_y = process.predict(x, torch.tensor([j]), cond)
        if cond_empty is None:
            return eps_y
        eps_empty = process.predict(x, torch.tensor([j]), cond_empty)
        return eps_empty + process.guidance * (eps_y - eps_empty)

    terms = torch.zeros(samples, 2, len(process.schedule), dtype=torch.float64)
    for i in range(samples):
        for direction, (own, other) in enumerate([(cond_a, cond_b), (cond_b, cond_a)]):
            generator = torch.Generator("cpu").manual_seed(seed + i)
            x = initial_noise(process, [generator])  # x_T ~ π, the same for a and for b
            solver = process.solver()
            for j in range(len(process.schedule)):
                eps_own = eps(x, j, own)
                terms[i, direction, j] = (eps_own - eps(x, j, other)).double().square().sum()
                x = solver.step(x, eps_own, j, [generator])
    return terms

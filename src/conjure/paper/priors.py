"""Figure 3, left: how much each timestep knows, and how little more samples add.

The paper's priors over timesteps are the step alone (pointwise) and all steps up to it
(cumulative). All of them, for any number of samples up to k, are reductions of the terms of one
pass of k samples: no curve costs a network evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from ..stats.correlation import Correlation, correlate
from .variants import distances

if TYPE_CHECKING:
    from ..core.types import Terms

PRIORS = ("pointwise", "cumulative")


@dataclass(frozen=True)
class PriorPoint:
    """One point of a curve: a prior that ends at ``step`` (from 1), averaged over k samples."""

    prior: str
    step: int
    samples: int
    found: Correlation


def prior_curves(scores: ArrayLike, terms: Sequence[Terms]) -> list[PriorPoint]:
    """Every prior, step and number of samples that the terms of one pass hold.

    scores: (n,) human scores; terms: of the n pairs, with the same k samples each. k' samples are
    the first k', so those of k' = 1 are what a pass of one sample gives.
    """
    most, steps = terms[0].forward.shape
    points = []
    for prior in PRIORS:
        for step in range(1, steps + 1):
            every = distances(terms, f"{prior}:{step}")
            for samples in range(1, most + 1):
                found = correlate(scores, every[:samples])
                points.append(PriorPoint(prior, step, samples, found))
    return points

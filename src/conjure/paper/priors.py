"""Figure 3, left: agreement with people by timestep and by number of samples.

The paper has two priors over timesteps: one step alone (pointwise), and all steps up to one
(cumulative). Every curve, for any number of samples up to k, is computed from the terms of one pass
of k samples: no curve costs a network evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from ..stats.correlation import Correlation, correlate
from .variants import sample_distances

if TYPE_CHECKING:
    from ..core.types import Terms

PRIORS = ("pointwise", "cumulative")


@dataclass(frozen=True)
class PriorPoint:
    """One point of a curve: a prior up to ``step`` (from 1), averaged over ``samples``."""

    prior: str
    step: int
    samples: int
    found: Correlation


def prior_curves(scores: ArrayLike, terms: Sequence[Terms]) -> list[PriorPoint]:
    """One point for every prior, step and number of samples.

    scores: (n,) human scores; terms: of the n pairs, with the same k samples each. A point of fewer
    samples uses the first of them, so the points of one sample are those of a pass of one.
    """
    max_samples, steps = terms[0].forward.shape
    points = []
    for prior in PRIORS:
        for step in range(1, steps + 1):
            every = sample_distances(terms, f"{prior}:{step}")
            for samples in range(1, max_samples + 1):
                found = correlate(scores, every[:samples])
                points.append(PriorPoint(prior, step, samples, found))
    return points

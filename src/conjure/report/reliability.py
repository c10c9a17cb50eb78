"""How reliably the samples of a row rank the pairs of a set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..datasets.read import Dataset
from ..stats.comparison import split_half
from .cells import Distances, MeasuredRows


@dataclass(frozen=True)
class RowReliability:
    """Spearman's correlation between two halves of the samples of a row, on one set.

    half: half against half; full: for all samples, by Spearman–Brown
    """

    row: str
    dataset: str
    samples: int
    half: float | None
    full: float | None
    reason: str | None


def reliabilities(
    found: MeasuredRows, datasets: Mapping[str, Dataset]
) -> tuple[RowReliability, ...]:
    """The reliability of each row that has several samples, on each set."""
    made = []
    for row, sets in found.items():
        for name in datasets:
            distances = sets[name]
            if not isinstance(distances, Distances) or len(np.atleast_2d(distances.samples)) < 2:
                continue
            one = split_half(distances.samples)
            made.append(RowReliability(row, name, one.samples, one.half, one.full, one.reason))
    return tuple(made)

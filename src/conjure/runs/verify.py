"""Compute a sample of stored units again, and compare."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..core import divergence
from ..core.errors import ConjureError, NonFiniteError
from ..core.spec import Spec
from ..core.text import number_of
from ..core.types import Pair, Terms
from .progress import progress_bar

if TYPE_CHECKING:
    from ..baselines import Baseline
    from ..core.process import GenerativeProcess
    from .baseline_distances import DistanceStore
    from .terms import TermStore

SAMPLE = 20  # units at most
# How far rounding may move a term, relative to the largest of its pair: kernels are not
# batch-invariant, and a difference of like numbers enlarges what they differ by.
TOLERANCE = {"float64": 1e-6, "float32": 1e-3}
_HALF = 0.1


@dataclass(frozen=True)
class Verified:
    """What was found. largest: relative difference between stored and new numbers."""

    checked: int
    stored: int
    largest: float

    @property
    def line(self) -> str:
        return (
            f"{number_of(self.checked, 'unit')} of {self.stored:,} computed again: they agree "
            f"(largest relative difference {self.largest:.1g})"
        )


class DifferentWorkError(ConjureError):
    """Stored numbers are not those that are measured now."""


def verify(scorer: Any, kept: Any, *, sample: int = SAMPLE, seed: int = 0) -> Verified:
    """Compute up to ``sample`` stored units again, drawn by ``seed``.

    Raises DifferentWorkError that names the first unit whose numbers differ by more than rounding.
    """
    process = getattr(scorer, "process", None)
    if process is not None:
        return verify_terms(kept, process, sample, seed)
    return verify_distances(kept, scorer.baseline, sample, seed)


def verify_terms(kept: TermStore, process: GenerativeProcess, sample: int, seed: int) -> Verified:
    stored = sorted(kept.units())
    drawn = random.Random(seed).sample(stored, min(sample, len(stored)))
    groups: dict[tuple[int, int], list[Pair]] = defaultdict(list)
    for pair, cross_steps, own in drawn:
        groups[cross_steps, own].append(pair)
    bound = TOLERANCE.get(process.dtype, _HALF)
    largest = 0.0
    with progress_bar(len(drawn), unit="unit") as bar:
        for (cross_steps, own), pairs in groups.items():
            spec = Spec(cross_steps=cross_steps or None)
            found = _measured(process, pairs, own, spec)
            for pair in pairs:
                old, new = kept.stored(process, pair, own, spec), found.get(pair)
                apart = float("inf") if new is None else _apart(old, new)
                largest = max(largest, apart)
                if apart > bound:
                    raise _different(pair, f"seed {own}", apart, kept)
                bar.update()
    return Verified(len(drawn), len(stored), largest)


def _measured(
    process: GenerativeProcess, pairs: list[Pair], seed: int, spec: Spec
) -> dict[Pair, Terms]:
    try:
        return {pairs[n]: terms for n, terms in divergence.measure(process, pairs, [seed], spec)}
    except NonFiniteError:
        return {}  # the stored numbers are finite, so they differ


def _apart(old: Terms, new: Terms) -> float:
    """The largest difference of two terms, relative to the largest term."""
    stored, now = (torch.stack([terms.forward, terms.backward]) for terms in (old, new))
    scale = float(torch.maximum(stored, now).max())
    return float((stored - now).abs().max()) / scale if scale else 0.0


def verify_distances(kept: DistanceStore, baseline: Baseline, sample: int, seed: int) -> Verified:
    stored = sorted(kept.known)
    drawn = random.Random(seed).sample(stored, min(sample, len(stored)))
    largest = 0.0
    values = baseline.distances(drawn) if drawn else []
    for pair, new in zip(drawn, values, strict=True):
        old = kept.known[pair]
        apart = abs(new - old) / max(abs(old), abs(new), 1e-6)
        largest = max(largest, apart)
        if apart > _HALF / 10:
            raise _different(pair, "the baseline", apart, kept)
    return Verified(len(drawn), len(stored), largest)


def _different(pair: Pair, what: str, apart: float, kept: Any) -> DifferentWorkError:
    return DifferentWorkError(
        f"{kept.store.folder}: the stored numbers of {pair[0]!r:.60} and {pair[1]!r:.60} ({what}) "
        f"are not those that are measured now, by {apart:.1g} of their size: --resume fresh "
        "measures all of them again"
    )

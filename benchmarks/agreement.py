"""What a shortcut does to the answer: its rows, its ranks, its agreement with people.

A shortcut is a way to distances of the same pairs that asks for fewer or cheaper rows than another
way, the whole computation from the same seeds, beside which it is held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import spearmanr

from conjure import similarity
from conjure.core.errors import InputError
from conjure.core.spec import Signature, Spec
from conjure.datasets.read import Dataset
from conjure.processes.base import PipelineProcess
from conjure.runs.scores import Result, samples_of
from conjure.stats.comparison import Difference, paired_difference
from conjure.stats.correlation import Correlation, correlate
from conjure.stats.resampling import Array

from .matrix import counted

CROSS_STEPS = (1, 2, 4, 6)
FEWER_STEPS = 5
FIRST_SAMPLES = 4  # adaptive k begins there: below it, an interval is too wide to stop anything


@dataclass(frozen=True)
class Way:
    """One way to the distances; ``whole`` names the way that it stands in for, which comes before.

    process: called once, so that only one process is in memory at a time
    """

    name: str
    whole: str
    process: Callable[[], PipelineProcess]
    spec: Spec = field(default_factory=Spec)


@dataclass(frozen=True)
class Found:
    """What one way gave, beside the whole computation (for which it is 0, 1, 0, 0).

    rows:        that the network was asked for
    correlation: of −distance with the human scores
    difference:  Spearman's coefficient less that of the whole
    agreement:   Spearman's coefficient between these distances and the whole's
    bias:        the mean over pairs of the relative difference from the whole
    largest:     the largest such difference, whatever its sign
    """

    name: str
    whole: str
    signature: Signature
    rows: int
    correlation: Correlation
    difference: Difference
    agreement: float
    bias: float
    largest: float


def shortcuts(
    load_process: Callable[..., PipelineProcess], tolerance: float, most_samples: int
) -> list[Way]:
    """Fewer rows: some of the steps for the cross rows, fewer steps in all, adaptive k.

    load_process takes ``steps``, or nothing for those that the process recommends.
    Adaptive k stands in for as many samples as it would take at most.
    """
    full, many = "full", f"full, k = {most_samples}"
    adaptive = Spec(FIRST_SAMPLES, tolerance=tolerance, max_samples=most_samples)
    name = f"k = {FIRST_SAMPLES} … {most_samples}, within {tolerance:g}"
    return [
        Way(full, full, load_process),
        *(Way(f"cross_steps = {m}", full, load_process, Spec(cross_steps=m)) for m in CROSS_STEPS),
        Way(many, many, load_process, Spec(most_samples)),
        Way(name, many, load_process, adaptive),
        Way(f"T = {FEWER_STEPS}", full, lambda: load_process(steps=FEWER_STEPS)),
    ]


def precisions(load_process: Callable[..., PipelineProcess], dtypes: Sequence[str]) -> list[Way]:
    """Cheaper rows: half precision inside the network; the first dtype is the whole."""
    return [
        Way(dtype, dtypes[0], lambda dtype=dtype: load_process(dtype=dtype))  # type: ignore[misc]
        for dtype in dtypes
    ]


def measure(
    data: Dataset, ways: Sequence[Way], seed: int, say: Callable[[str], object]
) -> list[Found]:
    """Go each way to the distances of the set's pairs, from the same seeds.

    Raises InputError where they do not correlate with anything.
    """
    distances: dict[str, Array] = {}
    found = []
    for way in ways:
        say(f"{way.name}: {len(data.scores)} pairs")
        process = way.process()
        with counted(process.pipeline.unet) as rows:
            spec = replace(way.spec, seed=seed)
            found_at = dict(similarity.stream(data.table.pairs(), process, spec))
            results = [found_at[place] for place in range(len(found_at))]
        samples: Array = np.array(samples_of([Result.of(result) for result in results]))
        distances[way.name] = samples
        whole = distances[way.whole]
        correlation = correlate(data.scores, samples)
        if correlation.reason is not None:
            raise InputError(f"{way.name}: {correlation.reason}")
        # A text is no distance from itself, in whatever way.
        apart = whole.mean(axis=0) > 0
        ratio = (samples.mean(axis=0) / np.where(apart, whole.mean(axis=0), 1) - 1)[apart]
        found.append(
            Found(
                name=way.name,
                whole=way.whole,
                signature=results[0].signature,
                rows=rows[0],
                correlation=correlation,
                difference=paired_difference(data.scores, samples, whole),
                agreement=float(spearmanr(samples.mean(axis=0), whole.mean(axis=0)).statistic),
                bias=float(ratio.mean()),
                largest=float(np.abs(ratio).max()),
            )
        )
    return found

"""How a shortcut changes the answer: network rows, ranks, agreement with people.

A shortcut needs fewer or cheaper network rows than the full computation. It is compared with the
full computation of the same pairs from the same seeds.
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
from conjure.processes.settings import ProcessSettings
from conjure.runs.scores import Result, samples_of
from conjure.stats.comparison import Difference, paired_difference
from conjure.stats.correlation import Correlation, correlate
from conjure.stats.resampling import Array

from .matrix import counted

CROSS_STEPS = (1, 2, 4, 6)
FEWER_STEPS = 5
FIRST_SAMPLES = 4  # adaptive k starts here: with fewer, no interval is narrow enough to stop


@dataclass(frozen=True)
class Way:
    """One way to compute the distances.

    whole:   the name of the full computation that it is compared with, which comes earlier
    process: loads the process; called once, so that only one process is in memory at a time
    """

    name: str
    whole: str
    process: Callable[[], PipelineProcess]
    spec: Spec = field(default_factory=Spec)


@dataclass(frozen=True)
class Found:
    """The result of one way, compared with the full computation.

    rows:        network rows
    correlation: of −distance with the human scores
    difference:  Spearman's coefficient minus that of the full computation
    agreement:   Spearman's coefficient between these distances and the full ones
    bias:        the mean over pairs of the relative difference from the full distance
    largest:     the largest absolute relative difference
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
    load_process: Callable[..., PipelineProcess], tolerance: float, max_samples: int
) -> list[Way]:
    """Fewer rows: cross rows at some of the steps only, fewer steps in all, adaptive k.

    load_process takes ``steps``; without it the process has the steps that it recommends.
    Adaptive k is compared with ``max_samples`` samples.
    """
    full, many = "full", f"full, k = {max_samples}"
    adaptive = Spec(FIRST_SAMPLES, tolerance=tolerance, max_samples=max_samples)
    name = f"k = {FIRST_SAMPLES} … {max_samples}, within {tolerance:g}"
    return [
        Way(full, full, load_process),
        *(Way(f"cross_steps = {m}", full, load_process, Spec(cross_steps=m)) for m in CROSS_STEPS),
        Way(many, many, load_process, Spec(max_samples)),
        Way(name, many, load_process, adaptive),
        Way(f"T = {FEWER_STEPS}", full, lambda: load_process(steps=FEWER_STEPS)),
    ]


def precisions(load_process: Callable[..., PipelineProcess], dtypes: Sequence[str]) -> list[Way]:
    """Cheaper rows: half precision inside the network; the first dtype is the full computation.

    Raises InputError for an unknown dtype, before anything is loaded.
    """
    for dtype in dtypes:
        ProcessSettings(dtype=dtype)
    return [
        Way(dtype, dtypes[0], lambda dtype=dtype: load_process(dtype=dtype))  # type: ignore[misc]
        for dtype in dtypes
    ]


def measure(
    data: Dataset, ways: Sequence[Way], seed: int, say: Callable[[str], object]
) -> list[Found]:
    """Compute the distances of the set's pairs in each way, from the same seeds.

    Raises InputError where a correlation does not exist, such as with equal distances.
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
        # A pair of equal texts has distance 0 in every way, so it has no relative difference.
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

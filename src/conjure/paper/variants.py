"""Several processes on the same pairs: given ones, or one model under other settings.

Nothing but the guidance or the sampler differs within an ablation, and all share the weights and
the seeds' noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError
from ..processes.settings import SAMPLERS
from ..stats.comparison import agreement
from ..stats.correlation import Correlation
from ..stats.resampling import Array

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..core.types import Terms
    from ..processes.base import PipelineProcess

GUIDANCES = (1.0, 3.0, 5.0, 7.5, 10.0, 15.0)


def guided(process: PipelineProcess) -> dict[str, PipelineProcess]:
    """The process at each of GUIDANCES: {"w = 1": …}."""
    return {f"w = {w:g}": process.with_settings(guidance=w) for w in GUIDANCES}


def sampled(process: PipelineProcess) -> tuple[dict[str, PipelineProcess], list[str]]:
    """The process under each sampler that its model can take, and why not under the others."""
    able, faults = {}, []
    for name in SAMPLERS:
        try:
            able[name] = process.with_settings(sampler=name)
        except InputError as error:
            faults.append(f"{name} is left out: {error}")
    return able, faults


def named(processes: Iterable[GenerativeProcess]) -> dict[str, GenerativeProcess]:
    """Processes by their names, with what tells them apart where two have the same.

    Raises InputError where one is given twice.
    """
    found: dict[str, GenerativeProcess] = {}
    given = list(processes)
    for process in given:
        alike = [other for other in given if other.name == process.name]
        label = process.name if len(alike) == 1 else f"{process.name} ({process.revision})"
        if label in found:
            raise InputError(f"process {label} is given twice")
        found[label] = process
    return found


def distances(terms: Sequence[Terms], estimand: str) -> Array:
    """One estimand of n pairs with k samples each: (k, n)."""
    from ..core.registry import per_sample

    return np.stack([per_sample(pair, estimand).numpy() for pair in terms], axis=1)


def agreements(measured: Mapping[str, Array]) -> dict[tuple[str, str], Correlation]:
    """How alike any two processes rank the same pairs; measured: {process: (k, n) distances}."""
    return {
        (one, other): agreement(measured[one], measured[other])
        for one, other in combinations(measured, 2)
    }

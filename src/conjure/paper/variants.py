"""Several processes on the same pairs: those that the user gave, or one model in other settings.

Within an ablation only the guidance or the sampler differs. All variants share the weights and the
noise of the seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import InputError
from ..processes.settings import SAMPLERS
from ..stats.resampling import Array

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..core.types import Terms
    from ..processes.base import PipelineProcess

GUIDANCES = (1.0, 3.0, 5.0, 7.5, 10.0, 15.0)


def in_settings(process: PipelineProcess, **settings: Any) -> PipelineProcess:
    """The process in other settings. Raises InputError where it has no ``with_settings``."""
    if not hasattr(process, "with_settings"):
        raise InputError(
            f"{process.name} cannot be taken in other settings: it has no with_settings()"
        )
    return process.with_settings(**settings)


def guided(process: PipelineProcess) -> dict[str, PipelineProcess]:
    """The process at each of GUIDANCES: {"w = 1": …}."""
    return {f"w = {w:g}": in_settings(process, guidance=w) for w in GUIDANCES}


def sampled(process: PipelineProcess) -> tuple[dict[str, PipelineProcess], list[str]]:
    """The process under each sampler that its model takes, and why others are left out."""
    taken, faults = {}, []
    own = [process.sampler] if process.sampler not in SAMPLERS else []  # the pipeline's own
    for name in (*own, *SAMPLERS):
        try:
            taken[name] = in_settings(process, sampler=name)
        except InputError as error:
            faults.append(f"{name} is left out: {error}")
    return taken, faults


def named(processes: Iterable[GenerativeProcess]) -> dict[str, GenerativeProcess]:
    """Processes by their names; where two have the same name, with their revisions.

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


def sample_distances(terms: Sequence[Terms], estimand: str) -> Array:
    """One estimand of n pairs with k samples each: (k, n)."""
    from ..core.registry import per_sample

    return np.stack([per_sample(pair, estimand).numpy() for pair in terms], axis=1)

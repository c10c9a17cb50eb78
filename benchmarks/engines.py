"""What ``--engine ray`` costs: the same pairs by one worker of Ray, and here.

Both have one thread, and keep their terms in a new run folder each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from conjure.cli.choosing import load_process
from conjure.core.errors import ConjureError
from conjure.core.spec import Spec
from conjure.runs.ray import RayEngine, RayOptions
from conjure.runs.terms import TermStore
from conjure.similarity import cost, stream

from .clock import Timing, interleaved
from .scaling import random_pairs

AGREEMENT = 1e-4  # relative: rounding, since other batches are formed


@dataclass(frozen=True)
class Engines:
    """Seconds of the same pairs, and of getting ready; rows: of the plan of one block."""

    pairs: int
    rows: int
    ready: dict[str, float]
    timings: dict[str, Timing]
    deviation: float


def measure(
    count: int, settings: dict[str, Any], rounds: int, say: Callable[[str], object]
) -> Engines:
    """Time ``count`` pairs by both. Raises ConjureError where their numbers differ."""
    torch.set_num_threads(1)
    pairs = random_pairs(count)
    with RayEngine(RayOptions(workers=1), load_process) as engine, TemporaryDirectory() as folder:
        ready: dict[str, float] = {}
        processes: dict[str, Any] = {}
        rest = {name: value for name, value in settings.items() if name != "process"}
        for name, load in {"here": load_process, "one worker of Ray": engine.load}.items():
            begun = time.perf_counter()
            processes[name] = load(settings["process"], **rest)
            ready[name] = time.perf_counter() - begun
        found: dict[str, dict[int, float]] = {}
        runs = iter(range(10**9))

        def task(name: str) -> None:
            process = processes[name]
            with TermStore(Path(folder) / str(next(runs)), process) as kept:
                results = stream(pairs, process, Spec(), measure=kept.measure)
                found[name] = {place: distance.value for place, distance in results}

        timings = interleaved({name: partial(task, name) for name in processes}, rounds, say)
        here, there = found.values()
        deviation = max(abs(there[n] - here[n]) / here[n] for n in here)
        if there.keys() != here.keys() or deviation > AGREEMENT:
            raise ConjureError(f"the two differ by {deviation:.1e}: something is wrong")
        rows = cost(pairs, processes["here"], Spec()).rows
    return Engines(count, rows, ready, timings, deviation)

"""Rows and sets → distances: the process's rows all from one pass, the rivals' one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..benchmarks.datasets import Dataset
from ..benchmarks.resampling import Array
from ..core.errors import ConjureError
from ..core.process import GenerativeProcess
from ..rivals.rows import read_row
from ..similarity import signature
from .cells import Distances, Draws, Measured
from .null import DRAWS, null_distances
from .passes import Passes
from .rows import CONDITIONAL, DIFFUSION, NULL, PARAGON, reduced
from .run import Run, all_pairs

_SHARED = ("device", "allow_pickle")  # flags of the process that a rival takes, too

Found = dict[str, dict[str, Measured]]  # row → set → distances, or why there are none


def measure_rows(run: Run, rows: Sequence[str], datasets: Mapping[str, Dataset]) -> Found:
    """Every row on every set. A row that cannot be had is said so, once, and stops nothing."""
    found: Found = {}
    if own := [row for row in rows if row in DIFFUSION]:
        found |= measure_process(run.process, run.passes, own, datasets)
    for row in rows:
        if row in found:
            continue
        try:
            each = _null(run, datasets) if row == NULL else _rival(run, row, datasets)
        except (ConjureError, OSError) as error:
            reason = " ".join(str(error).split())
            run.say(f"row {row} left empty: {reason}")
            each = dict.fromkeys(datasets, reason)
        found[row] = each
    return {row: found[row] for row in rows}


def measure_process(
    process: GenerativeProcess,
    passes: Passes,
    rows: Sequence[str],
    datasets: Mapping[str, Dataset],
) -> Found:
    """Rows of DIFFUSION, all of them from one pass over the pairs of all sets."""
    terms = passes.measure(process, all_pairs(datasets))
    found: Found = {row: {} for row in rows}
    start = 0
    for name, data in datasets.items():
        here = terms[start : start + len(data.scores)]
        start += len(data.scores)
        for row in rows:
            line = row_signature(row, process, passes)
            try:
                found[row][name] = Distances(reduced(row, here, process.guidance), line)
            except ConjureError as error:
                found[row][name] = str(error)
    return found


def row_signature(row: str, process: GenerativeProcess, passes: Passes) -> str:
    """The signature of a row of the process's own, which names its estimand, or the row itself."""
    return signature(
        process,
        samples=DRAWS if row == NULL else passes.samples,
        seed=passes.seed,
        estimand=row if row in (CONDITIONAL, NULL) else DIFFUSION[row],
    )


def _null(run: Run, datasets: Mapping[str, Dataset]) -> dict[str, Measured]:
    passes = run.passes
    line = row_signature(NULL, run.process, passes)
    return {
        name: Draws(
            null_distances(run.process, name, len(data.scores), passes.seed, passes.folder), line
        )
        for name, data in datasets.items()
    }


def _rival(run: Run, row: str, datasets: Mapping[str, Dataset]) -> dict[str, Measured]:
    from .. import rivals

    own = row.partition(":")[0] == PARAGON
    flags = run.choice.process
    settings = {} if own else {name: flags[name] for name in _SHARED if name in flags}
    rival = rivals.load(row, process=run.process if own else None, **settings)
    distances = run.rivals.measure(rival, all_pairs(datasets))
    drawn = read_row(row).kind == "lm"  # its continuations; a text's vector is always the same
    split = np.cumsum([len(data.scores) for data in datasets.values()])[:-1]
    each: list[Array] = np.split(np.array(distances, dtype=np.float64), split)
    return {
        name: Distances(values[None] if drawn else values, rival.signature)
        for name, values in zip(datasets, each, strict=True)
    }

"""Rows and sets → distances: the process's rows all from one pass, the baselines' one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..core.errors import ConjureError
from ..core.process import GenerativeProcess
from ..core.spec import Signature, Spec, sign
from ..datasets.read import Dataset
from ..report.cells import Distances, Draws, Measured
from ..runs.passes import Passes
from .control import null_distances
from .rows import CONDITIONAL, DIFFUSION, NULL, PARAGON, reduced
from .run import Run, all_pairs

_SHARED = ("device", "allow_pickle")  # flags of the process that a baseline takes, too

Found = dict[str, dict[str, Measured]]  # row → set → distances, or why there are none


def measure_rows(run: Run, rows: Sequence[str], datasets: Mapping[str, Dataset]) -> Found:
    """Every row on every set. What a row cannot have is reported once, and stops nothing."""
    found: Found = {}
    if own := [row for row in rows if row in DIFFUSION]:
        process = run.process  # where there is none, there is no table
        try:
            found = measure_process(process, run.passes, own, datasets)
        except ConjureError as error:
            if len(own) == len(rows):
                raise
            found = {row: dict.fromkeys(datasets, _in_one_line(error)) for row in own}
        _tell(run, found)
    for row in rows:
        if row in found:
            continue
        try:
            found[row] = _null(run, datasets) if row == NULL else _baseline(run, row, datasets)
        except (ConjureError, OSError) as error:
            found[row] = dict.fromkeys(datasets, _in_one_line(error))
        _tell(run, {row: found[row]})
    return {row: found[row] for row in rows}


def _tell(run: Run, found: Found) -> None:
    """Say which rows are empty, where and why: once a row, and once for rows that share that."""
    alike: dict[tuple[str, str], list[str]] = {}
    for row, each in found.items():
        reasons = {name: why for name, why in each.items() if isinstance(why, str)}
        if reasons:
            where = f" on {', '.join(reasons)}" if len(reasons) < len(each) else ""
            alike.setdefault((where, next(iter(reasons.values()))), []).append(row)
    for (where, reason), rows in alike.items():
        run.say(f"row{'s' * (len(rows) > 1)} {', '.join(rows)} left empty{where}: {reason}")


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


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
                found[row][name] = _in_one_line(error)
    return found


def row_signature(row: str, process: GenerativeProcess, passes: Passes) -> Signature:
    """The signature of a row of the process's own, which names its estimand, or the row itself."""
    spec = Spec(passes.samples, passes.seed, DIFFUSION.get(row, "jeffreys"))
    signature = sign(process, spec)
    if row not in (CONDITIONAL, NULL):
        return signature
    return replace(signature, key={**signature.key, "estimand": row})


def _null(run: Run, datasets: Mapping[str, Dataset]) -> dict[str, Measured]:
    passes = run.passes
    line = row_signature(NULL, run.process, passes)
    return {
        name: Draws(
            null_distances(run.process, name, len(data.scores), passes.seed, passes.folder), line
        )
        for name, data in datasets.items()
    }


def _baseline(run: Run, row: str, datasets: Mapping[str, Dataset]) -> dict[str, Measured]:
    from .. import baselines as baselines

    own = row.partition(":")[0] == PARAGON
    flags = run.choice.process
    settings = {} if own else {name: flags[name] for name in _SHARED if name in flags}
    baseline = baselines.load(row, process=run.process if own else None, **settings)
    each: dict[str, Measured] = {}
    for name, data in datasets.items():
        try:
            values = run.baselines.measure(baseline, data.table.pairs())
        except ConjureError as error:  # a text that it cannot read; other sets may have none such
            each[name] = _in_one_line(error)
        else:
            measured = np.array(values, dtype=np.float64)
            drawn = "seed" in baseline.signature.key  # continuations; a vector is always the same
            each[name] = Distances(measured[None] if drawn else measured, baseline.signature)
    return each

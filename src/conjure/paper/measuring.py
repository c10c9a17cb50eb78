"""Rows and sets → distances: all rows of the process from one pass, then each baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..core.errors import ConjureError
from ..core.process import GenerativeProcess
from ..core.spec import Signature, Spec, sign
from ..datasets.read import Dataset
from ..report.cells import Distances, Draws, Measured
from ..runs.parts import PartFinished, Turns
from ..runs.passes import Passes
from .control import DRAWS, control_distances
from .rows import CONDITIONAL, CONTROL, DIFFUSION, PARAGON, reduced
from .run import Run, all_pairs

_SHARED = ("device", "allow_pickle")  # settings of the process that a baseline shares

RowsFound = dict[str, dict[str, Measured]]  # row → set → distances: MeasuredRows in the making


def measure_rows(run: Run, rows: Sequence[str], datasets: Mapping[str, Dataset]) -> RowsFound:
    """Every row on every set. A row that fails is reported once, and the others go on."""
    found: RowsFound = {}
    parted = False
    if diffusion := [row for row in rows if row in DIFFUSION]:
        process = run.process  # without a process there is no table
        try:
            found = measure_process(process, run.passes, diffusion, datasets)
        except PartFinished:
            parted = True
        except ConjureError as error:
            if len(diffusion) == len(rows):
                raise
            found = {row: dict.fromkeys(datasets, _in_one_line(error)) for row in diffusion}
        _report_empty(run, found)
    for row in rows:
        if row in found or (parted and row in DIFFUSION):
            continue
        try:
            found[row] = (
                _control(run, datasets) if row == CONTROL else _baseline(run, row, datasets)
            )
        except PartFinished:
            parted = True
            continue
        except (ConjureError, OSError) as error:
            found[row] = dict.fromkeys(datasets, _in_one_line(error))
        _report_empty(run, {row: found[row]})
    if run.options.part is not None and (parted or len(found) < len(rows)):
        raise PartFinished(run.options.part)
    return {row: found[row] for row in rows}


def _report_empty(run: Run, found: RowsFound) -> None:
    """Say which rows failed, on which sets and why. Rows with one reason share a line."""
    alike: dict[tuple[str, str], list[str]] = {}
    for row, each in found.items():
        reasons = {name: why for name, why in each.items() if isinstance(why, str)}
        if reasons:
            where = f" on {', '.join(reasons)}" if len(reasons) < len(each) else ""
            alike.setdefault((where, next(iter(reasons.values()))), []).append(row)
    for (where, reason), rows in alike.items():
        run.failed += rows
        run.say(f"row{'s' * (len(rows) > 1)} {', '.join(rows)} left empty{where}: {reason}")


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def measure_process(
    process: GenerativeProcess,
    passes: Passes,
    rows: Sequence[str],
    datasets: Mapping[str, Dataset],
) -> RowsFound:
    """Rows of DIFFUSION, all from one pass over the pairs of all sets."""
    terms = passes.measure(process, all_pairs(datasets))
    found: RowsFound = {row: {} for row in rows}
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
    """The signature of a row of the process: it names the estimand, or the row if it has none."""
    spec = Spec(passes.samples, passes.seed, DIFFUSION.get(row, "jeffreys"))
    signature = sign(process, spec)
    if row not in (CONDITIONAL, CONTROL):
        return signature
    key = {**signature.key, "estimand": row}
    if row == CONTROL:
        key["samples"] = DRAWS  # its number does not depend on k
    return replace(signature, key=key)


def _control(run: Run, datasets: Mapping[str, Dataset]) -> dict[str, Measured]:
    passes = run.passes
    if run.options.part is not None and run.options.part[0] > 1:
        raise PartFinished(run.options.part)  # its pictures are drawn by the first part
    line = row_signature(CONTROL, run.process, passes)
    return {
        name: Draws(
            control_distances(run.process_here, name, len(data.scores), passes.seed, passes.folder),
            line,
        )
        for name, data in datasets.items()
    }


def _baseline(run: Run, row: str, datasets: Mapping[str, Dataset]) -> dict[str, Measured]:
    from .. import baselines

    is_paragon = row.partition(":")[0] == PARAGON
    flags = run.options.process
    settings = {} if is_paragon else {name: flags[name] for name in _SHARED if name in flags}
    baseline = baselines.load(row, process=run.process_here if is_paragon else None, **settings)
    each: dict[str, Measured] = {}
    turns = Turns()
    for name, data in datasets.items():
        with turns.one():
            try:
                values = run.baselines.measure(baseline, data.table.pairs())
            except PartFinished:
                raise
            except ConjureError as error:  # a text that it cannot read; other sets may have none
                each[name] = _in_one_line(error)
                continue
            measured = np.array(values, dtype=np.float64)
            drawn = "seed" in baseline.signature.key  # continuations; a vector is always the same
            each[name] = Distances(measured[None] if drawn else measured, baseline.signature)
    turns.end()
    return each

"""Flags → the process, baseline and spec that they name. What makes no sense is refused first.

Nothing is fetched and torch is not imported before every flag was checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError
from ..core.spec import Spec
from ..processes.settings import ProcessSettings
from .process_wide import check_address_space, keep_freed_memory, uncollected

if TYPE_CHECKING:
    from ..baselines import Baseline
    from ..processes.base import PipelineProcess
    from ..runs.scorers import Scorer

# What every baseline takes, and what the paragon takes, which runs as its process does.
_OF_BASELINE = ("device", "dtype", "batch_size", "revision", "allow_pickle")
_OF_PARAGON = ("process", *_OF_BASELINE, "variant")


def load_process(*source: str, **settings: Any) -> PipelineProcess:
    """``conjure.load`` with what only a program of its own may do; see ``process_wide``."""
    from .. import load

    check_address_space()
    with uncollected():
        process = load(*source, **settings)
    if process.device.type == "cpu":
        keep_freed_memory()
    return process


def choose(
    flags: dict[str, Any], load: Callable[..., PipelineProcess] = load_process
) -> tuple[PipelineProcess, Spec]:
    """The process and spec that the flags name; what was not given is left to the library."""
    given = _given(flags)
    asked = {field.name: given.pop(field.name) for field in fields(Spec) if field.name in given}
    if "max_samples" in asked and "tolerance" not in asked:
        raise InputError("--max-samples ends what --tolerance begins: give both, or neither")
    source = _source(given)
    chosen = ProcessSettings(**given)  # before torch is imported
    spec = Spec(**asked)  # before anything is fetched
    if chosen.steps is not None:
        spec.check_steps(chosen.steps)
    process = load(*source, **given)
    spec.check(process)
    return process, spec


def choose_scorer(
    baseline: str | None,
    max_memory: int | None,
    flags: dict[str, Any],
    load: Callable[..., PipelineProcess] = load_process,
) -> Scorer:
    """What the flags measure with: a process and a spec, or a baseline."""
    from ..runs.scorers import BaselineScorer, ProcessScorer

    if baseline is None:
        process, spec = choose(flags, load)
        return ProcessScorer(process, spec, max_memory)
    given = _given(flags)
    if max_memory is not None:
        given["max_memory"] = max_memory
    return BaselineScorer(load_baseline(baseline, given))


def load_baseline(row: str, given: dict[str, Any]) -> Baseline:
    """The baseline of a row. Raises InputError for flags that say nothing about it."""
    from ..baselines import load, read_row
    from ..baselines.settings import BaselineSettings

    kind = read_row(row).kind
    taken = {"paragon": _OF_PARAGON, "lm": (*_OF_BASELINE, "seed")}.get(kind, _OF_BASELINE)
    if foreign := [flag(name) for name in given if name not in taken]:
        raise InputError(f"{', '.join(foreign)} cannot go with --baseline {row}: leave it out")
    if kind == "paragon":
        source = _source(given)
        ProcessSettings(**given)
        return load(row, process=load_process(*source, **given))
    BaselineSettings(**given)  # before torch is imported
    check_address_space()
    with uncollected():
        baseline = load(row, **given)
    if baseline.signature.provenance.get("device") == "cpu":
        keep_freed_memory()
    return baseline


def flag(name: str) -> str:
    """The flag of a parameter.

    >>> flag("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value not in (None, ())}


def _source(given: dict[str, Any]) -> list[str]:
    """Take the process out of the flags: nothing, or its id or folder."""
    if "process" not in given:
        return []
    source: str = given.pop("process")
    if source.startswith(("encoder=", "lm=")):
        raise InputError(f"{source} is a baseline, not a process: write --baseline {source}")
    return [source]

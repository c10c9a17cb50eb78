"""The flags that several commands share, and the process and measure that they name.

Names and defaults are those of ``conjure.load`` and ``conjure.distance``: a flag that is not given
is not passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .approximation import Approximation
from .core.errors import InputError
from .processes.settings import DTYPES, SAMPLERS
from .scoring import Measure

if TYPE_CHECKING:
    from .core.process import GenerativeProcess

Command = TypeVar("Command", bound=Callable[..., Any])

PROCESS_OPTIONS = (
    click.option("--process", help="Hub id or folder of a pipeline; by default the bundled one."),
    click.option("--sampler", help=", ".join(SAMPLERS) + "."),
    click.option("--steps", type=int, help="T, the number of sampling steps."),
    click.option("--guidance", type=float, help="w in ε_∅ + w (ε_y − ε_∅); 1 is unguided."),
    click.option("--device", help="cpu, cuda, cuda:1, mps, …"),
    click.option("--dtype", help=f"Arithmetic inside the network: {', '.join(DTYPES)}."),
    click.option("--batch-size", type=int, help="Most rows that the network is given at once."),
    click.option(
        "--compile", is_flag=True, default=None, help="Compile the network: for runs of minutes."
    ),
    click.option("--revision", help="Commit, tag or branch of a hub id."),
    click.option("--variant", help="Variant of the weights, such as fp16."),
    click.option("--allow-pickle", is_flag=True, default=None, help="Accept pickled weights."),
)
MEASURE_OPTIONS = (
    click.option("--samples", type=int, help="k, the noises to average over.  [default: 1]"),
    click.option("--seed", type=int, help="Sample i starts from seed + i.  [default: 0]"),
    click.option(
        "--estimand",
        help="jeffreys, kl, initial, final, output, coupled, girsanov, chain, "
        "pointwise:STEP or cumulative:STEP.  [default: jeffreys]",
    ),
)
ESTIMATE_OPTIONS = (
    click.option(
        "--cross-steps",
        type=int,
        metavar="M",
        help="Estimate: ask for the other prompt at M steps behind the first, drawn at random.",
    ),
    click.option(
        "--tolerance",
        type=float,
        metavar="R",
        help="Estimate: double --samples until the 95 % interval is within R × the value.",
    ),
    click.option(
        "--most-samples",
        type=int,
        metavar="K",
        help="Or until they are K; goes with --tolerance.  "
        f"[default: {Approximation.most_samples}]",
    ),
)

_UNITS = {
    "": 1,
    **{f"{prefix}b": 1000**n for n, prefix in enumerate(("", "k", "m", "g", "t"))},
    **{f"{prefix}ib": 1024**n for n, prefix in enumerate(("k", "m", "g", "t"), start=1)},
}


def _bytes(context: click.Context, option: click.Parameter, given: str | None) -> int | None:
    """An amount of memory as people write it: 2GB, 512MiB, or a number of bytes."""
    if given is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([a-z]*)", given.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise click.BadParameter(f"{given!r} is no amount of memory; write 2GB or 512MiB")
    return int(float(found[1]) * _UNITS[found[2]])


MEMORY_OPTION = click.option(
    "--max-memory",
    metavar="SIZE",
    callback=_bytes,
    help="Most that trajectories may take, such as 2GB.  [default: a quarter of what is free]",
)


def settings(command: Command) -> Command:
    """Add the flags of process and measure, in the order in which they are listed."""
    for option in reversed((*PROCESS_OPTIONS, *MEASURE_OPTIONS, *ESTIMATE_OPTIONS)):
        command = option(command)
    return command


def choose(flags: dict[str, Any]) -> tuple[GenerativeProcess, Measure]:
    """The process and measure that the flags name; what was not given is left to the library."""
    from . import load

    given = {name: value for name, value in flags.items() if value is not None}
    measure = _measure(given)
    source = [given.pop("process")] if "process" in given else []
    process = load(*source, **given)
    measure.check(process)
    return process, measure


def _measure(given: dict[str, Any]) -> Measure:
    """The measure that the flags name, which are taken out of them."""

    def taken(*names: str) -> dict[str, Any]:
        return {name: given.pop(name) for name in names if name in given}

    estimates = taken("cross_steps", "tolerance", "most_samples")
    if "most_samples" in estimates and "tolerance" not in estimates:
        raise InputError("--most-samples says where --tolerance ends: give both, or neither")
    return Measure(**taken("samples", "seed", "estimand"), approximation=Approximation(**estimates))

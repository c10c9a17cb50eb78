"""The flags that several commands share, and the process and measure that they name.

Names and defaults are those of ``conjure.load`` and ``conjure.distance``: a flag that is not given
is not passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..core.errors import InputError
from ..core.spec import Spec
from ..core.text import brief
from ..processes.settings import DTYPES, SAMPLERS, Choice, ProcessSettings
from .process_wide import keep_freed_memory, uncollected

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess

Command = TypeVar("Command", bound=Callable[..., Any])


class Checked(click.Command):
    """A command that refuses an empty value: mostly a variable of the shell that is not set.

    To take it for a flag that was not given would start another run than was asked for.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for option in order:
            values = given.get(option.name or "")
            for value in values if isinstance(values, list | tuple) else [values]:
                if isinstance(value, str) and (fault := _fault(value)):
                    raise click.UsageError(f"{_flag(option)} {fault}")
        return super().parse_args(ctx, args)


def _fault(value: str) -> str | None:
    if not value.strip():
        return "is empty: give a value, or leave it out"
    return "holds a null character" if "\0" in value else None


def _flag(option: click.Parameter) -> str:
    return option.opts[0] if isinstance(option, click.Option) else (option.name or "").upper()


class Commands(click.Group):
    """A group of such commands."""

    command_class = Checked
    group_class = type


def _else(value: object) -> str:
    return f"  [default: the process's own, else {value}]"


PROCESS_OPTIONS = (
    click.option("--process", help="Hub id or folder of a pipeline; by default the bundled one."),
    click.option("--sampler", help=", ".join(SAMPLERS) + "." + _else(Choice.sampler)),
    click.option(
        "--steps", type=int, help=f"T, the number of sampling steps.{_else(Choice.steps)}"
    ),
    click.option(
        "--guidance",
        type=float,
        help=f"w in ε_∅ + w (ε_y − ε_∅); 1 is unguided.{_else(Choice.guidance)}",
    ),
    click.option(
        "--device", help="cpu, cuda, cuda:1, mps, ….  [default: cuda where there is one, else cpu]"
    ),
    click.option(
        "--dtype",
        help=f"Arithmetic inside the network: {', '.join(DTYPES)}.  [default: {Choice.dtype}]",
    ),
    click.option(
        "--batch-size",
        type=int,
        help="Most rows that the network is given at once.  [default: what suits the device]",
    ),
    click.option(
        "--compile", is_flag=True, default=None, help="Compile the network: for runs of minutes."
    ),
    click.option("--revision", help="Commit, tag or branch of a hub id."),
    click.option("--variant", help="Variant of the weights, such as fp16."),
    click.option("--allow-pickle", is_flag=True, default=None, help="Accept pickled weights."),
)
MEASURE_OPTIONS = (
    click.option(
        "--samples",
        type=int,
        help=f"k, the noises to average over.  [default: {Spec.samples}]",
    ),
    click.option(
        "--seed", type=int, help=f"Sample i starts from seed + i.  [default: {Spec.seed}]"
    ),
    click.option(
        "--estimand",
        help="jeffreys, kl, initial, final, output, coupled, girsanov, chain, "
        f"pointwise:STEP or cumulative:STEP.  [default: {Spec.estimand}]",
    ),
)
ESTIMATE_OPTIONS = (
    click.option(
        "--cross-steps",
        type=int,
        metavar="M",
        help="Estimate: predict under the other prompt at M random steps behind the first.",
    ),
    click.option(
        "--tolerance",
        type=float,
        metavar="R",
        help="Estimate: double --samples until the 95 % interval is within R × the value.",
    ),
    click.option(
        "--max-samples",
        "--most-samples",  # as it was called before
        "max_samples",
        type=int,
        metavar="K",
        help=f"Or until they are K; goes with --tolerance.  [default: {Spec.max_samples}]",
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
    found = re.fullmatch(r"([0-9]{1,20}(?:\.[0-9]{1,20})?) *([a-z]*)", given.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise click.BadParameter(f"{brief(given)} is no amount of memory; write 2GB or 512MiB")
    amount = int(float(found[1]) * _UNITS[found[2]])
    if not 0 < amount < 2**63:
        raise click.BadParameter(f"{brief(given)} is no amount of memory that a machine may have")
    return amount


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


def choose(flags: dict[str, Any]) -> tuple[GenerativeProcess, Spec]:
    """The process and spec that the flags name; what was not given is left to the library."""
    from .. import load

    given = {name: value for name, value in flags.items() if value is not None}
    asked = {field.name: given.pop(field.name) for field in fields(Spec) if field.name in given}
    if "max_samples" in asked and "tolerance" not in asked:
        raise InputError("--max-samples says where --tolerance ends: give both, or neither")
    source = [given.pop("process")] if "process" in given else []
    chosen = ProcessSettings(**given)  # before torch is imported
    spec = Spec(**asked)  # before anything is fetched
    if chosen.steps is not None:
        spec.check_steps(chosen.steps)
    with uncollected():
        process = load(*source, **given)
    if process.device.type == "cpu":
        keep_freed_memory()
    spec.check(process)
    return process, spec

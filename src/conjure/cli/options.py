"""The flags that several commands share.

Names and defaults are those of ``conjure.load`` and ``conjure.distance``. A flag that is not given
is not passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..core.currency import CURRENCIES
from ..core.spec import Spec
from ..core.text import brief
from ..processes.settings import DTYPES, NATIVE, PRESETS, SAMPLERS, SWAPPABLE, Choice
from ..processes.sources import known_sources
from .completion import BASELINES, DEVICES, ESTIMANDS, values
from .process_wide import offline

Command = TypeVar("Command", bound=Callable[..., Any])


class Checked(click.Command):
    """A command that refuses an empty value, which mostly is a shell variable that is not set.

    Ignoring it would start another run than the user asked for.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # a command line that the shell completes is not whole yet
            return super().parse_args(ctx, args)
        given, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for option in order:
            values = given.get(option.name or "")
            for value in values if isinstance(values, list | tuple) else [values]:
                if value == "" and option.name == "negative_prompt":
                    continue  # for SDXL the empty prompt is another one than none
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


def _offline(context: click.Context, option: click.Parameter, given: bool) -> None:
    if given and not context.resilient_parsing:
        context.with_resource(offline())


PROCESS_OPTIONS = (
    click.option(
        "--process",
        shell_complete=values(known_sources, files=True),
        help="Hub id or folder of a pipeline, or an installed process; by default the bundled one.",
    ),
    click.option(
        "--sampler",
        shell_complete=values((*SAMPLERS, NATIVE)),
        help=", ".join(SAMPLERS)
        + ", or native: the pipeline's own scheduler as it is."
        + _else(Choice.sampler),
    ),
    click.option(
        "--steps", type=int, help=f"T, the number of sampling steps.{_else(Choice.steps)}"
    ),
    click.option(
        "--guidance",
        type=float,
        help=f"w in ε_∅ + w (ε_y − ε_∅); 1 is unguided.{_else(Choice.guidance)}",
    ),
    click.option(
        "--negative-prompt",
        help="What guidance subtracts; it may be empty.  [default: the family's own]",
    ),
    click.option(
        "--size",
        metavar="WIDTHxHEIGHT",
        help="Pixels of a picture, such as 512x768.  [default: the network's own]",
    ),
    click.option(
        "--true-cfg-scale",
        type=float,
        metavar="W",
        help="Flux.1: guide by W with a prompt to subtract, besides the guidance that it is told.",
    ),
    click.option(
        "--eta", type=float, help=f"η of ddim, 0 to 1.  [default: {Choice.eta:g}, its ODE]"
    ),
    click.option(
        "--preset",
        shell_complete=values(PRESETS),
        help="paper: lms, T = 10, w = 7.5 and 512x512, whatever the process recommends.",
    ),
    click.option(
        "--compare",
        shell_complete=values(CURRENCIES),
        help="What is compared: epsilon, score, velocity, or output, the network's own"
        f" prediction.{_else(Choice.compare)}",
    ),
    click.option(
        "--device",
        shell_complete=values(DEVICES),
        help="cpu, cuda, cuda:1, mps, ….  [default: cuda where there is one, else cpu]",
    ),
    click.option(
        "--dtype",
        shell_complete=values(DTYPES),
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
    click.option(
        "--offload",
        is_flag=True,
        default=None,
        help="Keep on the GPU only the part that works.",
    ),
    click.option("--revision", help="Commit, tag or branch of a hub id."),
    click.option("--variant", help="Variant of the weights, such as fp16."),
    click.option(
        "--offline",
        is_flag=True,
        expose_value=False,
        callback=_offline,
        help="Ask no hub: what is not cached whole is refused.",
    ),
    click.option(
        "--config",
        metavar="FOLDER_OR_ID",
        shell_complete=values((), files=True),
        help="Where --process is a single .safetensors file: its base model.",
    ),
    *(
        click.option(
            f"--{part.replace('_', '-')}",
            part,
            metavar="FOLDER",
            shell_complete=values((), files=True),
            help=f"Read the {part} from another folder.",
        )
        for part in SWAPPABLE
    ),
    click.option(
        "--lora",
        multiple=True,
        metavar="ID[:SCALE]",
        shell_complete=values((), files=True),
        help="Add a LoRA: a safetensors file, a folder or a hub id. Repeatable.",
    ),
    click.option("--allow-pickle", is_flag=True, default=None, help="Accept pickled weights."),
    click.option(
        "--allow-code",
        is_flag=True,
        default=None,
        help="Let --process be any MODULE:CALLABLE: it is imported and called.",
    ),
)
SAMPLE_OPTIONS = (
    click.option(
        "--samples",
        type=int,
        help=f"k, the noises to average over.  [default: {Spec.samples}]",
    ),
    click.option(
        "--seed", type=int, help=f"Sample i starts from seed + i.  [default: {Spec.seed}]"
    ),
)
MEASURE_OPTIONS = (
    *SAMPLE_OPTIONS,
    click.option(
        "--estimand",
        shell_complete=values(ESTIMANDS),
        help="jeffreys, kl, initial, final, output, coupled, girsanov, chain, "
        f"pointwise:STEP or cumulative:STEP.  [default: {Spec.estimand}]",
    ),
)
ESTIMATE_OPTIONS = (
    click.option(
        "--cross-steps",
        type=int,
        metavar="M",
        help="Estimate: predict under the other prompt at M random steps after the first.",
    ),
    click.option(
        "--tolerance",
        type=float,
        metavar="R",
        help="Estimate: double --samples until the 95 % interval is within R × the value.",
    ),
    click.option(
        "--max-samples",
        "--most-samples",  # its former name
        "max_samples",
        type=int,
        metavar="K",
        help=f"End --tolerance at K samples.  [default: {Spec.max_samples}]",
    ),
)

_UNITS = {
    "": 1,
    **{f"{prefix}b": 1000**n for n, prefix in enumerate(("", "k", "m", "g", "t"))},
    **{f"{prefix}ib": 1024**n for n, prefix in enumerate(("k", "m", "g", "t"), start=1)},
}


def _bytes(context: click.Context, option: click.Parameter, given: str | None) -> int | None:
    """An amount of memory as people write it: 2GB, 512MiB, or a number of bytes → bytes."""
    if given is None:
        return None
    found = re.fullmatch(r"([0-9]{1,20}(?:\.[0-9]{1,20})?) *([a-z]*)", given.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise click.BadParameter(f"{brief(given)} is no amount of memory; write 2GB or 512MiB")
    amount = int(float(found[1]) * _UNITS[found[2]])
    if not 0 < amount < 2**63:
        raise click.BadParameter(f"{brief(given)} is no amount of memory that a machine may have")
    return amount


BASELINE_OPTION = click.option(
    "--baseline",
    metavar="ROW",
    shell_complete=values(BASELINES, files=True),
    help="Measure with a baseline in place of a process: a row of docs/baselines.md such as "
    "bert-mean, encoder=ID_OR_FOLDER[:mean|cls|eos], lm=ID_OR_FOLDER, or paragon. Only --device, "
    "--dtype, --batch-size, --revision, --allow-pickle and (for lm) --seed go with it.",
)
COLUMNS_OPTION = click.option(
    "--columns",
    nargs=2,
    metavar="A B",
    help="The two columns of texts; by default sentence1 and "
    "sentence2, or text1 and text2, or else the first two.",
)
FORMATS = ("tsv", "csv", "jsonl", "parquet")
FORMAT_OPTION = click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    help="Format of stdin and stdout, where - stands for a file.  [default: tsv]",
)
OVERWRITE_OPTION = click.option(
    "--overwrite", is_flag=True, help="Replace OUT, and kept work of other settings in OUT.run."
)


def out_option(help: str, *, required: bool = False) -> Callable[[Command], Command]:
    """The flag that names the output."""
    return click.option("--out", type=click.Path(path_type=Path), required=required, help=help)


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

"""The commands of ``python -m benchmarks``: each prints its figures and the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from conjure.cli.options import Commands
from conjure.cli.wording import json_text, tell
from conjure.core.errors import InputError
from conjure.core.text import brief, printable
from conjure.datasets.tables import left_out

from .wording import (
    agreement_lines,
    matrix_lines,
    matrix_object,
    network_lines,
    spread,
)

if TYPE_CHECKING:
    from .agreement import Found, Way

Command = TypeVar("Command", bound=Callable[..., Any])

DEVICE = "cpu, cuda, ….  [default: cuda where there is one, else cpu]"


def as_json(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def rounds(default: int) -> Callable[[Command], Command]:
    return click.option(
        "--rounds", type=click.IntRange(min=1), default=default, show_default=True, help="Timings."
    )


def on_dataset(command: Command) -> Command:
    """Add the flags of the benchmarks that need pairs with human scores."""
    for option in reversed(
        (
            click.argument("dataset"),
            click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of its TSVs."),
            click.option(
                "--limit",
                type=click.IntRange(min=1),
                help="Take a random sample of that many pairs.",
            ),
            click.option("--process", default="emoji", show_default=True, help="Hub id or folder."),
            click.option("--device", help=DEVICE),
            click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
            as_json,
        )
    ):
        command = option(command)
    return command


@click.group(cls=Commands)
def benchmarks() -> None:
    """Time conjure on this machine, and measure how shortcuts change its distances."""


@benchmarks.command()
@click.option("--process", default="emoji", show_default=True, help="Hub id or folder.")
@click.option("--architecture", help="Random weights of one instead, such as wide: 2 GFLOP a row.")
@click.option("--prompts", type=int, default=32, show_default=True, help="Side of the matrix.")
@click.option("--naive-pairs", type=click.IntRange(min=1), default=2, show_default=True)
@rounds(5)
@click.option("--device", help=DEVICE)
@click.option("--fast", default="auto", show_default=True, help="Dtype of the fast ways.")
@click.option("--compile", is_flag=True, help="Compile the network for the fast ways.")
@as_json
def matrix(as_json: bool, **flags: Any) -> None:
    """Compare conjure with a plain loop on a matrix of texts; rows and distances are checked."""
    from .matrix import Setup, compare

    report = compare(Setup(**flags), tell)
    _print(matrix_object(report), matrix_lines(report), report.setup.device, as_json)


@benchmarks.command()
@click.option("--architecture", help="Random weights of one: sd14, wide or tiny.  [default: sd14]")
@click.option("--process", help="Hub id or folder: its own network instead, such as emoji's.")
@click.option("--device", help=DEVICE)
@click.option("--dtype", default="auto", show_default=True)
@click.option("--batch-sizes", default="4,8,16,32", show_default=True, help="Separated by commas.")
@click.option("--compile", "compiled", help="default, reduce-overhead or max-autotune.")
@click.option(
    "--sustain",
    type=float,
    default=0.0,
    show_default=True,
    help="Seconds at the best batch size.",
)
@as_json
def network(
    architecture: str | None,
    process: str | None,
    device: str | None,
    dtype: str,
    batch_sizes: str,
    compiled: str | None,
    sustain: float,
    as_json: bool,
) -> None:
    """Time one network: rows a second, and the share of the matrix-product rate.

    Random weights take as long as trained ones.
    """
    try:
        sizes = [int(size) for size in batch_sizes.split(",")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise InputError(f"batch sizes are whole numbers such as 4,8,16, not {brief(batch_sizes)}")
    if process and architecture:
        raise InputError("give --process or --architecture: one network is timed")
    architecture = architecture or "sd14"
    from .network import measure, open_network

    unet, tokens = open_network(process, architecture, device, dtype)
    report = measure(unet, sizes, tokens=tokens, compiled=compiled, sustain=sustain, say=tell)
    facts = {"network": process or architecture, "compile": compiled}
    facts |= {"dtype": str(unet.dtype).removeprefix("torch.")} | asdict(report)
    title = f"{facts['network']} in {facts['dtype']}{', compiled' if compiled else ''}"
    _print(facts, [title, *network_lines(report)], device, as_json)


@benchmarks.command()
@click.argument("pairs", nargs=-1, type=click.IntRange(min=1))
@rounds(3)
@as_json
def scaling(pairs: tuple[int, ...], rounds: int, as_json: bool) -> None:
    """Time a pair and peak memory for collections of PAIRS pairs.  [default: 1000 20000]"""
    from .scaling import measure

    sizes = measure(pairs or (1000, 20000), rounds, tell)
    lines = [
        f"{size.pairs:>7,} pairs  {1e3 * size.timing.median / size.pairs:.3f} ms a pair"
        f"{spread(size.timing, 1e3 / size.pairs)}  {size.rows / size.pairs:.1f} rows a pair  "
        f"{size.memory / 2**20:,.0f} MiB at most"
        for size in sizes
    ]
    _print({"sizes": [asdict(size) for size in sizes]}, lines, "cpu", as_json)


@benchmarks.command()
@click.option("--texts", type=click.IntRange(min=4), default=20, show_default=True)
@click.option("--steps", type=click.IntRange(min=2), default=5, show_default=True)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--every", type=click.IntRange(min=1), default=300, show_default=True, help="Rows.")
@as_json
def kills(texts: int, every: int, as_json: bool, **settings: int) -> None:
    """Count the network rows that being killed costs: once, and again after every so many rows."""
    from .kills import measure

    found = [
        measure(name, texts, every=every, kept=kept, **settings)
        for name in ("matrix", "pairs")
        for kept in (False, True)
    ]
    lines = [
        f"{one.name}, trajectories {'kept' if one.kept else 'not kept'}: {one.whole:,} rows; a kill"
        f" costs {one.most:,} at most, {one.mean:.0f} in the mean; killed every {every:,}: "
        f"{'no end' if one.often is None else f'{one.often:,} in all'}"
        for one in found
    ]
    _print({"kills": [asdict(one) for one in found]}, lines, "cpu", as_json)


@benchmarks.command()
@click.option("--pairs", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--process", default="emoji", show_default=True, help="Hub id or folder.")
@click.option("--steps", type=int, default=10, show_default=True, help="T.")
@rounds(3)
@as_json
def engines(pairs: int, process: str, steps: int, rounds: int, as_json: bool) -> None:
    """Time the same pairs by one worker of Ray, and here, with one thread each."""
    from .engines import measure

    found = measure(pairs, {"process": process, "steps": steps, "device": "cpu"}, rounds, tell)
    lines = [
        f"{timing.median:6.2f} s{spread(timing)}  {name}, ready after {found.ready[name]:.1f} s"
        for name, timing in found.timings.items()
    ]
    lines.append(f"{found.pairs} pairs, {found.rows:,} rows; they differ by {found.deviation:.0e}")
    _print(asdict(found), lines, "cpu", as_json)


@benchmarks.command()
@rounds(5)
@as_json
def start(rounds: int, as_json: bool) -> None:
    """Time the first distance of a fresh Python, beside its imports."""
    from .start import measure

    timings = measure(rounds, tell)
    lines = [f"{t.median:6.2f} s{spread(t)}  {name}" for name, t in timings.items()]
    _print({name: asdict(timing) for name, timing in timings.items()}, lines, "cpu", as_json)


@benchmarks.command()
@on_dataset
@click.option("--dtype", default="float32", show_default=True, help="Of all ways.")
@click.option("--tolerance", type=float, default=0.3, show_default=True, help="Of adaptive k.")
@click.option(
    "--max-samples",
    "--most-samples",  # as it was called before
    "max_samples",
    type=int,
    default=8,
    show_default=True,
    help="Of adaptive k.",
)
def approximations(dtype: str, tolerance: float, max_samples: int, **flags: Any) -> None:
    """How estimates differ on DATASET from the full computation with the same seeds.

    The estimates are cross rows at some of the steps only, fewer steps in all, and adaptive k.
    For each: its network rows, Spearman's coefficient with the human scores, the rank correlation
    with the full computation, and the relative difference from it, on average and at most.
    """

    def ways() -> list[Way]:
        from .agreement import shortcuts

        return shortcuts(_loader(flags, dtype=dtype), tolerance, max_samples)

    _agree(ways, **flags)


@benchmarks.command()
@on_dataset
@click.option(
    "--dtypes",
    help="All are compared with the first.  [default: float32,bfloat16; cuda: and float16]",
)
def precision(dtypes: str | None, **flags: Any) -> None:
    """How half precision inside the network changes distances on DATASET."""

    def ways() -> list[Way]:
        from conjure.processes.devices import find_device

        from .agreement import precisions

        chosen = dtypes or "float32,bfloat16"
        if dtypes is None and find_device(flags["device"], None).type == "cuda":
            chosen += ",float16"
        return precisions(_loader(flags), chosen.split(","))

    _agree(ways, **flags)


def _loader(flags: dict[str, Any], **settings: Any) -> Callable[..., Any]:
    from conjure import load

    one = partial(load, flags["process"], device=flags["device"], **settings)
    return lru_cache(maxsize=1)(one)  # ways that share a process come one after the other


def _agree(
    ways: Callable[[], list[Way]],
    *,
    dataset: str,
    data_dir: Path | None,
    limit: int | None,
    seed: int,
    device: str | None,
    as_json: bool,
    **_: Any,
) -> None:
    from conjure.datasets.read import read_dataset, subsample
    from conjure.stats.correlation import check_scores

    data = read_dataset(dataset, data_dir)
    for line in left_out(data.table.bad):
        tell(line)
    if limit is not None:
        data = subsample(data, limit)
    check_scores(data.scores)
    from .agreement import measure  # its imports take seconds

    found: list[Found] = measure(data, ways(), seed, tell)
    facts = {
        "dataset": data.name, "n": len(data.scores), "total": data.total, "seed": seed,
        "ways": [asdict(way) | {"signature": way.signature.object()} for way in found],
    }  # fmt: skip
    title = f"{data.name}, {len(data.scores)} of {data.total} pairs; {found[0].signature}"
    _print(facts, [title, *agreement_lines(found)], device, as_json)


def _print(facts: dict[str, Any], lines: list[str], device: str | None, as_json: bool) -> None:
    from conjure.processes.devices import find_device
    from conjure.report.machine import machine

    where = machine(find_device(device, None))
    if as_json:
        click.echo(json_text(facts | {"machine": where}))
        return
    for line in lines:
        click.echo(printable(line))
    click.echo("; ".join(f"{name} {fact}" for name, fact in where.items()))

"""``conjure bench``: timings for people and as JSON, each with the machine it was taken on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..core.errors import InputError

if TYPE_CHECKING:
    from .clock import Timing
    from .matrix import MatrixReport
    from .network import NetworkReport

Command = TypeVar("Command", bound=Callable[..., Any])


def say(line: str) -> None:
    """What is being done, on stderr."""
    click.echo(f"conjure: {line}", err=True)


def as_json(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def rounds(default: int) -> Callable[[Command], Command]:
    return click.option(
        "--rounds", type=click.IntRange(min=1), default=default, show_default=True, help="Timings."
    )


@click.group()
def bench() -> None:
    """Time conjure on this machine; nothing is scored."""


@bench.command()
@click.option("--process", default="emoji", show_default=True, help="Hub id or folder.")
@click.option("--architecture", help="Random weights of one instead: wide (2 GFLOP a row).")
@click.option("--prompts", type=int, default=32, show_default=True, help="Side of the matrix.")
@click.option("--naive-pairs", type=click.IntRange(min=1), default=2, show_default=True)
@rounds(5)
@click.option("--device", help="cpu, cuda, …")
@click.option("--fast", default="bfloat16", show_default=True, help="The faster dtype.")
@click.option("--compile", is_flag=True, help="Compile the network for the fast ways.")
@as_json
def matrix(as_json: bool, **flags: Any) -> None:
    """Ours against a plain loop on a matrix of texts, rows and distances checked first."""
    from .matrix import Setup, compare

    report = compare(Setup(**flags), say)
    _print(_matrix_object(report), _matrix_lines(report), report.setup.device, as_json)


@bench.command()
@click.option("--architecture", default="sd14", show_default=True, help="sd14, wide or tiny.")
@click.option("--device", help="cpu, cuda, …")
@click.option("--dtype", default="bfloat16", show_default=True)
@click.option("--batch-sizes", default="4,8,16,32", show_default=True, help="Separated by commas.")
@click.option("--compile", "compiled", help="default, reduce-overhead or max-autotune.")
@click.option("--sustain", type=float, default=0.0, help="Seconds at the best batch size.")
@as_json
def network(
    architecture: str,
    device: str | None,
    dtype: str,
    batch_sizes: str,
    compiled: str | None,
    sustain: float,
    as_json: bool,
) -> None:
    """Rows a second of a network with random weights, beside the device's matmul rate."""
    try:
        sizes = [int(size) for size in batch_sizes.split(",")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise InputError(f"batch sizes are whole numbers such as 4,8,16, not {batch_sizes!r}")
    import torch

    from ..processes.settings import ProcessSettings
    from ..processes.stable_diffusion import find_device
    from .architectures import random_network
    from .network import measure

    chosen = ProcessSettings(device=device, dtype=dtype)
    unet = random_network(
        architecture, find_device(chosen.device, chosen.dtype), getattr(torch, dtype)
    )
    report = measure(unet, sizes, compiled=compiled, sustain=sustain, say=say)
    facts = {"architecture": architecture, "dtype": dtype, "compile": compiled} | asdict(report)
    _print(facts, _network_lines(report), device, as_json)


@bench.command()
@click.argument("pairs", nargs=-1, type=click.IntRange(min=1))
@rounds(3)
@as_json
def scaling(pairs: tuple[int, ...], rounds: int, as_json: bool) -> None:
    """Cost a pair and peak memory over collections of PAIRS pairs (1000 and 20000)."""
    from .scaling import measure

    sizes = measure(pairs or (1000, 20000), rounds, say)
    lines = [
        f"{size.pairs:>7,} pairs  {1e3 * size.timing.median / size.pairs:.3f} ms a pair"
        f"{_spread(size.timing, 1e3 / size.pairs)}  {size.rows / size.pairs:.1f} rows a pair  "
        f"{size.memory / 2**20:,.0f} MiB at most"
        for size in sizes
    ]
    _print({"sizes": [asdict(size) for size in sizes]}, lines, "cpu", as_json)


@bench.command()
@rounds(5)
@as_json
def start(rounds: int, as_json: bool) -> None:
    """A distance from a cold start, beside importing torch, diffusers and transformers."""
    from .start import measure

    timings = measure(rounds, say)
    lines = [f"{t.median:6.2f} s{_spread(t)}  {name}" for name, t in timings.items()]
    _print({name: asdict(timing) for name, timing in timings.items()}, lines, "cpu", as_json)


def _print(facts: dict[str, Any], lines: list[str], device: str | None, as_json: bool) -> None:
    from ..processes.stable_diffusion import find_device
    from .clock import machine

    where = machine(find_device(device, None))
    if as_json:
        click.echo(json.dumps(facts | {"machine": where}))
        return
    for line in lines:
        click.echo(line)
    click.echo("; ".join(f"{name} {fact}" for name, fact in where.items()))


def _spread(timing: Timing, scale: float = 1.0) -> str:
    low, high = timing.interval
    return f" ({scale * low:.3g} to {scale * high:.3g})"


def _matrix_object(report: MatrixReport) -> dict[str, Any]:
    return asdict(report) | {
        "speedups": {name: report.speedup(slow, quick) for name, slow, quick in _comparisons()}
    }


def _comparisons() -> list[tuple[str, int, int]]:
    """Name, and the places of the slow and the quick way among ``MatrixReport.ways``."""
    return [
        ("ours against naive, both float32", 0, 2),
        ("ours against naive, both fast", 1, 3),
        ("ours fast against naive float32", 0, 3),
    ]


def _matrix_lines(report: MatrixReport) -> list[str]:
    lines = [
        f"{way.name:<28} {way.rows / way.pairs:6.1f} rows a pair  {way.rows_per_second:7.1f} rows/s"
        f"  {1e3 * way.seconds_a_pair:8.1f} ms a pair{_spread(way.timing, 1e3 / way.pairs)}"
        for way in report.ways
    ]
    for name, slow, quick in _comparisons():
        rows, throughput, product = report.speedup(slow, quick)
        lines.append(f"{name}: {rows:.2f} × {throughput:.2f} = {product:.2f} times as fast")
    lines.append(
        f"ours differs from naive by {report.deviation:.1e} at most (float32, relative), "
        f"fast from float32 by {report.fast_deviation:.1e}"
    )
    return lines


def _network_lines(report: NetworkReport) -> list[str]:
    lines = [
        f"{report.flop / 1e12:.4f} TFLOP a row; matrix products {report.peak / 1e12:.2f} TFLOP/s; "
        f"so at most {report.limit:.1f} rows/s"
    ]
    for rate in report.rates:
        memory = "" if rate.memory is None else f"  {rate.memory / 2**30:.1f} GiB"
        lines.append(
            f"batch {rate.batch_size:>4}  {rate.rows_per_second:8.1f} rows/s  "
            f"{rate.tflops:7.2f} TFLOP/s  {100 * rate.share:3.0f} % of matmul{memory}"
        )
    if report.sustained:
        fifths = ", ".join(f"{rate:.1f}" for rate in report.sustained)
        lines.append(f"sustained, by fifths: {fifths} rows/s")
    return lines

"""What ``python -m benchmarks`` prints: its reports as lines for people and objects for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agreement import Found
    from .clock import Timing
    from .matrix import MatrixReport
    from .network import NetworkReport


def spread(timing: Timing, scale: float = 1.0) -> str:
    low, high = (scale * seconds for seconds in timing.interval)
    digits = max(0, 2 - math.floor(math.log10(high))) if high else 0  # three significant ones
    return f" ({low:,.{digits}f} to {high:,.{digits}f})"


def matrix_object(report: MatrixReport) -> dict[str, Any]:
    return asdict(report) | {
        "speedups": {name: report.speedup(slow, quick) for name, slow, quick in _comparisons()}
    }


def _comparisons() -> list[tuple[str, int, int]]:
    """Name, and the indices of the slow and the quick way in ``MatrixReport.ways``."""
    return [
        ("ours against naive, both float32", 0, 2),
        ("ours against naive, both fast", 1, 3),
        ("ours fast against naive float32", 0, 3),
    ]


def matrix_lines(report: MatrixReport) -> list[str]:
    lines = [
        f"{way.name:<30} {way.rows / way.pairs:6.1f} rows a pair  {way.rows_per_second:7.1f} rows/s"
        f"  {100 * way.rows_per_second / way.limit:3.0f} % of matmul"
        f"  {1e3 * way.seconds_a_pair:8.1f} ms a pair{spread(way.timing, 1e3 / way.pairs)}"
        for way in report.ways
    ]
    single, fast = (way.limit for way in report.ways[2:])
    lines.append(
        f"{report.flop / 1e9:.3f} GFLOP a row, so matrix products would give {single:.0f} rows/s "
        f"in float32, {fast:.0f} in {report.setup.fast}"
    )
    for name, slow, quick in _comparisons():
        rows, throughput, product = report.speedup(slow, quick)
        lines.append(f"{name}: {rows:.2f} × {throughput:.2f} = {product:.2f} times as fast")
    lines.append(
        f"ours differs from naive by {report.deviation:.1e} at most (float32, relative), "
        f"fast from float32 by {report.fast_deviation:.1e}"
    )
    return lines


def network_lines(report: NetworkReport) -> list[str]:
    lines = [
        f"{report.flop / 1e9:,.3f} GFLOP a row; matrix products {report.peak / 1e12:.2f} TFLOP/s; "
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


def agreement_lines(found: Sequence[Found]) -> list[str]:
    """A table with one line a way: coefficients × 100, differences in per cent."""
    width = max(len(way.name) for way in found)
    lines = [
        f"{'':<{width}}  {'rows':>11}  {'Spearman (95 %)':<22}  {'minus full (95 %)':<24}  "
        f"{'rank corr.':>11}  {'bias':>8}  {'largest':>8}"
    ]
    for way in found:
        rank, apart = way.correlation, way.difference
        coefficient = _percents(rank.spearman, rank.interval)
        less = _percents(apart.value, apart.interval) if way.name != way.whole else ""
        lines.append(
            f"{way.name:<{width}}  {way.rows:>11,}  {coefficient:<22}  {less:<24}  "
            f"{100 * way.agreement:>11.2f}  {way.bias:>+8.2%}  {way.largest:>8.2%}"
        )
    return lines


def _percents(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return "none"
    if interval is None:
        return f"{100 * value:.2f}"
    low, high = interval
    return f"{100 * value:.2f} ({100 * low:.2f} to {100 * high:.2f})"

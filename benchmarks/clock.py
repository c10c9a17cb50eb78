"""Fair timing on a noisy machine: interleaved rounds, medians and ranges."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """The seconds that one task took in each round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def interval(self) -> tuple[float, float]:
        """The fastest and the slowest round: for the median, 94 % at 5 rounds, 97 % at 6."""
        return min(self.seconds), max(self.seconds)


def interleaved(
    tasks: Mapping[str, Callable[[], object]], rounds: int, say: Callable[[str], object]
) -> dict[str, Timing]:
    """Time each task once a round, after one untimed warm-up each.

    Every other round runs backwards. A machine that is slow for a while then slows all tasks alike.
    """
    for name, task in tasks.items():
        say(f"warming up: {name}")
        task()
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name in list(tasks)[:: -1 if number % 2 else 1]:
            begun = time.perf_counter()
            tasks[name]()
            found[name].append(time.perf_counter() - begun)
    return {name: Timing(tuple(seconds)) for name, seconds in found.items()}


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished its work; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_peak(device: torch.device, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """The highest FLOP/s among several large matrix products: a practical limit, measured here."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end or not best:
        synchronise(device)
        begun = time.perf_counter()
        for _ in range(4):
            a @ b
        synchronise(device)
        best = max(best, 4 * 2 * size**3 / (time.perf_counter() - begun))
    return best

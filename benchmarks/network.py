"""Rows a second of one network, beside the device's limit: matrix-product rate ÷ FLOP a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from conjure.processes import ProcessSettings, load
from conjure.processes.devices import settle

from .architectures import CONDITION_TOKENS, flop_a_row, random_network, random_rows
from .clock import matmul_peak, synchronise

LEAST_SECONDS = 3.0  # of timing at each batch size


@dataclass(frozen=True)
class Rate:
    """The rows a second at one batch size.

    share:  of the matrix-product rate measured in the same run
    memory: the peak on the device in bytes; None on a CPU
    """

    batch_size: int
    rows_per_second: float
    tflops: float
    share: float
    memory: int | None


@dataclass(frozen=True)
class NetworkReport:
    """limit: rows a second if every operation ran at the matrix-product rate ``peak`` (FLOP/s)."""

    flop: int
    peak: float
    limit: float
    rates: tuple[Rate, ...]
    sustained: tuple[float, ...]  # rows a second in each fifth of the sustained run


def open_network(
    process: str | None, architecture: str, device: str | None, dtype: str
) -> tuple[Any, int]:
    """A process's own network, or random weights of an architecture; and how many tokens it reads.

    Raises InputError where there is no such process, architecture, device or dtype.
    """
    if process is None:
        place, chosen = settle(ProcessSettings(device=device, dtype=dtype))
        settled = getattr(torch, chosen.dtype or dtype)
        return random_network(architecture, place, settled), CONDITION_TOKENS
    pipeline = load(process, device=device, dtype=dtype).pipeline
    return pipeline.unet, pipeline.tokenizer.model_max_length


def measure(
    unet: Any,
    batch_sizes: Sequence[int],
    *,
    tokens: int = CONDITION_TOKENS,
    compiled: str | None = None,
    sustain: float = 0.0,
    say: Callable[[str], object] = lambda line: None,
) -> NetworkReport:
    """Rows a second at each batch size, then for ``sustain`` seconds at the best.

    tokens:   of the text that each row attends to
    compiled: a mode of ``torch.compile`` ("default", "reduce-overhead", "max-autotune"), or None
    Sizes stop at the first batch that does not fit in memory.
    """
    flop = flop_a_row(unet, tokens)
    peak = matmul_peak(unet.device, unet.dtype)
    network = unet if compiled is None else torch.compile(unet, dynamic=False, mode=compiled)
    rates: list[Rate] = []
    for size in sorted(batch_sizes):
        say(f"batch size {size}")
        try:
            rate = _rows_per_second(network, random_rows(unet, size, tokens), LEAST_SECONDS)
        except torch.OutOfMemoryError:
            say(f"batch size {size} does not fit")
            break
        memory = None
        if unet.device.type == "cuda":
            memory = torch.cuda.max_memory_allocated(unet.device)
            torch.cuda.reset_peak_memory_stats(unet.device)
        rates.append(Rate(size, rate, rate * flop / 1e12, rate * flop / peak, memory))
    sustained: list[float] = []
    if sustain and rates:
        best = max(rates, key=lambda rate: rate.rows_per_second).batch_size
        rows = random_rows(unet, best, tokens)
        for fifth in range(5):
            say(f"sustained: {fifth + 1} of 5")
            sustained.append(_rows_per_second(network, rows, sustain / 5))
    return NetworkReport(flop, peak, peak / flop, tuple(rates), tuple(sustained))


@torch.inference_mode()
def _rows_per_second(network: Any, rows: dict[str, Tensor], seconds: float) -> float:
    size, device = len(rows["sample"]), rows["sample"].device
    for _ in range(2):  # the first may compile, the second allocates as later ones do
        network(**rows)
    synchronise(device)
    begun, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - begun < seconds:
        network(**rows)
        synchronise(device)
        count += size
    return count / (time.perf_counter() - begun)

"""What a run will cost on this device, told before it begins: network rows, and a time."""

from __future__ import annotations

import time

import torch

from ..core.batching import predict_batched
from ..core.planner import Plan
from ..core.process import GenerativeProcess

_LONG = 50  # batches: below that a run is over before a probe would have told
_BATCHES = 3


def cost_line(process: GenerativeProcess, plan: Plan, text: str) -> str:
    """Network rows, those computed again for want of memory, and of a long run its duration.

    text: any that the process takes, to probe it with
    """
    line = f"{plan.rows:,} network rows to compute"
    if plan.recomputed:
        line += f", {plan.recomputed:,} of them again for want of memory"
    if plan.rows > _LONG * process.batch_size:
        seconds = plan.rows * seconds_a_row(process, text)
        line += f", about {duration(seconds)} on {process.device} by a short probe"
    return line


@torch.no_grad()
def seconds_a_row(process: GenerativeProcess, text: str) -> float:
    """The network's time a row at its batch size: the quickest of a few batches of noise."""
    cond = process.embed([text])
    noise = torch.randn(process.latent_shape, generator=torch.Generator("cpu").manual_seed(0))
    x = noise.to(process.device, process.latent_dtype) * process.schedule.initial_scale
    found = []
    for _ in range(_BATCHES + 1):  # the first warms up, and finds the batch size that fits
        rows = process.batch_size
        nowhere = torch.zeros(rows, dtype=torch.long)
        begun = time.perf_counter()
        batch = x.expand(rows, *x.shape)
        index = nowhere.to(x.device)
        predict_batched(process, batch, index, cond, nowhere, lambda row: f'for "{text}"').cpu()
        found.append((time.perf_counter() - begun) / rows)  # .cpu() waits for the device
    return min(found[1:])


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(42), duration(600), duration(40_000)
    ('42 s', '10 min', '11.1 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

"""What a run will cost on this device, said before it begins: network rows, and a time."""

from __future__ import annotations

import time

import torch

from ..core.batching import RowName, predict_batched
from ..core.planner import Plan
from ..core.process import GenerativeProcess
from ..core.text import number_of
from .progress import duration, work_line
from .remote import RemoteProcess

__all__ = ["cost_line", "duration", "seconds_a_row"]

LONG = 50  # batches; a shorter run is not timed, since the probe would take as long
_BATCHES = 3


def cost_line(
    process: GenerativeProcess,
    plan: Plan,
    text: str,
    count: int,
    *,
    noun: str = "pair",
    done: int = 0,
    at_least: bool = False,
) -> str:
    """The line that a run of a process begins with; see ``work_line``.

    text:     any that the process takes; the duration of a long run is estimated with it
    at_least: whether the plan is only the first round of an adaptive number of samples
    """
    work = f"{'at least ' if at_least else ''}{number_of(plan.rows, 'network row')}"
    seconds, device = None, str(process.device)
    if isinstance(process, RemoteProcess):  # a group that is cut into blocks takes more rows
        device = number_of(process.crew.workers, "worker")
        work = f"at least {number_of(plan.rows, 'network row')}"
    if plan.rows > LONG * process.batch_size:
        seconds = plan.rows * seconds_a_row(process, text)
    return work_line(
        count,
        work,
        noun=noun,
        done=done,
        again=plan.recomputed,
        seconds=seconds,
        device=device,
    )


@torch.no_grad()
def seconds_a_row(process: GenerativeProcess, text: str) -> float:
    """The network's time for one row at its batch size: the quickest of a few batches of noise."""
    if isinstance(process, RemoteProcess):
        return process.seconds_a_row(text)
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
        predict_batched(
            process, batch, index, cond, nowhere, lambda row: RowName(f'for "{text}"')
        ).cpu()
        found.append((time.perf_counter() - begun) / rows)  # .cpu() waits for the device
    return min(found[1:])

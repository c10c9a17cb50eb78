"""Walk the trajectories of several prompts down the schedule together, one yield a step.

All rows of a step share the network's batches, and at pure noise, where every prompt stands at
the same point, one unconditional row serves them all. Nothing is kept that the caller does not
keep.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .network import ask, require_finite
from .process import GenerativeProcess
from .shapes import Conditioning, Record, Trajectory


@dataclass(frozen=True)
class Moment:
    """All trajectories at step j: n prompts, k samples; every prediction is unguided.

    step:  j, from 0 (pure noise) to T − 1
    x:     (n, k, *latent_shape), x_j in the solver's scale
    own:   (n, k, *latent_shape), ε(x_j | the trajectory's own prompt)
    null:  (n, k, *latent_shape), ε(x_j | ""), or None where nothing needs it
    after: (n, k, *latent_shape), x_{j+1}, or None where the walk ends before it
    """

    step: int
    x: Tensor
    own: Tensor
    null: Tensor | None
    after: Tensor | None


def walk(
    process: GenerativeProcess,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    finish: bool = False,
) -> Iterator[Moment]:
    """Yield the T moments of n distinct prompts × k samples, from noise towards the picture.

    ``finish`` takes the last step too, which gives x_0 and costs one unconditional row a
    trajectory; the terms of Algorithm 1 do without. Raises NonFiniteError, naming prompt and step.
    """
    return Walker(process).walk(prompts, process.embed(prompts), seeds, finish=finish)


def guide(prediction: Tensor, null: Tensor | None, guidance: float) -> Tensor:
    """ε_∅ + w (ε_y − ε_∅); unguided (w = 1) there is no ε_∅, and nothing to add."""
    return prediction if null is None else null + guidance * (prediction - null)


class Walker:
    """Walks one process's prompts, group after group; what all share is asked for once."""

    def __init__(self, process: GenerativeProcess) -> None:
        self.process = process
        self._nobody = process.embed([""]) if process.guidance != 1 else None
        self._null: dict[int, Tensor] = {}  # ε_∅ at the pure noise of each seed

    def walk(
        self,
        prompts: Sequence[str],
        told: Conditioning,
        seeds: Sequence[int],
        *,
        finish: bool = False,
    ) -> Iterator[Moment]:
        """As the function of that name, for prompts that are embedded already."""
        process, last = self.process, len(self.process.schedule) - 1
        shape = (len(prompts), len(seeds), *process.latent_shape)
        everybody = told if self._nobody is None else Conditioning.join([told, self._nobody])
        group = _Group(process, prompts, everybody, len(seeds))
        solver = process.solver()
        # One generator a row: prompts share sample i's noise, whatever else is in the batch.
        generators = [torch.Generator("cpu").manual_seed(seed) for _ in prompts for seed in seeds]
        x = _initial(process, generators)
        for step in range(last + 1):
            onward = step < last or finish
            null = None
            if self._nobody is None or not onward:
                own, _ = group.ask(x, step, [])
            elif step > 0:
                own, null = group.ask(x, step, range(len(x)))
            else:  # everybody stands at the same noise: one ε_∅ a seed, for all groups
                new = [i for i, seed in enumerate(seeds) if seed not in self._null]
                own, nulls = group.ask(x, step, new)
                self._null |= {seeds[i]: row for i, row in zip(new, nulls, strict=True)}
                null = torch.stack([self._null[seed] for _ in prompts for seed in seeds])
            after = None
            if onward:
                after = solver.step(x, guide(own, null, process.guidance), step, generators)
                group.require_finite(after, step)
            yield Moment(
                step,
                x.reshape(shape),
                own.reshape(shape),
                None if null is None else null.reshape(shape),
                None if after is None else after.reshape(shape),
            )
            if after is not None:
                x = after

    def trajectories(
        self, prompts: Sequence[str], seeds: Sequence[int], record: Record
    ) -> list[Trajectory]:
        """Walk, and keep what ``record`` needs; every trajectory owns its memory."""
        process, steps = self.process, len(self.process.schedule)
        told = process.embed(prompts)

        def blank(*leading: int) -> Tensor:
            shape = (*leading, len(seeds), *process.latent_shape)
            return torch.empty(shape, dtype=process.latent_dtype, device=process.device)

        kept = [
            Trajectory(
                x=blank(steps),
                own=blank(steps),
                null=blank(steps) if record.coupled and self._nobody is not None else None,
                end=blank() if record.output else None,
                told=told.rows([n]),
            )
            for n in range(len(prompts))
        ]
        for moment in self.walk(prompts, told, seeds, finish=record.finish):
            for n, trajectory in enumerate(kept):
                trajectory.x[moment.step] = moment.x[n]
                trajectory.own[moment.step] = moment.own[n]
                if trajectory.null is not None and moment.null is not None:
                    trajectory.null[moment.step] = moment.null[n]
                if trajectory.end is not None and moment.after is not None:
                    trajectory.end.copy_(moment.after[n])  # the last one stays
        return kept


@dataclass(frozen=True)
class _Group:
    """Prompts that walk together, ``samples`` rows each; ``told`` ends with "", where guided."""

    process: GenerativeProcess
    prompts: Sequence[str]
    told: Conditioning
    samples: int

    def ask(self, x: Tensor, step: int, null: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The own predictions at all rows of x, and the unconditional ones at the rows ``null``."""
        own = torch.arange(len(self.prompts)).repeat_interleave(self.samples)
        whom = torch.cat([own, torch.full((len(null),), len(self.prompts))])
        where = [*range(len(x)), *null]
        steps = torch.full((len(where),), step, device=x.device)

        def describe(row: int) -> str:
            prompt = self.prompts[where[row] // self.samples]
            return f'for "{prompt}"' if row < len(x) else f'for "" on the trajectory of "{prompt}"'

        answers = ask(self.process, x[where], steps, self.told, whom, describe)
        return answers[: len(x)], answers[len(x) :]

    def require_finite(self, x: Tensor, step: int) -> None:
        steps = torch.full((len(x),), step)
        prompts = self.prompts
        require_finite(x, steps, lambda row: f'the sampler, for "{prompts[row // self.samples]}",')


def _initial(process: GenerativeProcess, generators: Sequence[torch.Generator]) -> Tensor:
    """x_T, one row a generator: drawn in float32 on the CPU, wherever the network lives."""
    noise = torch.stack([torch.randn(process.latent_shape, generator=g) for g in generators])
    return noise.to(process.device, process.latent_dtype) * process.schedule.initial_scale

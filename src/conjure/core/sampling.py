"""The sampler: a generator that walks the trajectories of several prompts, one step a yield.

All rows of a step share the network's batches. All prompts share x_T, so one unconditional row
serves them all there. The sampler keeps no step that it has yielded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .batching import RowName, own_arithmetic, predict_batched, require_finite
from .checks import checked_cond
from .errors import InputError
from .process import GenerativeProcess
from .spec import Spec
from .text import brief
from .types import Conditioning, Observer, Trajectory, TrajectoryStep


def walk(
    process: GenerativeProcess,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    finish: bool = False,
) -> Iterator[TrajectoryStep]:
    """Yield the T steps of n distinct prompts × k samples, from noise towards the picture.

    finish: take the last step too. It gives x_0 and costs one unconditional row a trajectory; the
            terms of Algorithm 1 do not need it

    Raises NonFiniteError that names the prompt and the step.
    """
    return TrajectorySampler(process).walk(prompts, process.embed(prompts), seeds, finish=finish)


def guide(eps_cond: Tensor, eps_uncond: Tensor | None, guidance: float) -> Tensor:
    """ε_∅ + w (ε_y − ε_∅); without ε_∅, the conditional prediction unchanged."""
    return eps_cond if eps_uncond is None else eps_uncond + guidance * (eps_cond - eps_uncond)


def initial_noise(process: GenerativeProcess, generators: Sequence[torch.Generator]) -> Tensor:
    """x_T, one row a generator: drawn in float32 on the CPU, then moved to the device."""
    # with the dtype named: torch.set_default_dtype would draw other numbers
    shape, kind = process.latent_shape, torch.float32
    noise = torch.stack([torch.randn(shape, generator=g, dtype=kind) for g in generators])
    return noise.to(process.device, process.latent_dtype) * process.schedule.initial_scale


class TrajectorySampler:
    """Walks groups of prompts of one process. It predicts ε_∅ at x_T once for all groups."""

    def __init__(self, process: GenerativeProcess, observer: Observer | None = None) -> None:
        self.process = process
        self.observer = observer
        self.uncond = _checked_uncond(process)
        self._uncond_at_noise: dict[int, Tensor] = {}  # seed → ε_∅ at x_T

    def walk(
        self,
        prompts: Sequence[str],
        cond: Conditioning,
        seeds: Sequence[int],
        *,
        finish: bool = False,
    ) -> Iterator[TrajectoryStep]:
        """The same as the function ``walk``, for prompts that are embedded already."""
        process, last = self.process, len(self.process.schedule) - 1
        shape = (len(prompts), len(seeds), *process.latent_shape)
        everything = self._with_uncond(checked_cond(process, "embed", cond, len(prompts)))
        group = _Group(process, prompts, everything, seeds)
        solver = process.solver()
        # One generator a row: all prompts share sample i's noise, in any batch.
        generators = [torch.Generator("cpu").manual_seed(seed) for _ in prompts for seed in seeds]
        x = initial_noise(process, generators)
        for step in range(last + 1):
            onward = step < last or finish
            eps_uncond = None
            if self.uncond is None or not onward:
                eps_cond, _ = group.predict(x, step, [])
            elif step > 0:
                eps_cond, eps_uncond = group.predict(x, step, range(len(x)))
            else:  # all prompts share x_T, so one ε_∅ a seed serves every group
                known = self._uncond_at_noise
                new = [i for i, seed in enumerate(seeds) if seed not in known]
                eps_cond, rows = group.predict(x, step, new)
                known |= {seeds[i]: row for i, row in zip(new, rows, strict=True)}
                eps_uncond = torch.stack([known[seed] for _ in prompts for seed in seeds])
            x_next = None
            if onward:
                guided = guide(eps_cond, eps_uncond, process.guidance)
                # copies: a solver that works in place must not change what is kept and compared
                x_next = solver.step(x.clone(), guided.clone(), step, generators)
                _require_latents(process, x_next, x)
                group.require_finite(x_next, step)
            here = TrajectoryStep(
                step,
                x.reshape(shape),
                eps_cond.reshape(shape),
                None if eps_uncond is None else eps_uncond.reshape(shape),
                None if x_next is None else x_next.reshape(shape),
            )
            if self.observer is not None:
                self.observer.on_step(prompts, seeds, here)
            yield here
            if x_next is not None:
                x = x_next

    def _with_uncond(self, cond: Conditioning) -> Conditioning:
        """The rows of the prompts, then that of ε_∅, if any."""
        if self.uncond is None:
            return cond
        shapes = [{n: t.shape[1:] for n, t in c.tensors.items()} for c in (cond, self.uncond)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"process {brief(self.process.name)}: unconditional() must return the tensors that "
                f"embed() returns, {_listed(shapes[0])}, not {_listed(shapes[1])}"
            )
        return Conditioning.join([cond, self.uncond])

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        """The conditioning of prompts, a row each."""
        with own_arithmetic(self.process):
            return checked_cond(self.process, "embed", self.process.embed(prompts), len(prompts))

    def trajectories(
        self, prompts: Sequence[str], seeds: Sequence[int], spec: Spec
    ) -> list[Trajectory]:
        """Walk, and keep what ``spec`` needs. Each trajectory can be freed by itself."""
        process, steps = self.process, len(self.process.schedule)
        cond = self.embed(prompts)
        with_uncond = spec.keeps_uncond and self.uncond is not None

        def blank(*leading: int) -> Tensor:
            shape = (*leading, len(seeds), *process.latent_shape)
            return torch.empty(shape, dtype=process.latent_dtype, device=process.device)

        kept = [
            Trajectory(
                x=blank(steps),
                eps_cond=blank(steps),
                eps_uncond=blank(steps) if with_uncond else None,
                x_0=blank() if "output" in spec.needs else None,
                cond=cond.rows([n]),
            )
            for n in range(len(prompts))
        ]
        for step in self.walk(prompts, cond, seeds, finish=spec.finish):
            for n, trajectory in enumerate(kept):
                trajectory.x[step.step] = step.x[n]
                trajectory.eps_cond[step.step] = step.eps_cond[n]
                if trajectory.eps_uncond is not None and step.eps_uncond is not None:
                    trajectory.eps_uncond[step.step] = step.eps_uncond[n]
                if trajectory.x_0 is not None and step.x_next is not None:
                    trajectory.x_0.copy_(step.x_next[n])  # the last one stays
        return kept


def _checked_uncond(process: GenerativeProcess) -> Conditioning | None:
    """The conditioning of ε_∅; InputError where it is not what the guidance says.

    A number under w = 7.5 that is not guided would carry a signature that says it is.
    """
    with own_arithmetic(process):
        found = process.unconditional()
    if found is not None:
        checked_cond(process, "unconditional", found, 1)
        if process.guidance_mode != "classifier-free":
            raise InputError(
                f"process {brief(process.name)}: guidance_mode is {process.guidance_mode!r}, "
                "so unconditional() must return None"
            )
    elif process.guidance_mode == "classifier-free" and process.guidance != 1:
        raise InputError(
            f"process {brief(process.name)}: guidance is {process.guidance:g}, "
            "so unconditional() must return one row of conditioning, not None"
        )
    return found


def _listed(shapes: Mapping[str, torch.Size]) -> str:
    return ", ".join(f"{brief(name)} {tuple(shape)}" for name, shape in shapes.items())


def _require_latents(process: GenerativeProcess, x_next: object, x: Tensor) -> None:
    shape = tuple(x_next.shape) if isinstance(x_next, Tensor) else brief(x_next)
    if shape != tuple(x.shape):
        raise InputError(
            f"process {brief(process.name)}: its solver returned {shape} for x of shape "
            f"{tuple(x.shape)}: step must return the next latents, one for each row of x"
        )


@dataclass(frozen=True)
class _Group:
    """Prompts that walk together, a row a seed each; ``cond`` may end with the row of ε_∅."""

    process: GenerativeProcess
    prompts: Sequence[str]
    cond: Conditioning
    seeds: Sequence[int]

    def predict(self, x: Tensor, step: int, uncond: Sequence[int]) -> tuple[Tensor, Tensor]:
        """ε_cond at all rows of x, and ε_∅ at the rows ``uncond``."""
        own = torch.arange(len(self.prompts)).repeat_interleave(len(self.seeds))
        index = torch.cat([own, torch.full((len(uncond),), len(self.prompts))])
        where = [*range(len(x)), *uncond]
        steps = torch.full((len(where),), step, device=x.device)

        def describe(row: int) -> RowName:
            return self.name(where[row], "" if row < len(x) else "without a prompt, ")

        found = predict_batched(self.process, x[where], steps, self.cond, index, describe)
        return found[: len(x)], found[len(x) :]

    def require_finite(self, x: Tensor, step: int) -> None:
        require_finite(x, torch.full((len(x),), step), "the sampler", self.name)

    def name(self, row: int, words: str = "") -> RowName:
        """What row ``row`` of x is."""
        prompt = self.prompts[row // len(self.seeds)]
        return RowName(f'{words}for "{prompt}"', (prompt,), self.seeds[row % len(self.seeds)])

"""Walk the trajectories of several prompts down the schedule together, one yield a step.

What makes this cheap: of everything that is wanted at a step, each row is asked of the network
once, all rows share its batches, and at pure noise, where every prompt stands at the same point,
one unconditional row serves them all. Nothing is kept that the caller does not keep.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import InputError, NonFiniteError
from .process import GenerativeProcess
from .shapes import Conditioning

# (p, q): what prompt q predicts where prompt p's trajectory stands
Question = tuple[int, int]


@dataclass(frozen=True)
class Moment:
    """All trajectories at step j: n prompts, k samples, m visits; every prediction is unguided.

    step:  j, from 0 (pure noise) to T − 1
    x:     (n, k, *latent_shape), x_j in the solver's scale
    own:   (n, k, *latent_shape), ε(x_j | the trajectory's own prompt)
    null:  (n, k, *latent_shape), ε(x_j | ""), or None where nothing needs it
    cross: (m, k, *latent_shape), ε(x_j | q) on p's trajectory for each visit (p, q)
    after: (n, k, *latent_shape), x_{j+1}, or None where the walk ends before it
    """

    step: int
    x: Tensor
    own: Tensor
    null: Tensor | None
    cross: Tensor
    after: Tensor | None


def walk(
    process: GenerativeProcess,
    prompts: Sequence[str],
    seeds: Sequence[int],
    visits: Sequence[Question] = (),
    *,
    finish: bool = False,
) -> Iterator[Moment]:
    """Yield the T moments of n distinct prompts × k samples, from noise towards the picture.

    A visit (p, q) asks what prompt q predicts along prompt p's trajectory. ``finish`` takes the
    last step too, which gives x_0 and costs one unconditional row a trajectory; the terms of
    Algorithm 1 do without. Raises NonFiniteError, naming prompt and step.
    """
    last = len(process.schedule) - 1
    shape = (len(prompts), len(seeds), *process.latent_shape)
    network = _Network.told(process, prompts)
    solver = process.solver()
    # One generator a row: prompts share sample i's noise, whatever else is in the batch.
    generators = [torch.Generator("cpu").manual_seed(seed) for _ in prompts for seed in seeds]
    x = _initial(process, generators).reshape(shape)
    for step in range(last + 1):
        onward = step < last or finish
        own, null, cross = _predictions(network, x, step, visits, with_null=onward)
        after = None
        if onward:
            prediction = guide(own, null, process.guidance)
            moved = solver.step(x.flatten(0, 1), prediction.flatten(0, 1), step, generators)
            after = moved.reshape(shape)
            _require_finite(after, [f'the sampler, for "{text}",' for text in prompts], step)
        yield Moment(step, x, own, null, cross, after)
        if after is not None:
            x = after


def guide(prediction: Tensor, null: Tensor | None, guidance: float) -> Tensor:
    """ε_∅ + w (ε_y − ε_∅); unguided (w = 1) there is no ε_∅, and nothing to add."""
    return prediction if null is None else null + guidance * (prediction - null)


def _initial(process: GenerativeProcess, generators: Sequence[torch.Generator]) -> Tensor:
    """x_T, one row a generator: drawn in float32 on the CPU, wherever the network lives."""
    noise = torch.stack([torch.randn(process.latent_shape, generator=g) for g in generators])
    return noise.to(process.device, process.latent_dtype) * process.schedule.initial_scale


def _predictions(
    network: _Network, x: Tensor, step: int, visits: Sequence[Question], *, with_null: bool
) -> tuple[Tensor, Tensor | None, Tensor]:
    """``own``, ``null`` and ``cross`` of a Moment, each network row asked for once."""
    own = [(p, p) for p in range(len(x))]
    null = [(p, network.nobody) for p in range(len(x))] if with_null and network.guided else []
    if step == 0:  # everybody stands at the same noise: one ε_∅ for all, and own ones for cross
        answers = network.ask(x, step, own + null[:1])
        mine, nulls = answers[: len(own)], answers[len(own) :]
        return mine, nulls.expand_as(mine) if null else None, mine[[q for _, q in visits]]
    answers = network.ask(x, step, [*own, *null, *visits])
    mine, nulls, cross = answers.tensor_split([len(own), len(own) + len(null)])
    return mine, nulls if null else None, cross


@dataclass(frozen=True)
class _Network:
    """A process's network and what it is told: the prompts, then "" where guidance needs it."""

    process: GenerativeProcess
    prompts: Sequence[str]
    conditioning: Conditioning
    guided: bool

    @classmethod
    def told(cls, process: GenerativeProcess, prompts: Sequence[str]) -> _Network:
        guided = process.guidance != 1
        everybody = [*prompts, ""] if guided else [*prompts]
        return cls(process, everybody, process.embed(everybody), guided)

    @property
    def nobody(self) -> int:
        """The unconditional prompt's place, behind the others."""
        return len(self.prompts) - 1

    def ask(self, x: Tensor, step: int, questions: Sequence[Question]) -> Tensor:
        """x: (n, k, *latent_shape) → (questions, k, *latent_shape), ``batch_size`` rows a time."""
        process, samples = self.process, x.shape[1]
        where = torch.tensor([p * samples + i for p, _ in questions for i in range(samples)])
        whom = torch.tensor([q for _, q in questions for _ in range(samples)])
        rows = x.flatten(0, 1)
        answers = []
        for start in range(0, len(where), process.batch_size):
            batch = slice(start, start + process.batch_size)
            given = rows[where[batch].to(x.device)]
            steps = torch.full((len(given),), step, device=x.device)
            answer = process.predict(given, steps, self.conditioning.rows(whom[batch]))
            if answer.shape != given.shape:
                raise InputError(
                    f"process {process.name!r} predicted shape {tuple(answer.shape)} for x of "
                    f"shape {tuple(given.shape)}: predict must return one ε for each row of x"
                )
            answers.append(answer)
        result = torch.cat(answers).reshape(len(questions), *x.shape[1:])
        _require_finite(result, [self._describe(question) for question in questions], step)
        return result

    def _describe(self, question: Question) -> str:
        walker, asked = (self.prompts[n] for n in question)
        route = "" if walker == asked else f' on the trajectory of "{walker}"'
        return f'the network, for "{asked}"{route},'


def _require_finite(values: Tensor, whose: Sequence[str], step: int) -> None:
    """values: (n, k, *latent_shape), the work of the n that ``whose`` describes."""
    finite = torch.isfinite(values).flatten(1).all(dim=1)
    if not finite.all():
        culprit = whose[int((~finite).nonzero()[0, 0])]
        raise NonFiniteError(
            f"{culprit} gave NaN or infinity at step {step + 1}: "
            "try dtype float32, another sampler or a smaller guidance"
        )

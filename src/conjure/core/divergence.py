"""Pairs of prompts → Terms: the squared differences of Algorithm 1, before any reduction."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .batching import RowName, predict_batched
from .currency import Comparing, currency
from .memory import automatic_bound
from .planner import PlanPart, Sizes, Step, places_of, plan
from .process import GenerativeProcess
from .sampling import TrajectorySampler, guide
from .spec import Spec
from .types import Comparison, Conditioning, Keeper, Observer, Pair, Terms, Trajectory


def pair_terms(
    process: GenerativeProcess,
    pairs: Sequence[Pair],
    seeds: Sequence[int],
    spec: Spec = Spec(),  # noqa: B008  (frozen)
    max_memory: int | None = None,
) -> list[Terms]:
    """The terms of each pair, in the order given. The arguments are those of ``measure``."""
    found = dict(measure(process, pairs, seeds, spec, max_memory))
    return [found[place] for place in range(len(pairs))]


def measure(
    process: GenerativeProcess,
    pairs: Sequence[Pair],
    seeds: Sequence[int],
    spec: Spec = Spec(),  # noqa: B008  (frozen)
    max_memory: int | None = None,
    observer: Observer | None = None,
) -> Iterator[tuple[int, Terms]]:
    """Yield (place in ``pairs``, Terms) as soon as a pair is finished.

    A repeated pair costs nothing, in either order. A text against itself has terms of exactly
    zero. ``planner.plan`` says what the other pairs cost.

    seeds:      sample i starts from the noise of ``seeds[i]``
    spec:       which terms are recorded, and at how many steps. Its ``samples`` and ``seed`` are
                not used here
    max_memory: bytes for the trajectories that are kept; None is a share of the free memory
    observer:   gets every step of every trajectory, and every comparison before it is summed. It
                gets a pair once, in alphabetical order, and never a text against itself

    Raises NonFiniteError that names the prompt and the step.
    """
    return _measure(process, pairs, seeds, spec, max_memory, _Aside(observer))


def measure_kept(
    process: GenerativeProcess,
    pairs: Sequence[Pair],
    seeds: Sequence[int],
    spec: Spec,
    max_memory: int | None,
    keeper: Keeper,
) -> Iterator[tuple[int, Terms]]:
    """``measure`` for a run that may be stopped: ``keeper`` has the trajectories walked so far.

    Trajectories that later pairs need are saved. One that is saved is not walked again.
    """
    return _measure(process, pairs, seeds, spec, max_memory, _Aside(keeper=keeper))


@dataclass(frozen=True)
class _Aside:
    """Who sees what a run computes on its way, and who keeps it."""

    observer: Observer | None = None
    keeper: Keeper | None = None


@torch.no_grad()
def _measure(
    process: GenerativeProcess,
    pairs: Sequence[Pair],
    seeds: Sequence[int],
    spec: Spec,
    max_memory: int | None,
    aside: _Aside,
) -> Iterator[tuple[int, Terms]]:
    for place, (a, b) in enumerate(pairs):
        if a == b:
            yield place, _blank(process, len(seeds), spec)
    places = places_of(pairs)
    if not places:
        return
    bound = automatic_bound(process.device) if max_memory is None else max_memory
    sizes = Sizes.of(process, next(iter(places))[0])
    sampler = TrajectorySampler(process, aside.observer)
    work = _Work(sampler, spec, aside, Comparing.of(process))
    for part in plan([*places], sizes, len(seeds), spec, bound).parts:
        for pair, terms in _measure_part(work, part, seeds):
            for place, swapped in places[pair]:
                yield place, terms.swapped() if swapped else terms


@dataclass(frozen=True)
class _Work:
    """What all parts of a run share."""

    sampler: TrajectorySampler
    spec: Spec
    aside: _Aside
    comparing: Comparing

    @property
    def process(self) -> GenerativeProcess:
        return self.sampler.process

    @property
    def weight(self) -> float:
        """Guided predictions at the same x share ε_∅, so they differ by w (ε_a − ε_b)."""
        return 1.0 if self.sampler.uncond is None else self.process.guidance

    def trajectories(self, step: Step, seeds: Sequence[int]) -> dict[str, Trajectory]:
        """Those of ``step.walk``: loaded where they were kept, else walked."""
        keeper, found = self.aside.keeper, {}
        if keeper is not None:
            cond = self.sampler.embed(step.walk)
            for n, text in enumerate(step.walk):
                if (known := keeper.load(text, seeds, cond.rows([n]))) is not None:
                    found[text] = known
        if walk := [text for text in step.walk if text not in found]:
            walked = self.sampler.trajectories(walk, seeds, self.spec)
            new = dict(zip(walk, walked, strict=True))
            if keeper is not None:
                for text in step.again:
                    if text in new:
                        keeper.save(text, seeds, new[text])
            found |= new
        return found


def _measure_part(
    work: _Work, part: PlanPart, seeds: Sequence[int]
) -> Iterator[tuple[Pair, Terms]]:
    """Do the steps of a part, for ``part.samples`` samples at a time."""
    samples: dict[Pair, list[Terms]] = defaultdict(list)
    for start in range(0, len(seeds), part.samples):
        chunk = seeds[start : start + part.samples]
        last = start + len(chunk) == len(seeds)
        for pair, terms in _compare_all(work, part, chunk):
            samples[pair].append(terms)
            if last:
                yield pair, Terms.join(samples.pop(pair))


def _compare_all(work: _Work, part: PlanPart, seeds: Sequence[int]) -> Iterator[tuple[Pair, Terms]]:
    kept: dict[str, Trajectory] = {}
    queue = _Queue(work)
    for step in part.steps():
        for text in step.forget:
            del kept[text]
        if step.walk:
            # The mapping gets no name: a name would keep forgotten trajectories in memory.
            kept |= work.trajectories(step, seeds)
        for pair in step.compare:
            a, b = pair
            pending = _pending(work, pair, (kept[a], kept[b]), seeds)
            if len(pending):
                yield from queue.add(pending)
            else:  # a single step
                yield pair, pending.terms
    yield from queue.empty()


@dataclass(frozen=True)
class _PendingTerms:
    """n points of the trajectories of a and b where the cross prediction is still missing.

    x, eps_own, eps_uncond: (n, 2, *latent_shape), first on a's trajectory, then on b's
    sample, step:           (n,), the entries of ``terms`` that the points fill
    seed:                   (n,), the noise of each point
    cond:                   two rows, the conditioning of a and of b
    """

    pair: Pair
    terms: Terms
    cond: Conditioning
    sample: Tensor
    step: Tensor
    seed: Tensor
    x: Tensor
    eps_own: Tensor
    eps_uncond: Tensor | None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, points: slice) -> _PendingTerms:
        names = ["sample", "step", "seed", "x", "eps_own"]
        names += ["eps_uncond"] if self.eps_uncond is not None else []
        return replace(self, **{name: getattr(self, name)[points] for name in names})


def _pending(
    work: _Work, pair: Pair, trajectories: tuple[Trajectory, Trajectory], seeds: Sequence[int]
) -> _PendingTerms:
    """The points of a pair whose cross prediction is missing; step 1 is filled in already."""
    a, b = trajectories
    terms = _blank(work.process, len(seeds), work.spec)
    if work.spec.cross_steps is not None:
        steps = len(work.process.schedule)
        drawn = [_draw_steps(pair, seed, steps, work.spec.cross_steps) for seed in seeds]
        terms = replace(terms, weights=torch.tensor(drawn, dtype=torch.float64))
    if terms.output is not None and a.x_0 is not None and b.x_0 is not None:
        terms.output.copy_(_squares(a.x_0 - b.x_0).flatten(1).sum(dim=1).cpu())

    wanted = torch.ones_like(terms.forward) if terms.weights is None else terms.weights
    step, sample = wanted.T.nonzero(as_tuple=True)  # all samples at the first step come first
    there = step.to(a.x.device), sample.to(a.x.device)
    eps_uncond = None
    if a.eps_uncond is not None and b.eps_uncond is not None:
        eps_uncond = torch.stack([a.eps_uncond[there], b.eps_uncond[there]], dim=1)
    pending = _PendingTerms(
        pair,
        terms,
        Conditioning.join([a.cond, b.cond]),
        sample,
        step,
        torch.tensor(seeds)[sample],
        torch.stack([a.x[there], b.x[there]], dim=1),
        torch.stack([a.eps_cond[there], b.eps_cond[there]], dim=1),
        eps_uncond,
    )
    first, rest = pending[: len(seeds)], pending[len(seeds) :]
    _fill(work, [first], first.eps_own.flip(1))  # both share x_T
    return rest


def _batches_ahead(device: torch.device) -> int:
    """How many batches are queued on a device before a result is read.

    A GPU works on them while Python prepares the next ones. A CPU gains nothing. The number is
    small because Ctrl-C loses what is queued.
    """
    return 8 if device.type == "cuda" else 1


class _Queue:
    """Pending terms of any pairs and steps; predicts them in order, in full batches."""

    def __init__(self, work: _Work) -> None:
        self.work = work
        self._batches = _batches_ahead(work.process.device)
        self._waiting: deque[_PendingTerms] = deque()
        self._points = 0

    @property
    def _max_points(self) -> int:
        """How many points are predicted at once; each has two rows."""
        return max(1, self._batches * self.work.process.batch_size // 2)

    def add(self, pending: _PendingTerms) -> Iterator[tuple[Pair, Terms]]:
        """Predict while there is a full batch. Yields the pairs that are complete then."""
        self._waiting.append(pending)
        self._points += len(pending)
        while self._points >= (points := self._max_points):
            yield from self._predict(points)

    def empty(self) -> Iterator[tuple[Pair, Terms]]:
        """Predict the rest."""
        while self._points:
            yield from self._predict(self._max_points)

    def _predict(self, points: int) -> Iterator[tuple[Pair, Terms]]:
        """Predict the next ``points`` points: b on a's trajectory and a on b's."""
        batch: list[_PendingTerms] = []
        complete: list[_PendingTerms] = []
        while self._waiting and points:
            pending = self._waiting.popleft()
            batch.append(pending[:points])
            if len(pending) > points:
                self._waiting.appendleft(pending[points:])
            else:
                complete.append(pending)
            points -= len(batch[-1])
        self._points -= sum(map(len, batch))

        x = torch.cat([pending.x for pending in batch])
        step = torch.cat([pending.step for pending in batch]).repeat_interleave(2)
        cond = Conditioning.join([pending.cond for pending in batch])
        owner = [n for n, pending in enumerate(batch) for _ in range(len(pending))]
        cond_index = torch.tensor([2 * n + other for n in owner for other in (1, 0)])

        seeds = torch.cat([pending.seed for pending in batch])

        def describe(row: int) -> RowName:
            pair = batch[owner[row // 2]].pair
            words = f'for "{pair[1 - row % 2]}" on the trajectory of "{pair[row % 2]}"'
            return RowName(words, pair, int(seeds[row // 2]))

        found = predict_batched(
            self.work.process, x.flatten(0, 1), step.to(x.device), cond, cond_index, describe
        )
        # Same dtype as the kept own predictions, so that equal ones differ by exactly 0.
        _fill(self.work, batch, found.to(x.dtype).reshape(x.shape))
        yield from ((pending.pair, pending.terms) for pending in complete)


def _fill(work: _Work, batch: Sequence[_PendingTerms], eps_cross: Tensor) -> None:
    """Algorithm 1 at the points of a batch: the squared differences go into the terms.

    eps_cross: (points in all, 2, *latent_shape), in the order of ``batch``
    """
    eps_own = torch.cat([pending.eps_own for pending in batch])
    step = torch.cat([pending.step for pending in batch])
    squares = _squares(eps_own - eps_cross)
    squares *= work.weight * work.weight * work.comparing.squared(step, squares)
    sums = squares.flatten(2).sum(dim=2).cpu()
    coupled = None
    if batch[0].terms.coupled is not None:
        parts = [pending.eps_uncond for pending in batch if pending.eps_uncond is not None]
        eps_uncond = torch.cat(parts) if parts else None
        # (n, 2): ε(x|a) and ε(x̃|b) are guided own predictions, ε(x|b) and ε(x̃|a) cross ones.
        x = torch.cat([pending.x for pending in batch])
        guided = [
            work.comparing.convert(guide(eps, eps_uncond, work.process.guidance), x, step)
            for eps in (eps_own, eps_cross)
        ]
        own, cross = (_squares(both[:, 0] - both[:, 1]).flatten(1).sum(dim=1) for both in guided)
        coupled = (own + cross).cpu()
    start = 0
    for pending in batch:
        here, at = slice(start, start + len(pending)), (pending.sample, pending.step)
        pending.terms.forward[at], pending.terms.backward[at] = sums[here].unbind(dim=1)
        if pending.terms.coupled is not None and coupled is not None:
            pending.terms.coupled[at] = coupled[here]
        if work.aside.observer is not None:
            work.aside.observer.on_comparison(
                Comparison(
                    pending.pair,
                    pending.seed,
                    pending.step,
                    pending.x,
                    pending.eps_own,
                    eps_cross[here],
                    pending.eps_uncond,
                    squares[here],
                )
            )
        start += len(pending)


def _squares(difference: Tensor) -> Tensor:
    """Elementwise squares in float64; on the CPU unless the device is CUDA (MPS has no float64)."""
    here = difference if difference.is_cuda else difference.cpu()
    return here.double().square()


def _draw_steps(pair: Pair, seed: int, steps: int, cross_steps: int) -> list[float]:
    """The weight of each step for one sample, if only m = ``cross_steps`` steps are measured.

    Step 1 costs nothing and has weight 1. Of the N other steps, m are drawn systematically: N/m
    apart, from a random start. Each is drawn with probability m/N and has weight N/m, so sums over
    steps are unbiased. The start depends on the pair and the seed only.
    """
    others = steps - 1
    start = random.Random(f"{seed}\n{pair[0]}\n{pair[1]}").randrange(others)
    weights = [1.0] + [0.0] * others
    for i in range(cross_steps):
        weights[1 + (start + i * others) // cross_steps] = others / cross_steps
    return weights


def _blank(process: GenerativeProcess, samples: int, spec: Spec) -> Terms:
    """Terms of zeros: the result for a text against itself, or a blank to fill in."""

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(samples, *shape, dtype=torch.float64)

    steps = len(process.schedule)
    return Terms(
        zeros(steps),
        zeros(steps),
        process.schedule,
        output=zeros() if "output" in spec.needs else None,
        coupled=zeros(steps) if "coupled" in spec.needs else None,
        compare=currency(process),
    )

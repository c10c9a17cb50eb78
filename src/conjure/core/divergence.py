"""Pairs of prompts → Terms: the squared differences of Algorithm 1, before any reduction."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .memory import automatic_bound
from .network import ask
from .plan import Pair, Part, distinct, plan
from .process import GenerativeProcess
from .sampling import Walker, guide
from .shapes import TERMS_ONLY, Conditioning, Record, Terms, Trajectory


def pair_terms(
    process: GenerativeProcess,
    pairs: Sequence[Pair],
    seeds: Sequence[int],
    record: Record = TERMS_ONLY,
    max_memory: int | None = None,
) -> list[Terms]:
    """Terms of each pair of texts, in the order given; the rest is as in ``measure``."""
    found = dict(measure(process, pairs, seeds, record, max_memory))
    return [found[place] for place in range(len(pairs))]


@torch.no_grad()
def measure(
    process: GenerativeProcess,
    pairs: Sequence[Pair],
    seeds: Sequence[int],
    record: Record = TERMS_ONLY,
    max_memory: int | None = None,
) -> Iterator[tuple[int, Terms]]:
    """Yield (place in ``pairs``, Terms) as soon as they are known; sample i is of ``seeds[i]``.

    A pair that comes again, in either order, costs nothing; a text against itself is exactly
    zero; what the others cost is known to ``plan``. max_memory: in bytes, for what is kept; None
    is a share of what is free. Raises NonFiniteError, naming prompt and step.
    """
    places: dict[Pair, list[int]] = defaultdict(list)
    for place, (a, b) in enumerate(pairs):
        if a == b:
            yield place, _blank(process, len(seeds), record)
        else:
            places[a, b].append(place)
    if not places:
        return
    bound = automatic_bound(process.device) if max_memory is None else max_memory
    walker = Walker(process)
    for part in plan(distinct(pairs), process, len(seeds), record, bound).parts:
        for (a, b), terms in _measure_part(walker, part, seeds, record):
            yield from ((place, terms) for place in places.get((a, b), []))
            yield from ((place, terms.turned()) for place in places.get((b, a), []))


def _measure_part(
    walker: Walker, part: Part, seeds: Sequence[int], record: Record
) -> Iterator[tuple[Pair, Terms]]:
    """Walk, compare and forget, as the part's steps say, for so many samples at a time."""
    samples: dict[Pair, list[Terms]] = defaultdict(list)
    for start in range(0, len(seeds), part.samples):
        chunk = seeds[start : start + part.samples]
        last = start + len(chunk) == len(seeds)
        for pair, terms in _compare_all(walker, part, chunk, record):
            samples[pair].append(terms)
            if last:
                yield pair, Terms.join(samples.pop(pair))


def _compare_all(
    walker: Walker, part: Part, seeds: Sequence[int], record: Record
) -> Iterator[tuple[Pair, Terms]]:
    kept: dict[str, Trajectory] = {}
    queue = _Queue(walker.process)
    for step in part.steps():
        for text in step.forget:
            del kept[text]
        if step.walk:
            # No name for the list: it would keep alive what is forgotten.
            kept |= zip(step.walk, walker.trajectories(step.walk, seeds, record), strict=True)
        for pair in step.compare:
            a, b = pair
            crossing = _cross(walker.process, pair, (kept[a], kept[b]), seeds, record)
            if len(crossing):
                yield from queue.add(crossing)
            else:  # a single step
                yield pair, crossing.terms
    yield from queue.empty()


@dataclass(frozen=True)
class _Crossing:
    """n points of the trajectories of a and b, where each is yet to be asked about the other's.

    x, own, null: (n, 2, *latent_shape), first on a's trajectory, then on b's
    sample, step: (n,), which points they are, and what they fill in of ``terms``
    told:         the conditioning of a and of b
    """

    pair: Pair
    terms: Terms
    told: Conditioning
    sample: Tensor
    step: Tensor
    x: Tensor
    own: Tensor
    null: Tensor | None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, points: slice) -> _Crossing:
        names = ["sample", "step", "x", "own", *(["null"] if self.null is not None else [])]
        return replace(self, **{name: getattr(self, name)[points] for name in names})


def _cross(
    process: GenerativeProcess,
    pair: Pair,
    trajectories: tuple[Trajectory, Trajectory],
    seeds: Sequence[int],
    record: Record,
) -> _Crossing:
    """All that there is to ask of a pair; what is known already is in its terms."""
    a, b = trajectories
    terms = _blank(process, len(seeds), record)
    if record.cross_steps is not None:
        drawn = [_drawn(pair, seed, len(process.schedule), record.cross_steps) for seed in seeds]
        terms = replace(terms, weights=torch.tensor(drawn, dtype=torch.float64))
    if terms.output is not None and a.end is not None and b.end is not None:
        terms.output.copy_(_squared_norm(a.end - b.end))

    wanted = torch.ones_like(terms.forward) if terms.weights is None else terms.weights
    step, sample = wanted.T.nonzero(as_tuple=True)  # all samples at the first step come first
    there = step.to(a.x.device), sample.to(a.x.device)
    null = None
    if a.null is not None and b.null is not None:
        null = torch.stack([a.null[there], b.null[there]], dim=1)
    crossing = _Crossing(
        pair,
        terms,
        Conditioning.join([a.told, b.told]),
        sample,
        step,
        torch.stack([a.x[there], b.x[there]], dim=1),
        torch.stack([a.own[there], b.own[there]], dim=1),
        null,
    )
    first, rest = crossing[: len(seeds)], crossing[len(seeds) :]
    _fill([first], first.own.flip(1), process.guidance)  # both stand at the same noise
    return rest


def _batches_ahead(device: torch.device) -> int:
    """How many batches a device is given before its answers are looked at.

    Until then a GPU works while Python prepares what comes next; a CPU gains nothing by it. Only
    few, for Ctrl-C loses them.
    """
    return 8 if device.type == "cuda" else 1


class _Queue:
    """Crossings of any pairs and steps, asked in the order in which they came, in full batches."""

    def __init__(self, process: GenerativeProcess) -> None:
        self.process = process
        self._batches = _batches_ahead(process.device)
        self._waiting: deque[_Crossing] = deque()
        self._points = 0

    @property
    def _most(self) -> int:
        """Points that are asked at once, two rows each."""
        return max(1, self._batches * self.process.batch_size // 2)

    def add(self, crossing: _Crossing) -> Iterator[tuple[Pair, Terms]]:
        """Ask as long as there is a batch to fill; yields the pairs that are complete then."""
        self._waiting.append(crossing)
        self._points += len(crossing)
        while self._points >= (most := self._most):
            yield from self._ask(most)

    def empty(self) -> Iterator[tuple[Pair, Terms]]:
        """Ask whatever is left."""
        while self._points:
            yield from self._ask(self._most)

    def _ask(self, most: int) -> Iterator[tuple[Pair, Terms]]:
        """Ask at the next ``most`` points: two rows each, b on a's trajectory and a on b's."""
        batch: list[_Crossing] = []
        complete: list[_Crossing] = []
        while self._waiting and most:
            crossing = self._waiting.popleft()
            batch.append(crossing[:most])
            if len(crossing) > most:
                self._waiting.appendleft(crossing[most:])
            else:
                complete.append(crossing)
            most -= len(batch[-1])
        self._points -= sum(map(len, batch))

        x = torch.cat([crossing.x for crossing in batch])
        step = torch.cat([crossing.step for crossing in batch]).repeat_interleave(2)
        told = Conditioning.join([crossing.told for crossing in batch])
        whose = [n for n, crossing in enumerate(batch) for _ in range(len(crossing))]
        whom = torch.tensor([2 * n + other for n in whose for other in (1, 0)])

        def describe(row: int) -> str:
            pair = batch[whose[row // 2]].pair
            return f'for "{pair[1 - row % 2]}" on the trajectory of "{pair[row % 2]}"'

        rows = x.flatten(0, 1)
        cross = ask(self.process, rows, step.to(x.device), told, whom, describe).reshape(x.shape)
        _fill(batch, cross, self.process.guidance)
        yield from ((crossing.pair, crossing.terms) for crossing in complete)


def _fill(crossings: Sequence[_Crossing], cross: Tensor, guidance: float) -> None:
    """Algorithm 1 at the points of all crossings, one after the other in ``cross``."""
    own = torch.cat([crossing.own for crossing in crossings])
    # Guided predictions at the same x share ε_∅, so their difference is w (ε_a − ε_b).
    squares = guidance * guidance * _squared_norm((own - cross).flatten(0, 1)).reshape(-1, 2)
    coupled = None
    if crossings[0].terms.coupled is not None:
        parts = [crossing.null for crossing in crossings if crossing.null is not None]
        null = torch.cat(parts) if parts else None
        # (n, 2): ε(x|a) and ε(x̃|b) are guided own predictions, ε(x|b) and ε(x̃|a) cross ones.
        apart = [guide(prediction, null, guidance) for prediction in (own, cross)]
        own_apart, cross_apart = (_squared_norm(both[:, 0] - both[:, 1]) for both in apart)
        coupled = own_apart + cross_apart
    start = 0
    for crossing in crossings:
        here, at = slice(start, start + len(crossing)), (crossing.sample, crossing.step)
        crossing.terms.forward[at], crossing.terms.backward[at] = squares[here].unbind(dim=1)
        if crossing.terms.coupled is not None and coupled is not None:
            crossing.terms.coupled[at] = coupled[here]
        start += len(crossing)


def _squared_norm(difference: Tensor) -> Tensor:
    """‖·‖² over the latent entries: (n, *latent_shape) → (n,) float64 on the CPU.

    Where the device knows float64 (MPS does not), only the sums leave it.
    """
    here = difference if difference.is_cuda else difference.cpu()
    return here.double().square().flatten(1).sum(dim=1).cpu()


def _drawn(pair: Pair, seed: int, steps: int, cross_steps: int) -> list[float]:
    """How often each step counts for one sample, where ``cross_steps`` of them are measured.

    The first costs nothing and counts once. Of the N others m are drawn systematically, N/m apart
    from a random start, so each with probability m/N, and counts N/m times: sums over steps are
    unbiased. The start depends on pair and seed alone, never on order or company.
    """
    others = steps - 1
    start = random.Random(f"{seed}\n{pair[0]}\n{pair[1]}").randrange(others)
    weights = [1.0] + [0.0] * others
    for i in range(cross_steps):
        weights[1 + (start + i * others) // cross_steps] = others / cross_steps
    return weights


def _blank(process: GenerativeProcess, samples: int, record: Record) -> Terms:
    """Terms of zeros: those of a text against itself, or to be filled in."""

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(samples, *shape, dtype=torch.float64)

    steps = len(process.schedule)
    return Terms(
        zeros(steps),
        zeros(steps),
        process.schedule,
        output=zeros() if record.output else None,
        coupled=zeros(steps) if record.coupled else None,
    )

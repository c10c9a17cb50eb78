"""Plan the work for any collection of pairs: the fewest network rows that fit the memory.

A text's trajectory serves all of its pairs, so it is kept until the last of them. The plan keeps
few trajectories at once: it takes the connected components of the graph of pairs one after the
other, and frees a trajectory after its last pair.

A component that is too large for the memory is done with fewer samples at a time, which costs
nothing. If one sample is too large, the component is tiled, and some trajectories are walked
again. The plan is made before the run, and its cost is known exactly.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from .checks import checked_cond
from .errors import InputError
from .process import GenerativeProcess
from .spec import Spec
from .types import Pair


@dataclass(frozen=True)
class Sizes:
    """All that a plan depends on, so that it can be made without loading weights.

    latent_bytes:  bytes of one latent, in the dtype of the trajectories
    cond_bytes:    bytes of one prompt's conditioning
    steps:         T
    unconditional: whether the network predicts ε_∅
    batch_size:    the maximum number of rows in one batch of the network
    """

    latent_bytes: int
    cond_bytes: int
    steps: int
    unconditional: bool
    batch_size: int

    @classmethod
    def of(cls, process: GenerativeProcess, prompt: str) -> Sizes:
        """The sizes of a loaded process. It embeds the prompt to measure its conditioning."""
        return cls(
            latent_bytes=prod(process.latent_shape) * process.latent_dtype.itemsize,
            cond_bytes=checked_cond(process, "embed", process.embed([prompt]), 1).nbytes,
            steps=len(process.schedule),
            unconditional=process.unconditional() is not None,
            batch_size=process.batch_size,
        )


@dataclass(frozen=True)
class Step:
    """One step of the work: forget trajectories, walk new ones, then compare.

    forget:  texts whose trajectories are freed
    walk:    texts whose trajectories are walked, in lockstep
    compare: pairs of texts whose trajectories are in memory now
    again:   the texts of ``walk`` that more than one of the pairs still to come has
    """

    forget: Sequence[str]
    walk: Sequence[str]
    compare: Sequence[Pair]
    again: Sequence[str]


@dataclass(frozen=True)
class PlanPart:
    """Pairs in the order of their comparison, for ``samples`` noises at a time.

    room:  how many trajectories (of ``samples`` noises each) fit the memory
    group: the maximum number of trajectories that are walked together
    """

    pairs: Sequence[Pair]
    samples: int
    room: int
    group: int

    def steps(self) -> Iterator[Step]:
        """The steps of the work; each takes as many pairs as ``group`` and ``room`` allow.

        To make room, a step evicts the trajectory whose next use is farthest away. For steps of
        one pair this is optimal (Belady 1966); for steps of many pairs it is nearly so.
        A component that fits the room is walked once.
        """
        uses: dict[str, list[int]] = defaultdict(list)  # places in reverse: the next use is last
        for place in range(len(self.pairs) - 1, -1, -1):
            for text in self.pairs[place]:
                uses[text].append(place)
        kept: set[str] = set()
        done: Sequence[str] = ()  # the texts of the previous step
        start = 0
        while start < len(self.pairs):
            needed, missing, stop = self._reach(kept, start)
            again = [text for text in missing if len(uses[text]) > 1]
            for text in needed:
                while uses[text] and uses[text][-1] < stop:
                    uses[text].pop()
            forget = [text for text in done if not uses[text] and text not in needed]
            kept -= {*forget}
            excess = len(kept) + len(missing) - self.room
            if excess > 0:
                idle = sorted(kept - needed.keys())
                evicted = heapq.nlargest(excess, idle, key=lambda text: uses[text][-1])
                forget += evicted
                kept -= {*evicted}
            yield Step(forget, missing, self.pairs[start:stop], again)
            kept |= {*missing}
            done, start = [*needed], stop

    def _reach(self, kept: set[str], start: int) -> tuple[dict[str, None], list[str], int]:
        """The texts that the next step needs, the texts it walks, and the place where it stops."""
        needed: dict[str, None] = {}
        missing: list[str] = []
        for place in range(start, len(self.pairs)):
            more = [text for text in self.pairs[place] if text not in needed]
            new = [text for text in more if text not in kept]
            full = len(missing) + len(new) > self.group or len(needed) + len(more) > self.room
            if full and place > start:
                return needed, missing, place
            needed |= dict.fromkeys(more)
            missing += new
        return needed, missing, len(self.pairs)

    def walks(self) -> int:
        """How many trajectories are walked; a text counts again if it is walked again."""
        return sum(len(step.walk) for step in self.steps())


@dataclass(frozen=True)
class Plan:
    """The parts of a run, in order, and their cost.

    rows:       all network rows; one row is one latent through the network once
    recomputed: how many of these rows more memory would save
    """

    parts: Sequence[PlanPart]
    rows: int
    recomputed: int


def distinct(pairs: Iterable[Pair]) -> list[Pair]:
    """The distinct pairs of different texts, in the order of first appearance.

    Each is in alphabetical order. So d(a, b) and d(b, a) are the same computation, equal to the
    last bit.
    """
    return [*places_of(pairs)]


def places_of(pairs: Iterable[Pair]) -> dict[Pair, list[tuple[int, bool]]]:
    """Where each pair of ``distinct`` stands in ``pairs``: (place, whether it is swapped there).

    >>> places_of([("b", "a"), ("c", "c"), ("a", "b")])
    {('a', 'b'): [(0, True), (2, False)]}
    """
    places: dict[Pair, list[tuple[int, bool]]] = defaultdict(list)
    for place, (a, b) in enumerate(pairs):
        if a != b:
            places[min(a, b), max(a, b)].append((place, b < a))
    return dict(places)


def plan(
    pairs: Sequence[Pair],
    sizes: Sizes,
    samples: int,
    spec: Spec,
    max_memory: int,
) -> Plan:
    """The plan for pairs that come from ``distinct``.

    max_memory: bytes for the kept trajectories and conditioning. The network and its batches need
                more memory in addition

    S texts and P pairs cost, a sample, if the memory suffices:
    with guidance ``1 + S(2T−2) + 2P(T−1)`` rows, and S more if the last step is taken;
    without guidance ``S·T + 2P(T−1)`` rows. With m ``cross_steps``, 2P(T−1) becomes 2Pm.
    Raises InputError if not even one pair fits.
    """
    if not pairs:
        return Plan((), 0, 0)
    steps, guided, cond = sizes.steps, sizes.unconditional, sizes.cond_bytes
    latents = 2 * steps + steps * (spec.keeps_uncond and guided) + ("output" in spec.needs)
    sample = latents * sizes.latent_bytes
    if max_memory < 2 * (sample + cond):
        raise InputError(
            f"max_memory is {max_memory} bytes, and one pair takes {2 * (sample + cond)} bytes: "
            "allow that much"
        )
    parts: list[PlanPart] = []
    small: list[Pair] = []  # components that fit with all samples share a part, and its batches

    def part(pairs: list[Pair], at_once: int) -> PlanPart:
        room = max_memory // (at_once * sample + cond)
        # As many as fill a batch: what is being walked is lost if a run is stopped.
        return PlanPart(pairs, at_once, room, min(room, max(1, sizes.batch_size // at_once)))

    for component in components(pairs):
        texts = len({text for pair in component for text in pair})
        at_once = min(samples, (max_memory // texts - cond) // sample)
        if at_once == samples:
            small += component
            continue
        parts += [part(small, samples)] if small else []
        small = []
        parts.append(part(component, at_once) if at_once > 0 else _tiled(part(component, 1)))
    parts += [part(small, samples)] if small else []

    needed = len({text for pair in pairs for text in pair})
    walked = sum(part.walks() for part in parts)
    each = walk_rows(sizes, spec)
    cross = 2 * (spec.cross_steps or steps - 1)
    rows = shared_rows(sizes, spec) + walked * each + len(pairs) * cross
    return Plan(parts, samples * rows, samples * (walked - needed) * each)


def walk_rows(sizes: Sizes, spec: Spec) -> int:
    """A trajectory's own rows, and ε_∅ at each step that it moves on from, but the first."""
    moves = sizes.steps if spec.finish else sizes.steps - 1
    return sizes.steps + (max(0, moves - 1) if sizes.unconditional else 0)


def shared_rows(sizes: Sizes, spec: Spec) -> int:
    """ε_∅ at x_T, which all texts share, if any of them moves on from there."""
    return int(sizes.unconditional and (spec.finish or sizes.steps > 1))


def components(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """The connected components of the graph of pairs; each keeps the given order."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = text = parent[parent[text]]  # path halving
        return text

    for a, b in pairs:
        parent[root(b)] = root(a)
    components: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        components[root(pair[0])].append(pair)
    return list(components.values())


def _tiled(part: PlanPart) -> PlanPart:
    """The part of a component that is too large for the room, in the cheaper of two orders.

    In a tile, a block of texts stays in memory while the other texts pass in groups. The two
    orders of texts are the given one and breadth first. Breadth first suits sparse graphs: it
    keeps neighbours near each other.
    """
    part = replace(part, group=min(part.group, max(1, part.room // 8)))
    stay = part.room - part.group
    given = dict.fromkeys(text for pair in part.pairs for text in pair)
    orders = []
    for texts in (given, _breadth_first(part.pairs)):
        place = {text: n for n, text in enumerate(texts)}

        def tile(pair: Pair, place: Mapping[str, int] = place) -> tuple[int, ...]:
            low, high = sorted(place[text] for text in pair)
            # Groups go downwards, so that a pass ends beside the block of the next one.
            return low // stay, -(high // part.group), low, high

        orders.append(sorted(part.pairs, key=tile))
    return min((replace(part, pairs=order) for order in orders), key=PlanPart.walks)


def _breadth_first(pairs: Sequence[Pair]) -> list[str]:
    """The texts of a connected graph, breadth first from the rim (Cuthill & McKee 1969)."""
    near: dict[str, list[str]] = defaultdict(list)
    for a, b in pairs:
        near[a].append(b)
        near[b].append(a)

    def degree(text: str) -> int:
        return len(near[text])

    order = [min(near, key=degree)]
    found = {*order}
    for text in order:  # ``order`` grows in the loop
        new = sorted((other for other in near[text] if other not in found), key=degree)
        order += new
        found |= {*new}
    return order

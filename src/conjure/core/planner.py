"""Any collection of pairs → the fewest network rows, in steps that fit memory.

A trajectory that is kept need not be walked again, so the work is ordered such that as few as
possible are kept at once: connected components of the graph of pairs one after the other, each
trajectory freed behind its last pair. Where one component is too much for the memory, fewer
samples are taken at a time; where that is too much, too, it is tiled, and some trajectories are
walked more than once. Whatever happens is known beforehand, and so is what it costs.
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
    """All that planning needs to know of a process; whoever has these plans without its weights.

    latent_bytes:  of one latent, in the dtype that trajectories are kept in
    cond_bytes:    of one prompt's conditioning
    steps:         T
    unconditional: whether the network is asked for ε_∅
    batch_size:    most rows that the network is given at once
    """

    latent_bytes: int
    cond_bytes: int
    steps: int
    unconditional: bool
    batch_size: int

    @classmethod
    def of(cls, process: GenerativeProcess, prompt: str) -> Sizes:
        """Those of a process that is loaded; it embeds the prompt to see how large that is."""
        return cls(
            latent_bytes=prod(process.latent_shape) * process.latent_dtype.itemsize,
            cond_bytes=checked_cond(process, "embed", process.embed([prompt]), 1).nbytes,
            steps=len(process.schedule),
            unconditional=process.unconditional() is not None,
            batch_size=process.batch_size,
        )


@dataclass(frozen=True)
class Step:
    """What is done at once: forget trajectories, walk new ones, and compare, in this order.

    forget:  texts whose trajectories are freed
    walk:    texts whose trajectories are walked, in lockstep
    compare: pairs whose trajectories are all there now
    """

    forget: Sequence[str]
    walk: Sequence[str]
    compare: Sequence[Pair]


@dataclass(frozen=True)
class Part:
    """Pairs in the order of their work, for ``samples`` noises at a time.

    room:  how many trajectories (of ``samples`` noises each) memory holds
    group: how many are walked together, at most
    """

    pairs: Sequence[Pair]
    samples: int
    room: int
    group: int

    def steps(self) -> Iterator[Step]:
        """Each step takes as many pairs as its walk and the room allow.

        To make room, it evicts the trajectory whose next use is farthest away. Pair by pair
        nothing walks less often (Belady 1966); steps of many pairs walk hardly more often.
        A connected component that fits is walked once.
        """
        uses: dict[str, list[int]] = defaultdict(list)  # the next one last
        for place in range(len(self.pairs) - 1, -1, -1):
            for text in self.pairs[place]:
                uses[text].append(place)
        kept: set[str] = set()
        done: Sequence[str] = ()  # texts that the step before has used
        start = 0
        while start < len(self.pairs):
            needed, missing, stop = self._reach(kept, start)
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
            yield Step(forget, missing, self.pairs[start:stop])
            kept |= {*missing}
            done, start = [*needed], stop

    def _reach(self, kept: set[str], start: int) -> tuple[dict[str, None], list[str], int]:
        """The texts that the next step needs, those it must walk, and where it stops."""
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
        """How often a text is walked; more than once each only in tiles."""
        return sum(len(step.walk) for step in self.steps())


@dataclass(frozen=True)
class Plan:
    """The parts of a run, one after the other, and what they cost.

    rows:       network rows in all: how often a latent goes through the network
    recomputed: how many of them are there only because memory is bounded
    """

    parts: Sequence[Part]
    rows: int
    recomputed: int


def distinct(pairs: Iterable[Pair]) -> list[Pair]:
    """Each pair of different texts once, in one direction, in the order of first appearance.

    The direction is alphabetical, which makes d(a, b) and d(b, a) the same computation, equal to
    the last bit.
    """
    return list(dict.fromkeys((min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]))


def plan(
    pairs: Sequence[Pair],
    sizes: Sizes,
    samples: int,
    spec: Spec,
    max_memory: int,
) -> Plan:
    """The work for distinct pairs of different texts, as ``distinct`` gives them.

    max_memory bounds, in bytes, the trajectories and the conditioning that are kept; the network
    itself and what it needs for a batch come on top. Where it suffices, S texts and P pairs cost
    ``1 + S(2T−2) + 2P(T−1)`` rows a sample with guidance and ``S·T + 2P(T−1)`` without; S more with
    guidance where the last step is taken; ``2Pm`` in place of ``2P(T−1)`` with m ``cross_steps``.
    Raises InputError where not even one pair fits.
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
    parts: list[Part] = []
    small: list[Pair] = []  # components that fit with all samples share walks, and a part

    def part(pairs: list[Pair], at_once: int) -> Part:
        room = max_memory // (at_once * sample + cond)
        return Part(pairs, at_once, room, min(room, max(1, 2 * sizes.batch_size // at_once)))

    for component in _components(pairs):
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
    # A trajectory's own rows, and its unconditional ones where it moves on from a point of its own.
    moves = steps if spec.finish else steps - 1
    each = steps + (max(0, moves - 1) if guided else 0)
    cross = 2 * (spec.cross_steps or steps - 1)
    rows = (guided and moves > 0) + walked * each + len(pairs) * cross
    return Plan(parts, samples * rows, samples * (walked - needed) * each)


def _components(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """The connected components of the graph of pairs, each in the order given."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = text = parent[parent[text]]  # halves the path for the next time
        return text

    for a, b in pairs:
        parent[root(b)] = root(a)
    components: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        components[root(pair[0])].append(pair)
    return list(components.values())


def _tiled(part: Part) -> Part:
    """A component that is too large for the room, in the cheaper of several orders.

    A tile is a block of texts that stay, past which the others stream in groups. Dense graphs
    want blocks as large as the room; sparse ones are done best in an order in which neighbours
    are near each other, breadth first.
    """
    part = replace(part, group=min(part.group, max(1, part.room // 8)))
    stay = part.room - part.group
    given = dict.fromkeys(text for pair in part.pairs for text in pair)
    orders = []
    for texts in (given, _breadth_first(part.pairs)):
        place = {text: n for n, text in enumerate(texts)}

        def tile(pair: Pair, place: Mapping[str, int] = place) -> tuple[int, ...]:
            low, high = sorted(place[text] for text in pair)
            # Downwards, so that a pass ends beside the block of the next.
            return low // stay, -(high // part.group), low, high

        orders.append(sorted(part.pairs, key=tile))
    return min((replace(part, pairs=order) for order in orders), key=Part.walks)


def _breadth_first(pairs: Sequence[Pair]) -> list[str]:
    """The texts of a connected graph, from one of its rim inwards (Cuthill & McKee 1969)."""
    near: dict[str, list[str]] = defaultdict(list)
    for a, b in pairs:
        near[a].append(b)
        near[b].append(a)

    def degree(text: str) -> int:
        return len(near[text])

    order = [min(near, key=degree)]
    found = {*order}
    for text in order:  # which grows as it is read
        new = sorted((other for other in near[text] if other not in found), key=degree)
        order += new
        found |= {*new}
    return order

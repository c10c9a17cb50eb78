"""Divide the work among N processes that know nothing of each other.

The division depends on the pairs and seeds alone, never on what is finished. So each process finds
its part without asking, and no unit is in two parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..core.errors import ConjureError, InputError

if TYPE_CHECKING:
    from ..core.types import Pair

Part = tuple[int, int]  # (I, N), with I from 1 to N
Seeds = tuple[int, ...]
_Piece = tuple[list["Pair"], Seeds]


class PartFinished(ConjureError):
    """One part of the work is finished, and others are not: there is no result yet."""

    def __init__(self, part: Part) -> None:
        super().__init__(
            f"part {part[0]} of {part[1]} is finished: when all are, the same command without "
            "--shard gives the result"
        )


class Turns:
    """Several things are measured one after the other, and each is divided into parts.

    A part that has finished its share of one goes on with the next. ``end`` raises PartFinished, if
    other parts of any are missing.

    >>> turns, measured = Turns(), []
    >>> for share in ("first", "second"):
    ...     with turns.one():
    ...         measured.append(share)
    ...         raise PartFinished((1, 2))
    >>> measured
    ['first', 'second']
    >>> turns.end()
    Traceback (most recent call last):
    conjure.runs.parts.PartFinished: part 1 of 2 is finished: when all are, the same command ...
    """

    def __init__(self) -> None:
        self._unfinished: PartFinished | None = None

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around each thing's turn."""
        try:
            yield
        except PartFinished as error:
            self._unfinished = error

    def end(self) -> None:
        """After the last turn."""
        if self._unfinished is not None:
            raise self._unfinished


def read_part(text: str) -> Part:
    """ "2/8" → (2, 8). Raises InputError.

    >>> read_part("2/8")
    (2, 8)
    """
    first, slash, second = text.partition("/")
    if slash and all(one.isascii() and one.isdigit() and len(one) < 7 for one in (first, second)):
        part = int(first), int(second)
        if 1 <= part[0] <= part[1]:
            return part
    raise InputError(f"shard must be I/N with I from 1 to N, such as 2/8, not {text!r:.40}")


def of_part(pairs: Sequence[Pair], seeds: Seeds, part: Part) -> dict[Pair, Seeds]:
    """The units of one part: {pair: seeds}.

    pairs: as ``planner.distinct`` gives them

    A connected component of the graph of pairs stays whole, since its pairs share trajectories. One
    that is larger than a fair share is cut by seeds, which costs nothing, and then by pairs.
    """
    from ..core.planner import components  # torch: not for --help

    index, count = part
    fair = sum(map(_cost, components(pairs))) * len(seeds) / count
    pieces = [piece for component in components(pairs) for piece in _cut(component, seeds, fair)]
    order = sorted(range(len(pieces)), key=lambda n: -_cost(pieces[n][0]) * len(pieces[n][1]))
    loads = [0] * count
    found: dict[Pair, Seeds] = {}
    for n in order:  # the largest first, each to whoever has least
        least = loads.index(min(loads))
        group, own = pieces[n]
        loads[least] += _cost(group) * len(own)
        if least == index - 1:
            for pair in group:
                found[pair] = tuple(sorted((*found.get(pair, ()), *own)))
    return {pair: found[pair] for pair in pairs if pair in found}


def _cost(pairs: Sequence[Pair]) -> int:
    """Rows of a group for one seed, in units of 2(T−1): each text is walked, each pair compared."""
    return len({text for pair in pairs for text in pair}) + len(pairs)


def _cut(component: list[Pair], seeds: Seeds, fair: float) -> list[_Piece]:
    """Pieces of a component that are each at most about a fair share."""
    if _cost(component) * len(seeds) <= fair:
        return [(component, seeds)]
    if len(seeds) > 1:
        return [piece for seed in seeds for piece in _cut(component, (seed,), fair)]
    wanted = min(len(component), -int(-_cost(component) // max(fair, 1)))
    near: dict[str, list[Pair]] = defaultdict(list)  # by first text: such pairs share its walk
    for pair in component:
        near[pair[0]].append(pair)
    ordered = [pair for group in near.values() for pair in group]
    bounds = [n * len(ordered) // wanted for n in range(wanted + 1)]
    return [(ordered[a:b], seeds) for a, b in zip(bounds, bounds[1:], strict=False) if a < b]

"""Cut missing work into blocks of a bounded size, to be handed out one after the other.

A connected component of the graph of pairs stays whole where it is small enough, since its pairs
share trajectories. A larger one is cut by seeds, which costs nothing, and then by pairs, which
walks the shared texts once for each block. All sizes are known from the pairs: nothing is loaded.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import ceil, isqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.types import Pair

Seeds = tuple[int, ...]
SECONDS = 30.0  # what a block should take
_GROWTH = 4  # at most, from one block to the next
_DENSE = 2  # pairs a text, from which on tiles are cheaper


@dataclass(frozen=True)
class Block:
    """Pairs under the same seeds. attempts: how often it ended a worker and brought nothing."""

    pairs: tuple[Pair, ...]
    seeds: Seeds
    attempts: int = 0

    @cached_property
    def cost(self) -> int:
        """In units of 2(T − 1) network rows: for a seed, a text walked or a pair compared.

        Without guidance a walk takes about half of that.
        """
        return cost_of(self.pairs) * len(self.seeds)

    def __len__(self) -> int:
        """The number of its units."""
        return len(self.pairs) * len(self.seeds)


def cost_of(pairs: Sequence[Pair]) -> int:
    """Each text is walked, and each pair is compared."""
    return len({text for pair in pairs for text in pair}) + len(pairs)


class Pending:
    """The work that is not handed out.

    missing: {seeds: pairs}, as ``TermStore.missing`` gives it
    """

    def __init__(self, missing: Mapping[Seeds, Sequence[Pair]]) -> None:
        from ..core.planner import components  # torch: not for --help

        self._pieces = deque(
            _Piece(component, seeds)
            for seeds, pairs in missing.items()
            for component in components(pairs)
        )
        self._back: list[Block] = []
        self.cost = sum(piece.cost for piece in self._pieces)

    def __bool__(self) -> bool:
        return bool(self._pieces or self._back)

    def put_back(self, block: Block) -> None:
        """Work that was handed out and not done; it comes first, as it is."""
        self._back.append(block)
        self.cost += block.cost

    def take(self, size: int) -> Block:
        """The next block, of a cost of about ``size``."""
        if self._back:
            block = self._back.pop()
            self.cost -= block.cost
            return block
        seeds, cost = self._pieces[0].seeds, 0
        pairs: list[Pair] = []
        while self._pieces and self._pieces[0].seeds == seeds:
            piece = self._pieces[0]
            if cost and cost + piece.cost > size:
                break
            before = piece.cost
            if piece.cost <= size:
                pairs += piece.take_all()
            elif len(seeds) > 1:
                self._pieces.popleft()
                self._pieces.extendleft(reversed(piece.by_seeds(size)))
                seeds = self._pieces[0].seeds
                continue
            else:
                pairs += piece.cut_off(size)
            self.cost -= before - piece.cost
            cost = cost_of(pairs) * len(seeds)
            if not piece.cost:
                self._pieces.popleft()
            else:
                break
        return Block(tuple(pairs), seeds)


class _Piece:
    """Pairs of one connected component, under the same seeds; blocks are cut off it.

    A dense one is cut into tiles of the matrix of its texts: m × m pairs take 2m walks. A sparse
    one is cut along the order given.
    """

    def __init__(self, pairs: Sequence[Pair], seeds: Seeds) -> None:
        self.seeds = seeds
        texts = dict.fromkeys(text for pair in pairs for text in pair)
        rank = {text: n for n, text in enumerate(texts)}
        places = [(min(rank[a], rank[b]), max(rank[a], rank[b])) for a, b in pairs]
        self._left = dict(zip(places, pairs, strict=True))
        self._order = deque(places)
        self._uses = Counter(text for pair in pairs for text in pair)
        self._dense = len(pairs) > _DENSE * len(texts)

    @property
    def cost(self) -> int:
        return (len(self._uses) + len(self._left)) * len(self.seeds)

    def take_all(self) -> list[Pair]:
        found = [*self._left.values()]
        self._left.clear()
        self._uses.clear()
        return found

    def by_seeds(self, size: int) -> list[_Piece]:
        """The same pairs, in groups of seeds that cost at most ``size`` where that is possible."""
        one = len(self._uses) + len(self._left)
        groups = min(len(self.seeds), ceil(len(self.seeds) / max(1, size // one)))
        bounds = [n * len(self.seeds) // groups for n in range(groups + 1)]
        pairs = [*self._left.values()]
        return [_Piece(pairs, self.seeds[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)]

    def cut_off(self, size: int) -> list[Pair]:
        """Pairs of a cost of at most ``size``, but one pair at least."""
        found: list[Pair] = []
        texts: set[str] = set()
        side = max(1, isqrt(size + 1) - 1) if self._dense else 1
        while self._left:
            while self._order[0] not in self._left:
                self._order.popleft()
            window = self._window(*self._order[0], side)
            new = texts | {text for place in window for text in self._left[place]}
            if found and len(new) + len(found) + len(window) > size:
                break
            texts = new
            found += [self._pop(place) for place in window]
        return found

    def _window(self, row: int, column: int, side: int) -> list[tuple[int, int]]:
        """The places that are left in a tile whose first corner is given."""
        if side == 1:
            return [(row, column)]
        return [
            place
            for place in product(range(row, row + side), range(column, column + side))
            if place in self._left
        ]

    def _pop(self, place: tuple[int, int]) -> Pair:
        pair = self._left.pop(place)
        for text in pair:
            self._uses[text] -= 1
            if not self._uses[text]:
                del self._uses[text]
        return pair


class Pace:
    """How large the next block is: about SECONDS long, and small enough that all end together.

    fill:    the cost of a block that fills the network's batches; a smaller one wastes time
    workers: how many share the work
    """

    def __init__(self, fill: int, workers: int) -> None:
        self._fill, self.workers = max(1, fill), workers
        self._size = self._fill

    def size(self, left: int) -> int:
        """The cost of the next block, where work of a cost of ``left`` is not handed out."""
        least = max(1, min(self._fill, ceil(left / self.workers)))
        return max(least, min(self._size, ceil(left / (2 * self.workers))))

    def took(self, cost: int, seconds: float) -> None:
        """A block of that cost took so long.

        >>> pace = Pace(fill=8, workers=2)
        >>> pace.took(8, seconds=1.0)
        >>> pace.size(left=10_000), pace.size(left=100), pace.size(left=6)
        (32, 25, 3)
        """
        wanted = cost * min(SECONDS / max(seconds, 1e-6), _GROWTH)
        self._size = max(self._fill, int(wanted))

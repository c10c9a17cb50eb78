"""Are texts of one class nearer to each other than to other classes? A permutation test.

The observed gap is the mean distance across classes less the mean distance within them. The test
divides the texts into classes of the same sizes in other ways, and counts how often the gap is at
least as large. It assumes neither normal nor independent distances.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..core.errors import InputError
from .resampling import Array

Division = tuple[int, ...]  # the class of each text, as a number


@dataclass(frozen=True)
class Separation:
    """How far the classes in a matrix of distances are apart, with a permutation test.

    within, between: mean distance of pairs within a class, and of pairs across classes
    p_value:         (1 + #) / (1 + N), one-sided: # of the N other divisions have a gap
                     between − within that is at least as large as the observed one
    min_p:           1 / (1 + N), the smallest p-value that this number of divisions can give
    divisions:       1 + N, the observed division included
    exact:           whether these are all divisions into classes of these sizes; otherwise they
                     were drawn at random
    """

    within: float
    between: float
    p_value: float
    min_p: float
    divisions: int
    exact: bool = True


def separation(
    matrix: Array, labels: Sequence[str], *, permutations: int = 9999, seed: int = 0
) -> Separation:
    """Test whether the classes of a symmetric (n, n) matrix show.

    labels:       the class of each text
    permutations: N, at most. If there are no more other divisions than that, every one is tried
                  once, and the test is exact. Otherwise N are drawn with ``seed``

    Raises InputError where there is nothing to compare: one class, or one text in every class.
    """
    sizes = Counter(labels)
    check_classes(sizes)
    names = {name: n for n, name in enumerate(dict.fromkeys(labels))}
    true = tuple(names[label] for label in labels)
    exact = count_divisions([*sizes.values()]) - 1 <= permutations
    others = divisions(list(Counter(true).values())) if exact else _drawn(true, permutations, seed)
    total, pairs = float(np.triu(matrix, 1).sum()), len(labels) * (len(labels) - 1) // 2
    inside = sum(math.comb(size, 2) for size in sizes.values())

    def means(division: Division) -> tuple[float, float]:
        members = np.eye(len(names))[list(division)]  # (n, classes): 1 where a text is in a class
        within = float((members * (matrix @ members)).sum() / 2)
        return within / inside, (total - within) / (pairs - inside)

    within, between = means(true)
    slack = 1e-12 * float(abs(matrix).max())  # a sum in another order differs in the last digits
    count = as_far = 0
    for division in others:
        near, far = means(division)
        count += 1
        as_far += bool(far - near >= between - within - slack)
    if not exact:  # the observed division is not among the drawn ones
        count, as_far = count + 1, as_far + 1
    return Separation(within, between, as_far / count, 1 / count, count, exact)


def check_classes(sizes: Counter[str]) -> None:
    """Raise InputError where classes of these sizes have no pair within them, or none across."""
    if len(sizes) < 2:
        raise InputError("all texts are of one class: give two classes or more to compare")
    if max(sizes.values()) < 2:
        raise InputError("no class has two texts, so none has a distance within it")


def count_divisions(sizes: Sequence[int]) -> int:
    """How many ways there are to divide texts into classes of these sizes.

    Which class has which name does not matter: two classes of four have 35 divisions.
    """
    ways = math.factorial(sum(sizes))
    for size in sizes:
        ways //= math.factorial(size)
    for alike in Counter(sizes).values():
        ways //= math.factorial(alike)
    return ways


def divisions(sizes: Sequence[int]) -> Iterator[Division]:
    """Each way to divide texts into classes of these sizes, once."""
    return _divide([-1] * sum(sizes), sorted(sizes))


def _divide(found: list[int], sizes: list[int]) -> Iterator[Division]:
    """Give the first text that has no class each possible company, then divide the rest."""
    free = [place for place, division in enumerate(found) if division < 0]
    if not free:
        yield tuple(found)
        return
    for size in dict.fromkeys(sizes):
        left = [*sizes]
        left.remove(size)
        for company in combinations(free[1:], size - 1):
            for place in (free[0], *company):
                found[place] = len(left)  # as many classes are left as no other level has
            yield from _divide(found, left)
            for place in (free[0], *company):
                found[place] = -1


def _drawn(true: Division, permutations: int, seed: int) -> Iterator[Division]:
    generator = np.random.default_rng(seed)
    for _ in range(permutations):
        yield tuple(generator.permutation(true))

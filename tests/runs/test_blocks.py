"""Blocks of missing work: nothing lost, nothing twice, never much larger than asked for."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conjure.runs.blocks import Block, Pace, Pending, cost_of


def taken(pending: Pending, size: int) -> list[Block]:
    found = []
    while pending:
        before = pending.cost
        block = pending.take(size)
        assert block.pairs
        assert pending.cost < before
        found.append(block)
    assert pending.cost == 0
    return found


def units(blocks: list[Block]) -> Counter:
    return Counter((pair, seed) for block in blocks for pair in block.pairs for seed in block.seeds)


TEXTS = st.sampled_from([f"t{n:02}" for n in range(20)])
PAIRS = st.lists(st.tuples(TEXTS, TEXTS).filter(lambda p: p[0] < p[1]), unique=True, max_size=60)


@given(PAIRS, PAIRS, st.integers(1, 80), st.integers(1, 5))
def test_every_unit_is_in_one_block(pairs, others, size, samples):
    missing = {tuple(range(samples)): pairs, (7, 9): others}
    blocks = taken(Pending(missing), size)
    assert units(blocks) == Counter(
        (pair, seed) for seeds, group in missing.items() for pair in group for seed in seeds
    )
    for block in blocks:
        assert block.cost <= size or len(block) == 1


def test_a_component_stays_whole_where_it_fits():
    pairs = [(f"a{n}", f"b{n}") for n in range(9)] + [("b0", "c"), ("c", "d")]
    blocks = taken(Pending({(0,): pairs}), 12)
    assert [{*block.pairs} >= {("a0", "b0"), ("b0", "c"), ("c", "d")} for block in blocks][0]
    assert sum(block.cost for block in blocks) == cost_of(pairs)


def test_seeds_are_cut_before_pairs_for_that_costs_nothing():
    pairs = [*combinations("abcd", 2)]  # a cost of 10
    blocks = taken(Pending({tuple(range(8)): pairs}), 20)
    assert [(len(block.pairs), block.seeds) for block in blocks] == [
        (6, (n, n + 1)) for n in range(0, 8, 2)
    ]


@pytest.mark.parametrize(("size", "more"), [(155, 0.16), (1000, 0.06)])
def test_a_matrix_is_cut_into_tiles(size, more):
    """What docs/scaling.md says a cut matrix of 100 texts costs; by rows it would be 40 % more."""
    pairs = [*combinations([f"t{n:02}" for n in range(100)], 2)]
    blocks = taken(Pending({(0,): pairs}), size)
    assert sum(block.cost for block in blocks) <= (1 + more) * cost_of(pairs)


def test_what_is_put_back_comes_first_and_alone():
    pending = Pending({(0,): [("a", "b"), ("c", "d")]})
    block = Block((("e", "f"),), (3,), attempts=1)
    pending.put_back(block)
    assert pending.take(100) == block
    assert len(pending.take(100)) == 2


def test_all_workers_get_some_of_a_small_job_and_the_end_comes_together():
    pace = Pace(fill=32, workers=4)
    assert pace.size(left=40) == 10  # a batch is not full then, and nobody waits
    assert pace.size(left=10_000) == 32
    for _ in range(9):
        pace.took(pace.size(left=10**6), seconds=0.5)
    assert pace.size(left=10**9) > 10_000
    assert pace.size(left=1000) == 125
    pace.took(64, seconds=300)
    assert pace.size(left=10**9) == 32

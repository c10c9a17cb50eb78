"""The plan: the fewest rows for any collection of pairs, in the memory there is, counted."""

import itertools
import random
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conjure.core.divergence import measure, pair_terms
from conjure.core.errors import InputError
from conjure.core.gaussian import GaussianProcess
from conjure.core.planner import PlanPart, Sizes, distinct, places_of, plan
from conjure.core.sampling import TrajectorySampler
from conjure.core.spec import Spec

TEXTS = "abcdefghijklmnopqrstuvwxyz"
PLENTY = 2**40
RECORDS = [Spec(), Spec(record={"output"}), Spec(record={"coupled"}), Spec(cross_steps=1)]


class Watched(GaussianProcess):
    """Every letter a Gaussian; the size of every batch is written down."""

    def __init__(self, **given):
        draw = torch.Generator().manual_seed(0)
        named = {
            text: (torch.randn(2, generator=draw), (0.2 + n / 20) * torch.eye(2))
            for n, text in enumerate(["", *TEXTS])
        }
        super().__init__(named, **{"guidance": 3.0, "steps": 4} | given)
        self.batches = []

    def predict(self, x, step, conditioning):
        self.batches.append(len(x))
        return super().predict(x, step, conditioning)

    def bytes(self, trajectories, samples=1):
        """What so many take: x and own at every step, and the conditioning (2 + 2 + 4 numbers)."""
        return trajectories * (samples * 2 * len(self.schedule) * 2 * 8 + 8 * 8)


def formula(pairs, process, record):
    """The issue's: rows a sample for S texts and P distinct unordered pairs of them."""
    apart = {frozenset(pair) for pair in pairs if pair[0] != pair[1]}
    s, p, t = len(frozenset().union(*apart)), len(apart), len(process.schedule)
    cross = 2 * p * (t - 1 if record.cross_steps is None else record.cross_steps)
    if process.guidance == 1:
        return s * t + cross
    return (1 + s * (2 * t - 2) + cross + (s if record.finish else 0)) * bool(p)


def planned(pairs, process, samples, record=RECORDS[0], bound=PLENTY):
    needed = distinct(pairs)
    sizes = Sizes.of(process, needed[0][0]) if needed else None
    return plan(needed, sizes, samples, record, bound)


def complete(n):
    names = [f"{a}" for a in TEXTS[:n]]
    return list(itertools.combinations(names, 2))


pair_lists = st.integers(2, 10).flatmap(
    lambda n: st.lists(st.tuples(*[st.sampled_from(TEXTS[:n])] * 2), max_size=40)
)
processes = st.builds(
    Watched,
    guidance=st.sampled_from([1.0, 3.0]),
    steps=st.integers(2, 5),
    batch_size=st.integers(1, 50),
    sampler=st.sampled_from(["euler", "euler-maruyama"]),
)


@settings(max_examples=60)
@given(pair_lists, processes, st.integers(1, 3), st.sampled_from(RECORDS))
def test_a_collection_costs_the_rows_of_the_formula(pairs, process, samples, record):
    pair_terms(process, pairs, range(samples), record, PLENTY)
    assert sum(process.batches) == samples * formula(pairs, process, record)
    found = planned(pairs, process, samples, record)
    assert (found.rows, found.recomputed) == (sum(process.batches), 0)


@settings(max_examples=60)
@given(pair_lists, processes, st.integers(1, 3), st.sampled_from(RECORDS), st.integers(2, 9))
def test_whatever_the_memory_the_cost_told_is_paid_and_the_terms_are_the_same(
    pairs, process, samples, record, held
):
    bound = process.bytes(3 * held)  # coupled and output keep more than x and own
    whole = pair_terms(process, pairs, range(samples), record, PLENTY)
    process.batches.clear()
    tiled = pair_terms(process, pairs, range(samples), record, bound)
    told = planned(pairs, process, samples, record, bound)
    assert told.rows == sum(process.batches)
    assert told.rows - told.recomputed == samples * formula(pairs, process, record)
    for one, other in zip(whole, tiled, strict=True):
        for name in ["forward", "backward", "output", "coupled", "weights"]:
            if getattr(one, name) is not None:
                torch.testing.assert_close(
                    getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-12
                )


@settings(max_examples=100)
@given(pair_lists, st.integers(2, 12), st.integers(1, 40))
def test_a_plan_compares_each_pair_once_and_keeps_what_it_may(pairs, held, batch_size):
    process = Watched(batch_size=batch_size)
    compared = []
    for part in planned(pairs, process, 1, bound=process.bytes(held)).parts:
        kept = set()
        for step in part.steps():
            assert kept.issuperset(step.forget)
            kept -= {*step.forget}
            assert kept.isdisjoint(step.walk)
            kept |= {*step.walk}
            assert len(kept) <= part.room == held
            assert all(kept.issuperset(pair) for pair in step.compare)
            compared += step.compare
    assert sorted(compared) == sorted(distinct(pairs))


@given(pair_lists)
def test_the_places_of_pairs_lead_back_to_them(pairs):
    found = {
        place: pair[::-1] if swapped else pair
        for pair, places in places_of(pairs).items()
        for place, swapped in places
    }
    assert found == {place: pair for place, pair in enumerate(pairs) if pair[0] != pair[1]}
    assert all(a < b for a, b in places_of(pairs))
    firsts = [places[0][0] for places in places_of(pairs).values()]
    assert firsts == sorted(firsts)
    assert sum(map(len, places_of(pairs).values())) == len(found)  # no place twice


def test_what_fits_is_walked_once_however_many_components_there_are():
    process = Watched(batch_size=4)
    pairs = [*complete(5), *itertools.pairwise(TEXTS[5:15]), ("p", "q"), ("r", "s"), ("t", "u")]
    random.Random(0).shuffle(pairs)
    assert planned(pairs, process, 1, bound=process.bytes(10)).recomputed == 0
    assert planned(pairs, process, 1, bound=process.bytes(9)).recomputed == 0  # a chain of ten
    assert planned(pairs, process, 1, bound=process.bytes(4)).recomputed > 0


def test_samples_are_taken_apart_before_anything_is_walked_twice():
    process = Watched(batch_size=4)
    pairs = complete(6)
    bound = process.bytes(6, samples=2)
    told = planned(pairs, process, 5, bound=bound)
    assert [part.samples for part in told.parts] == [2]
    assert told.recomputed == 0
    terms = pair_terms(process, pairs, range(5), max_memory=bound)
    assert sum(process.batches) == told.rows == 5 * formula(pairs, process, Spec())
    assert {found.forward.shape for found in terms} == {(5, 4)}


@pytest.mark.parametrize(("texts", "held"), [(12, 4), (26, 6), (26, 13), (26, 20)])
def test_tiles_of_a_full_matrix_walk_little_more_than_they_must(texts, held):
    """With h kept, a walk can bring at most h − 1 pairs about, save the first h walks."""
    process = Watched(batch_size=2)
    told = planned(complete(texts), process, 1, bound=process.bytes(held))
    each = 2 * len(process.schedule) - 2
    walks = texts + told.recomputed // each
    least = held + (texts * (texts - 1) - held * (held - 1)) / 2 / (held - 1)
    assert least <= walks <= 1.35 * least


def fewest_walks(pairs, room, kept=frozenset()):
    """By trying every way to make room, one pair after the other."""
    if not pairs:
        return 0
    pair = frozenset(pairs[0])
    there = kept | pair
    choices = itertools.combinations(sorted(there - pair), max(0, len(there) - room))
    rest = min(fewest_walks(pairs[1:], room, there - {*gone}) for gone in choices)
    return len(pair - kept) + rest


def test_who_must_go_is_chosen_nearly_as_well_as_can_be():
    shuffle, found, best = random.Random(0), 0, 0
    for room in (3, 4) * 50:
        pairs = complete(5)
        shuffle.shuffle(pairs)
        found += PlanPart(pairs, 1, room, group=1).walks()
        best += fewest_walks(pairs, room)
    assert best <= found <= 1.05 * best


def test_sparse_graphs_are_not_tiled_like_full_ones():
    process = Watched(batch_size=2)
    names = [a + b for a in TEXTS for b in TEXTS[:4]]
    process.components |= dict.fromkeys(names, process.components["a"])
    chain = list(itertools.pairwise(names))
    random.Random(0).shuffle(chain)
    assert planned(chain, process, 1, bound=process.bytes(8)).recomputed == 0
    star = [("a", name) for name in names]
    assert planned(star, process, 1, bound=process.bytes(4)).recomputed == 0


def test_a_bound_below_one_pair_is_refused():
    process = Watched()
    pair_terms(process, [("a", "b")], [0], max_memory=process.bytes(2))
    with pytest.raises(InputError, match=r"max_memory .* one pair takes 384 bytes"):
        pair_terms(process, [("a", "b")], [0], max_memory=process.bytes(2) - 1)


def most_kept(process, pairs, bound, monkeypatch):
    """How many trajectories were alive at once, seen from the network."""
    alive, most = weakref.WeakSet(), 0
    trajectories, predict = TrajectorySampler.trajectories, GaussianProcess.predict

    def watched(self, *given):
        found = trajectories(self, *given)
        alive.update(trajectory.x for trajectory in found)
        return found

    def counted(self, *given):
        nonlocal most
        most = max(most, len(alive))
        return predict(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(TrajectorySampler, "trajectories", watched)
        patch.setattr(GaussianProcess, "predict", counted)
        for _ in measure(process, pairs, [0], Spec(), bound):
            pass
    return most


def test_no_more_is_kept_than_the_bound_allows(monkeypatch):
    process = Watched(batch_size=8)
    assert most_kept(process, complete(20), PLENTY, monkeypatch) == 20
    for held in (4, 9):
        assert most_kept(process, complete(20), process.bytes(held), monkeypatch) <= held
    pairs = list(zip(TEXTS[::2], TEXTS[1::2], strict=True))
    assert most_kept(process, pairs, process.bytes(6), monkeypatch) <= 6


def test_what_is_kept_does_not_grow_with_the_number_of_pairs(monkeypatch):
    process = Watched(batch_size=4)
    names = [a + b for a in TEXTS for b in TEXTS]
    process.components |= dict.fromkeys(names, process.components["a"])
    pairs = list(zip(names[::2], names[1::2], strict=True))
    few, many = (most_kept(process, pairs[:n], PLENTY, monkeypatch) for n in (20, 300))
    assert few == many <= 2 * process.batch_size


def test_batches_are_full():
    """Whatever the pairs, two rows at most are missing from a batch of crossings."""
    process = Watched(batch_size=16, steps=6)
    pairs = [*zip(TEXTS[::2], TEXTS[1::2], strict=True), *complete(7)]
    pair_terms(process, pairs, [0])
    assert max(process.batches) == 16
    assert len(process.batches) <= sum(process.batches) / 16 + 8


def test_results_come_early_and_in_order():
    process = Watched(batch_size=4)
    pairs = list(zip(TEXTS[::2], TEXTS[1::2], strict=True))
    places, spent = [], []
    for place, _ in measure(process, pairs, [0]):
        places.append(place)
        spent.append(sum(process.batches))
    assert places == list(range(13))
    assert spent[0] < spent[-1] / 3

"""Observers see each step and each comparison once, and what they see sums to the terms."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conjure.core.divergence import measure, pair_terms
from conjure.core.gaussian import GaussianProcess
from conjure.core.planner import Sizes, distinct, plan
from conjure.core.spec import Spec

TEXTS = ["a", "b", "c", "d"]


class Counting(GaussianProcess):
    rows = 0

    def predict(self, x, step, conditioning):
        self.rows += len(x)
        return super().predict(x, step, conditioning)


def process_of(guidance=3.0, **changes):
    draw = torch.Generator().manual_seed(0)
    named = {
        text: (torch.randn(3, generator=draw), (0.3 + n / 5) * torch.eye(3))
        for n, text in enumerate(["", *TEXTS])
    }
    return Counting(named, guidance=guidance, **{"steps": 4, "batch_size": 5} | changes)


class Maps:
    """Adds up what it is shown."""

    def __init__(self):
        self.squares, self.seen, self.steps = {}, [], []

    def on_step(self, prompts, seeds, step):
        assert step.x.shape[:2] == (len(prompts), len(seeds))
        self.steps += [(prompt, seed, step.step) for prompt in prompts for seed in seeds]

    def on_comparison(self, comparison):
        for n, (seed, step) in enumerate(
            zip(comparison.seed.tolist(), comparison.step.tolist(), strict=True)
        ):
            self.seen.append((comparison.pair, seed, step))
            self.squares[comparison.pair, seed, step] = comparison.squares[n]
        self.last = comparison


PAIRS = [("b", "a"), ("c", "b"), ("a", "a"), ("a", "b"), ("d", "c")]


@pytest.mark.parametrize("guidance", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("cross_steps", [None, 2])
def test_squares_sum_to_the_terms(guidance, cross_steps):
    process, maps, spec = process_of(guidance), Maps(), Spec(cross_steps=cross_steps)
    terms = dict(measure(process, PAIRS, [5, 6], spec, observer=maps))
    for place, (a, b) in enumerate(PAIRS):
        if a == b:
            continue
        own = terms[place] if a < b else terms[place].swapped()
        for i, seed in enumerate([5, 6]):
            for step in range(4):
                key = (min(a, b), max(a, b)), seed, step
                if own.weights is not None and own.weights[i, step] == 0:
                    assert key not in maps.squares
                    continue
                sums = maps.squares[key].flatten(1).sum(dim=1)
                torch.testing.assert_close(sums[0], own.forward[i, step], rtol=1e-13, atol=0)
                torch.testing.assert_close(sums[1], own.backward[i, step], rtol=1e-13, atol=0)
    assert len(maps.seen) == len({*maps.seen})  # each point of each pair exactly once
    assert {*maps.steps} == {(t, s, j) for t in TEXTS for s in (5, 6) for j in range(4)}


def test_an_observer_costs_no_row_and_changes_no_number():
    plain, watched = process_of(), process_of()
    expected = pair_terms(plain, PAIRS, [0, 1])
    found = dict(measure(watched, PAIRS, [0, 1], observer=Maps()))
    assert watched.rows == plain.rows
    for place, terms in enumerate(expected):
        assert torch.equal(found[place].forward, terms.forward)


def test_predictions_that_are_shown_are_those_that_were_compared():
    process, maps = process_of(), Maps()
    list(measure(process, [("a", "b")], [0], Spec(record={"unconditional"}), observer=maps))
    shown = maps.last
    gap = shown.eps_own - shown.eps_cross
    torch.testing.assert_close(shown.squares, (3.0 * gap).square(), rtol=1e-12, atol=0)
    for n, step in enumerate(shown.step.tolist()):
        uncond = process.predict(shown.x[n], torch.full((2,), step), process.embed(["", ""]))
        torch.testing.assert_close(shown.eps_uncond[n], uncond, rtol=1e-12, atol=1e-12)
        own = process.predict(shown.x[n], torch.full((2,), step), process.embed(["a", "b"]))
        torch.testing.assert_close(shown.eps_own[n], own, rtol=1e-12, atol=1e-12)


def test_points_are_shown_once_where_trajectories_are_walked_again():
    process, maps = process_of(), Maps()
    pairs = [(a, b) for a in TEXTS for b in TEXTS if a < b]
    sizes = Sizes.of(process, "a")
    sample = 2 * 4 * sizes.latent_bytes + sizes.cond_bytes
    bound = 3 * sample
    assert plan(distinct(pairs), sizes, 1, Spec(), bound).recomputed > 0
    dict(measure(process, pairs, [0], Spec(), bound, observer=maps))
    assert len(maps.seen) == len({*maps.seen}) == 6 * 4


@settings(max_examples=30, deadline=None)
@given(
    latent=st.integers(1, 1000), cond=st.integers(1, 1000), steps=st.integers(1, 12),
    guided=st.booleans(), batch=st.integers(1, 64), samples=st.integers(1, 5),
)  # fmt: skip
def test_a_driver_plans_from_sizes_alone(latent, cond, steps, guided, batch, samples):
    """No process is there: S(…) + 2P(…) rows a sample, as the formula says."""
    sizes = Sizes(latent, cond, steps, guided, batch)
    found = plan(distinct([("a", "b"), ("b", "c")]), sizes, samples, Spec(), 2**40)
    own = 3 * (2 * steps - 2) + 1 if guided and steps > 1 else 3 * steps
    assert found.rows == samples * (own + 4 * (steps - 1))

"""Estimates that are asked for: what they cost, that they have no bias, that they say so."""

import math

import pytest
import torch

from conjure.core.spec import Spec
from conjure.similarity import cost, distance, distances

PAIRS = [("a", "b"), ("b", "c"), ("d", "a"), ("a", "a"), ("b", "a")]


@pytest.mark.parametrize("m", [1, 2, 4, 9])
def test_some_steps_are_measured_and_they_are_those_of_the_whole(gaussians, m) -> None:
    process = gaussians(guidance=3.0)
    whole = distances(PAIRS, process=process, samples=3, seed=5)
    process.rows = 0
    found = distances(PAIRS, process=process, samples=3, seed=5, cross_steps=m)
    assert process.rows == 3 * (1 + 4 * 18 + 2 * 3 * m)
    told = cost(PAIRS, process, Spec(3, cross_steps=m))
    assert told.rows == process.rows
    for estimate, exact in zip(found, whole, strict=True):
        assert f"|estimand:jeffreys|cross_steps:{m}|" in str(estimate.signature)
        weights = estimate.terms.weights
        if estimate.text1 == estimate.text2:
            assert weights is None
            assert estimate.value == 0
            continue
        measured = weights > 0
        assert measured[:, 0].all()
        assert (measured[:, 1:].sum(dim=1) == m).all()
        assert weights.sum(dim=1).tolist() == pytest.approx([10.0] * 3)
        for name in ("forward", "backward"):
            seen, all_of_them = getattr(estimate.terms, name), getattr(exact.terms, name)
            torch.testing.assert_close(seen, torch.where(measured, all_of_them, 0.0))
        if m == 9:
            assert estimate.value == pytest.approx(exact.value, rel=1e-9)


def test_the_steps_depend_on_pair_and_seed_alone(gaussians) -> None:
    process = gaussians()
    many = distances(PAIRS, process=process, samples=4, cross_steps=2)
    alone = distance("b", "c", process=process, samples=4, cross_steps=2)
    assert torch.equal(many[1].terms.weights, alone.terms.weights)
    assert torch.equal(many[0].terms.weights, many[4].terms.weights)
    assert many[0].value == many[4].value
    later = distance("b", "c", process=process, samples=2, seed=2, cross_steps=2)
    assert torch.equal(later.terms.weights, alone.terms.weights[2:])
    assert not torch.equal(many[0].terms.weights, many[1].terms.weights)
    assert len({tuple(row) for row in alone.terms.weights.tolist()}) > 1


@pytest.mark.parametrize("m", [1, 2, 4, 6])
def test_every_step_counts_once_on_average(gaussians, m) -> None:
    """N = 9 steps behind the first: a weight is 9/m with probability m/9, else 0."""
    n, others = 4000, 9
    found = distance("a", "b", process=gaussians(), samples=n, cross_steps=m)
    mean = found.terms.weights.mean(dim=0)
    assert mean[0] == 1
    error = math.sqrt((others / m - 1) / n)
    assert (mean[1:] - 1).abs().max() < 4 * error


@pytest.mark.parametrize("estimand", ["jeffreys", "kl", "girsanov", "cumulative:5"])
def test_estimates_have_no_bias(gaussians, estimand) -> None:
    given = {"process": gaussians(guidance=3.0), "samples": 3000, "estimand": estimand}
    exact = distance("a", "b", **given)
    found = distance("a", "b", **given, cross_steps=3)
    assert found.value != exact.value
    assert abs(found.value - exact.value) < 4 * found.standard_error


def test_adaptive_samples_stop_when_the_interval_is_narrow_enough(gaussians) -> None:
    process = gaussians(guidance=3.0, steps=4)
    found = distances(PAIRS, process=process, samples=4, seed=3, tolerance=0.15, max_samples=24)
    assert {d.samples for d in found} <= {4, 8, 16, 24}
    assert len({d.samples for d in found}) > 1  # or this shows little
    for result in found:
        assert "|k:4..24|seed:3|" in str(result.signature)
        assert "|tolerance:0.15|" in str(result.signature)
        for samples in (4, 8, 16, 24):
            plain = distance(result.text1, result.text2, process=process, samples=samples, seed=3)
            narrow = plain.interval[1] - plain.value <= 0.15 * plain.value
            assert narrow == (samples == result.samples) or samples == result.samples == 24
            if samples == result.samples:
                assert result.value == pytest.approx(plain.value, rel=1e-9)
                assert result.interval == pytest.approx(plain.interval, rel=1e-9)
                break


def test_adaptive_samples_cost_those_that_were_taken(gaussians) -> None:
    process = gaussians(guidance=3.0, steps=4)
    found = distance("a", "b", process=process, samples=4, tolerance=1e-9, max_samples=6)
    assert found.samples == 6
    assert process.rows == 6 * (1 + 2 * 6 + 2 * 3)
    least = cost([("a", "b")], process, Spec(4, tolerance=1e-9, max_samples=6))
    assert least.rows == 4 * (1 + 2 * 6 + 2 * 3)


def test_nothing_is_estimated_unless_asked(gaussians) -> None:
    found = distance("a", "b", process=gaussians(), samples=2)
    assert found.terms.weights is None
    assert "cross_steps" not in str(found.signature)
    assert "tolerance" not in str(found.signature)

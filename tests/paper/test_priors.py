"""Figure 3, left: every curve is read off one pass, and says what a run of its own would say."""

from __future__ import annotations

import numpy as np
import pytest

from conjure import load, similarity
from conjure.paper.priors import prior_curves
from conjure.runs.passes import Passes
from conjure.stats.correlation import correlate

SCORES = [5.0, 1.0, 3.5, 2.0, 4.0, 0.5]
PAIRS = [("a", "b"), ("c", "h"), ("b", "d"), ("e", "a"), ("f", "g"), ("h", "a")]


@pytest.fixture(scope="module")
def curves():
    """{(prior, step, samples): correlation} of one pass of five samples, and the process."""
    import tempfile

    from conftest import CountingGaussians

    process = CountingGaussians(guidance=2.0)
    with tempfile.TemporaryDirectory() as folder, Passes(folder, seed=3) as passes:
        points = prior_curves(SCORES, passes.measure(process, PAIRS, samples=5))
    return {(p.prior, p.step, p.samples): p.found for p in points}, process


def alone(process, estimand: str, samples: int):
    found = similarity.distances(PAIRS, process=process, samples=samples, seed=3, estimand=estimand)
    values = [d.value for d in found]
    return correlate(SCORES, values)


def test_every_prior_step_and_number_of_samples_is_there(curves):
    found, process = curves
    steps = len(process.schedule)
    assert len(found) == 2 * steps * 5
    assert {samples for _, _, samples in found} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("samples", [1, 3, 5])
def test_the_ends_of_the_curves_are_the_named_estimands(curves, samples):
    found, process = curves
    last = len(process.schedule)
    for key, estimand in [
        (("cumulative", last, samples), "jeffreys"),
        (("pointwise", 1, samples), "initial"),
        (("cumulative", 1, samples), "initial"),
        (("pointwise", last, samples), "final"),
        (("pointwise", 2, samples), "pointwise:2"),
    ]:
        expected = alone(process, estimand, samples)
        assert found[key].spearman == pytest.approx(expected.spearman, abs=1e-12)
        assert found[key].pearson == pytest.approx(expected.pearson, abs=1e-9)


def test_one_sample_of_five_is_a_pass_of_one(curves, gaussians, tmp_path):
    found, _ = curves
    with Passes(tmp_path, seed=3) as passes:
        points = prior_curves(SCORES, passes.measure(gaussians(guidance=2.0), PAIRS, samples=1))
    assert {p.samples for p in points} == {1}
    for point in points:
        of_five = found[point.prior, point.step, 1]
        assert of_five.spearman == pytest.approx(point.found.spearman, abs=1e-12)
        assert of_five.interval == pytest.approx(point.found.interval, abs=1e-12)


def test_several_samples_are_resampled_over_seeds_too(curves):
    found, _ = curves
    assert found["cumulative", 2, 1].over == "pairs, for the seeds as drawn"
    assert found["cumulative", 2, 5].over == "pairs and seeds"


def test_the_figure_asks_the_real_network_for_one_pass_and_nothing_more(tmp_path):
    process = load(steps=3, guidance=3.0, device="cpu")
    rows = 0

    def count(module, given, keywords):
        nonlocal rows
        rows += len(given[0] if given else keywords["sample"])

    hook = process.pipeline.unet.register_forward_pre_hook(count, with_kwargs=True)
    pairs = [("a dog", "a puppy"), ("a dog", "a violin"), ("a cello", "a violin")]
    try:
        with Passes(tmp_path) as passes:
            told = passes.cost(process, pairs, samples=3).rows
            points = prior_curves([4.0, 0.5, 3.0], passes.measure(process, pairs, samples=3))
            assert len(points) == 2 * 3 * 3
            assert rows == told
            prior_curves([4.0, 0.5, 3.0], passes.measure(process, pairs, samples=2))
            assert rows == told
    finally:
        hook.remove()
    # Four texts, three pairs: all 18 curves cost what three samples of the table's row cost.
    assert told == 3 * (1 + 4 * (2 * 3 - 1) + 2 * 3 * (3 - 1))
    assert np.isfinite([point.found.spearman for point in points]).all()

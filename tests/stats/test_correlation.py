"""Correlations with human scores: against scipy, known theory and hand-made cases."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr

from conjure.core.errors import InputError
from conjure.stats.correlation import by_subset, chance, check_scores, correlate


def test_closer_texts_are_more_similar() -> None:
    scores, distances = [5.0, 4.0, 3.0, 1.0, 0.0], [1.0, 2.0, 3.5, 9.0, 20.0]
    found = correlate(scores, distances)
    assert found.spearman == pytest.approx(1.0)
    assert 0.8 < found.pearson < 1.0
    assert found.n == 5
    backwards = correlate(scores, distances[::-1])
    assert backwards.spearman == pytest.approx(-1.0)


def test_coefficients_by_hand() -> None:
    # ranks of the scores 1 2 3 4, of −distance 2 1 3 4: 1 − 6 Σd²/(n(n²−1)) = 1 − 12/60
    found = correlate([1, 2, 3, 4], [8, 9, 5, 1])
    assert found.spearman == pytest.approx(0.8)
    # centred scores ∓1.5 ∓0.5, centred similarities −2.25 −3.25 0.75 4.75
    product = 1.5 * 2.25 + 0.5 * 3.25 + 0.5 * 0.75 + 1.5 * 4.75
    squares = 5 * (2.25**2 + 3.25**2 + 0.75**2 + 4.75**2)
    assert found.pearson == pytest.approx(product / math.sqrt(squares))


def test_p_value_and_interval_against_theory() -> None:
    draw = np.random.default_rng(3)
    rho, n = 0.6, 800
    x = draw.standard_normal(n)
    y = rho * x + math.sqrt(1 - rho**2) * draw.standard_normal(n)
    found = correlate(list(x), list(-y))
    # Fisher's z with Bonett & Wright's (2000) variance for Spearman's coefficient
    z, error = math.atanh(found.spearman), math.sqrt((1 + found.spearman**2 / 2) / (n - 3))
    low, high = math.tanh(z - 1.96 * error), math.tanh(z + 1.96 * error)
    assert found.interval == pytest.approx((low, high), abs=0.015)
    assert found.interval[0] < found.spearman < found.interval[1]
    t = found.spearman * math.sqrt((n - 2) / (1 - found.spearman**2))
    assert t > 15
    assert found.p_value < 1e-40


def test_p_value_of_unrelated_numbers_is_not_small() -> None:
    draw = np.random.default_rng(0)
    found = correlate(list(draw.random(60)), list(draw.random(60)))
    assert found.p_value > 0.05
    assert found.interval[0] < 0 < found.interval[1]


def test_ties_share_their_rank() -> None:
    scores = [1, 1, 2, 2, 3, 3, 4]
    distances = [7, 6, 6, 4, 3, 3, 1]
    by_ranks = np.corrcoef(rankdata(scores), rankdata([-d for d in distances]))[0, 1]
    assert correlate(scores, distances).spearman == pytest.approx(by_ranks)
    assert correlate(scores, distances).spearman != pytest.approx(
        kendalltau(scores, distances).statistic
    )


def test_the_interval_is_repeatable_and_survives_resamples_without_a_coefficient() -> None:
    scores, distances = [0] * 9 + [1], [*range(10)]  # a third of resamples lack the last pair
    found = correlate(scores, distances)
    assert found == correlate(scores, distances)
    assert all(math.isfinite(bound) for bound in found.interval)


@pytest.mark.parametrize("samples", [1, 3])
def test_below_ten_pairs_there_is_a_coefficient_and_no_interval(samples: int) -> None:
    """Of four pairs in order every resample is in order: 100.00 (100.00 to 100.00)."""
    scores = np.arange(10.0)
    distances = np.stack([-scores] * samples)
    for n in (4, 9):
        found = correlate(scores[:n], distances[:, :n])
        assert found.spearman == pytest.approx(1)
        assert (found.interval, found.interval_reason) == (None, "fewer than 10 pairs")
        assert found.reason is None
    ten = correlate(scores, distances)
    assert ten.interval == pytest.approx((1, 1))
    assert ten.interval_reason is None


def test_what_an_interval_is_about() -> None:
    draw = np.random.default_rng(1)
    scores, samples = draw.random(20), draw.random((2, 20))
    assert correlate(scores, samples[0]).over == "pairs"  # nothing was drawn at random
    assert correlate(scores, samples[:1]).over == "pairs, for the seeds as drawn"
    assert correlate(scores, samples).over == "pairs and seeds"
    parts = by_subset(scores, ["a"] * 10 + ["b"] * 10, samples[:1]).each
    assert {part.over for part in parts.values()} == {"pairs, for the seeds as drawn"}
    parts = by_subset(scores, ["a"] * 10 + ["b"] * 10, samples[0]).each
    assert {part.over for part in parts.values()} == {"pairs"}


def test_chance_is_each_draw_by_itself() -> None:
    draw = np.random.default_rng(4)
    scores, draws = draw.integers(0, 6, 40).astype(float), draw.random((7, 40))
    spearman, pearson, kendall = chance(scores, draws)
    for n in range(7):
        alone = correlate(scores, draws[n])
        assert (spearman[n], pearson[n], kendall[n]) == pytest.approx(
            (alone.spearman, alone.pearson, alone.kendall), abs=1e-12
        )
    assert (
        chance(np.ones(40), draws) == "all human scores are 1: there is nothing to correlate with"
    )


def test_rescaling_changes_no_rank() -> None:
    draw = np.random.default_rng(2)
    scores, distances = list(draw.random(50)), draw.random(50)
    plain, logs = correlate(scores, list(distances)), correlate(scores, list(np.log(distances)))
    assert plain.spearman == pytest.approx(logs.spearman)
    assert plain.interval == pytest.approx(logs.interval)
    assert plain.pearson != pytest.approx(logs.pearson)


PAIR = st.tuples(st.integers(0, 9), st.integers(0, 9))
SMALL = st.lists(PAIR, min_size=9, max_size=30)
ENOUGH = st.lists(PAIR, min_size=10, max_size=30)  # for an interval


@given(SMALL)
def test_coefficients_and_p_value_are_scipys(pairs) -> None:
    scores, distances = (np.array(column) for column in zip(*pairs, strict=True))
    assume(np.ptp(scores) > 0)
    assume(np.ptp(distances) > 0)
    found = correlate(scores, distances)
    assert found.spearman == pytest.approx(spearmanr(scores, -distances).statistic, abs=1e-12)
    assert found.p_value == pytest.approx(spearmanr(scores, -distances).pvalue, abs=1e-12)
    assert found.pearson == pytest.approx(pearsonr(scores, -distances).statistic, abs=1e-12)
    assert found.kendall == pytest.approx(kendalltau(scores, -distances).statistic, abs=1e-12)
    assert (found.n, found.over, found.reason) == (len(pairs), "pairs", None)


@settings(max_examples=40)
@given(ENOUGH, st.randoms(use_true_random=False))
def test_order_scale_and_sign(pairs, random) -> None:
    scores, distances = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    assume(np.ptp(scores) > 0)
    assume(np.ptp(distances) > 0)
    found = correlate(scores, distances)
    # a rising transform of either side changes no rank, in no resample
    other = correlate(np.exp(scores), distances**3)
    for name in ("spearman", "kendall", "p_value", "interval"):
        assert getattr(other, name) == pytest.approx(getattr(found, name), abs=1e-12)
    turned = correlate(scores, -distances)
    assert turned.spearman == pytest.approx(-found.spearman, abs=1e-12)
    assert turned.interval == pytest.approx((-found.interval[1], -found.interval[0]), abs=1e-9)
    order = random.sample(range(len(scores)), len(scores))
    shuffled = correlate(scores[order], distances[order])
    assert shuffled.spearman == pytest.approx(found.spearman, abs=1e-12)
    assert shuffled.p_value == pytest.approx(found.p_value, abs=1e-12)


def test_p_values_of_few_pairs_count_all_orders() -> None:
    assert correlate([1, 2, 3], [3, 2, 1]).p_value == pytest.approx(2 / 6)  # scipy would say 0
    # of 4! orders, 1 and 3 lie at distance Σd² = 0 and 2, and as many at the other end
    assert correlate([1, 2, 3, 4], [3, 4, 2, 1]).p_value == pytest.approx(8 / 24)
    # with ties: the three places of the odd score out are alike, and one of them is this one
    assert correlate([1, 1, 2], [5, 4, 3]).p_value == pytest.approx(2 / 3)


def test_p_values_of_eight_and_of_nine_pairs_agree() -> None:
    draw = np.random.default_rng(6)
    for _ in range(5):
        scores, distances = draw.random(8), draw.random(8)
        exact, approximate = correlate(scores, distances).p_value, spearmanr(scores, distances)
        assert exact == pytest.approx(approximate.pvalue, abs=0.03)


def test_several_samples_are_averaged_and_resampled() -> None:
    draw = np.random.default_rng(8)
    scores = draw.random(300)
    samples = -scores + draw.normal(size=(4, 300))
    found, alone = correlate(scores, samples), correlate(scores, samples.mean(axis=0))
    assert (found.over, alone.over) == ("pairs and seeds", "pairs")
    for name in ("spearman", "pearson", "kendall", "p_value"):
        assert getattr(found, name) == pytest.approx(getattr(alone, name), abs=1e-12)
    assert found.interval[0] < found.spearman < found.interval[1]
    assert np.ptp(found.interval) >= np.ptp(alone.interval)  # their own noise counts once
    one = correlate(scores, samples[:1])
    assert one == replace(correlate(scores, samples[0]), over="pairs, for the seeds as drawn")


def test_samples_that_agree_say_no_more_than_one() -> None:
    draw = np.random.default_rng(9)
    scores, distances = draw.random(200), draw.random(200)
    several, one = correlate(scores, np.stack([distances] * 3)), correlate(scores, distances)
    assert several.interval == pytest.approx(one.interval, abs=0.02)


def test_subsets_each_by_itself() -> None:
    draw = np.random.default_rng(10)
    scores, samples = draw.random(90), draw.random((2, 90))
    subsets = ["b"] * 10 + ["a"] * 50 + ["b"] * 30
    found = by_subset(scores, subsets, samples)
    assert list(found.each) == ["b", "a"]
    assert [part.n for part in found.each.values()] == [40, 50]
    assert found.each["a"] == correlate(scores[10:60], samples[:, 10:60])
    b, a = (part.spearman for part in found.each.values())
    assert found.mean == pytest.approx((a + b) / 2)
    assert found.weighted_mean == pytest.approx((50 * a + 40 * b) / 90)
    assert found.reason is None


def test_a_subset_without_a_coefficient_takes_the_means_along() -> None:
    scores, distances = [1, 2, 3, 4, 5, 6, 7], [7, 5, 6, 4, 2, 2, 2]
    found = by_subset(scores, list("aaaabbb"), distances)
    assert found.each["a"].spearman == pytest.approx(0.8)
    assert found.each["b"].spearman is None
    assert (found.mean, found.weighted_mean) == (None, None)
    assert found.reason == "b: all distances are the same: there is nothing to correlate"
    with pytest.raises(InputError, match="7 scores and 2 subsets"):
        by_subset(scores, ["a", "b"], distances)


@pytest.mark.parametrize(
    ("scores", "distances", "reason"),
    [
        ([], [], "a correlation needs at least 3 pairs; there are 0"),
        ([1.0], [1.0], "a correlation needs at least 3 pairs; there are 1"),
        ([2.0, 2.0, 2.0], [1.0, 2.0, 3.0], "all human scores are 2: there is nothing to"),
        ([1.0, 2.0, 3.0], [7.0, 7.0, 7.0], "all distances are the same: there is nothing to"),
        ([1.0, 2.0, 3.0], [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]], "all distances are the same"),
    ],
)
def test_where_there_is_no_correlation_a_table_goes_on(scores, distances, reason: str) -> None:
    found = correlate(scores, distances)
    assert found.reason.startswith(reason)
    assert found.n == len(scores)
    for name in ("spearman", "pearson", "kendall", "p_value", "interval"):
        assert getattr(found, name) is None


def test_scores_are_checked_before_hours_of_computing() -> None:
    check_scores([1.0, 2.0, 3.0])
    for scores in ([1.0, 2.0], [2.0, 2.0, 2.0]):
        with pytest.raises(InputError, match=correlate(scores, scores).reason):
            check_scores(scores)


@pytest.mark.parametrize(
    ("scores", "distances", "message"),
    [
        ([1, 2, 3], [1, 2], r"not \(3,\) and \(2,\)"),
        ([1, 2, 3], [[1], [2], [3]], r"not \(3,\) and \(3, 1\)"),
        ([1, 2, 3], [1, 2, math.nan], "a distance is not finite"),
        ([1, 2, math.inf], [1, 2, 3], "a score is not finite"),
    ],
)
def test_what_is_no_input(scores, distances, message: str) -> None:
    with pytest.raises(InputError, match=message):
        correlate(scores, distances)

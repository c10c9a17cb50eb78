"""Differences between rows, averages over sets, reliability: against theory and by hand."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from conjure.core.errors import InputError
from conjure.stats.comparison import agreement, average, paired_difference, split_half
from conjure.stats.correlation import correlate


def made(n: int = 400, samples: int = 1, seed: int = 0, better: float = 0.0):
    """Scores, and two rows of distances that share much of what they get wrong."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=n)
    common = rng.normal(size=n)
    rows = [
        -scores + common + width * rng.normal(size=(samples, n)) for width in (0.8 - better, 0.8)
    ]
    return scores, *rows


@pytest.mark.parametrize("samples", [1, 3])
def test_the_difference_is_that_of_the_coefficients(samples: int) -> None:
    scores, one, other = made(samples=samples)
    found = paired_difference(scores, one, other)
    alone = correlate(scores, one).spearman - correlate(scores, other).spearman
    assert found.value == pytest.approx(alone, abs=1e-12)
    assert found.n == 400
    assert found.over == ("pairs, for the seeds as drawn" if samples == 1 else "pairs and seeds")
    assert found.interval[0] < found.value < found.interval[1]


def test_pairing_sees_what_separate_intervals_do_not() -> None:
    scores, one, other = made(better=0.6)
    found, first, second = (
        paired_difference(scores, one, other),
        correlate(scores, one),
        correlate(scores, other),
    )
    width = found.interval[1] - found.interval[0]
    apart = math.hypot(
        first.interval[1] - first.interval[0], second.interval[1] - second.interval[0]
    )
    assert width < 0.7 * apart
    assert found.interval[0] > 0
    assert found.p_value < 0.05


def test_turning_the_rows_about_turns_the_sign() -> None:
    scores, one, other = made()
    found, turned = paired_difference(scores, one, other), paired_difference(scores, other, one)
    assert turned.value == -found.value
    assert turned.interval == pytest.approx((-found.interval[1], -found.interval[0]))
    assert turned.p_value == found.p_value


def test_a_row_does_not_differ_from_itself() -> None:
    scores, one, _ = made(samples=3)
    found = paired_difference(scores, one, 5 * one)
    assert (found.value, found.interval, found.p_value) == (0, (0, 0), 1)


def test_the_p_value_of_no_difference_is_uniform_enough() -> None:
    """Rows that are equally good: about one in ten is below 0.1 (n = 60, 150 runs)."""
    p_values = []
    for seed in range(150):
        scores, one, other = made(n=60, seed=seed)
        p_values.append(paired_difference(scores, one, other).p_value)
    assert 0.03 < np.mean(np.array(p_values) < 0.1) < 0.2
    assert 0.35 < np.mean(p_values) < 0.65


def test_rows_with_other_numbers_of_samples_can_be_compared() -> None:
    scores, one, other = made(samples=3)
    found = paired_difference(scores, one, other[0])
    assert found.over == "pairs and seeds"
    assert found.interval[0] < found.value < found.interval[1]


def test_a_difference_of_few_pairs_has_no_interval_and_says_why() -> None:
    scores, one, other = made(n=9, samples=2)
    found = paired_difference(scores, one, other)
    assert found.value is not None
    assert (found.interval, found.p_value, found.reason) == (None, None, None)
    assert found.interval_reason == "fewer than 10 pairs"
    assert agreement(one, other).interval is None
    assert agreement(one, other).interval_reason == "fewer than 10 pairs"


def test_a_row_that_nothing_is_drawn_for_is_about_pairs_beside_another_such_row() -> None:
    scores, one, other = made(samples=2)
    assert paired_difference(scores, one[0], other[0]).over == "pairs"
    assert paired_difference(scores, one[:1], other[0]).over == "pairs, for the seeds as drawn"
    assert paired_difference(scores, one, other[0]).over == "pairs and seeds"


def test_a_constant_row_has_no_difference_and_says_why() -> None:
    scores, one, _ = made()
    for rows in ((one, np.ones(400)), (np.ones(400), one)):
        found = paired_difference(scores, *rows)
        assert (found.value, found.interval, found.p_value) == (None, None, None)
        assert "all distances are the same" in found.reason
    assert "at least 3 pairs" in paired_difference([1, 2], [1, 2], [2, 1]).reason
    with pytest.raises(InputError, match="scores must be"):
        paired_difference(scores, one, one[:, :-1])


def test_the_average_and_its_deviation() -> None:
    figures = {"a": 70.3, "b": 66.0, "c": 60.2}
    found = average(figures)
    assert found.mean == pytest.approx(statistics.mean(figures.values()))
    assert found.deviation == pytest.approx(statistics.pstdev(figures.values()))
    assert (found.n, found.reason) == (3, None)
    assert average({"a": 1.0}).deviation is None
    without = average({"a": 1.0, "b": None})
    assert (without.mean, without.deviation, without.reason) == (None, None, "no figure for b")
    with pytest.raises(InputError, match="no set"):
        average({})


@pytest.mark.parametrize("samples", [2, 4, 5, 9])
def test_reliability_against_theory(samples: int) -> None:
    """Truth and noise of variance 1 and s²: means over k correlate by 1 / (1 + s²/k)."""
    rng = np.random.default_rng(samples)
    noise = 1.5
    distances = rng.normal(size=6000) + noise * rng.normal(size=(samples, 6000))
    found = split_half(distances)

    def rank(pearson: float) -> float:  # Spearman's coefficient of a bivariate normal
        return 6 / math.pi * math.asin(pearson / 2)

    length = samples // 2
    assert found.half == pytest.approx(rank(1 / (1 + noise**2 / length)), abs=0.03)
    assert found.full == pytest.approx(rank(1 / (1 + noise**2 / samples)), abs=0.04)
    assert found.samples == samples
    assert found == split_half(distances)


@settings(max_examples=20)
@given(st.integers(2, 6), st.integers(0, 1000))
def test_reliability_keeps_under_scale_and_order_of_samples_matter_little(
    k: int, seed: int
) -> None:
    distances = np.random.default_rng(seed).random((k, 40)) + np.arange(40) / 20
    found = split_half(distances)
    assert -1 <= found.half <= 1
    assert found.full <= 1
    assert split_half(distances * 8) == found
    if k == 2:  # one way to split
        assert split_half(distances[::-1]).half == pytest.approx(found.half)


def test_reliability_of_pure_noise_is_about_zero_and_left_as_it_is() -> None:
    found = split_half(np.random.default_rng(3).random((2, 2000)))
    assert abs(found.half) < 0.06
    below = split_half([[1, 2, 3], [3, 2, 1]])
    assert below.half == below.full == -1


def test_what_has_no_reliability_says_why() -> None:
    assert split_half([1.0, 2.0, 3.0]).reason.startswith("one sample cannot be split")
    assert "two pairs" in split_half([[1.0], [2.0]]).reason
    assert "all distances of a half are the same" in split_half(np.ones((4, 9))).reason
    with pytest.raises(InputError, match="not finite"):
        split_half([[1.0, math.nan], [1.0, 2.0]])


def test_agreement_is_the_rank_correlation_of_two_distances() -> None:
    _, one, other = made(n=60, samples=3)
    found = agreement(one, other)
    expected = spearmanr(one.mean(axis=0), other.mean(axis=0)).statistic
    assert found.spearman == pytest.approx(expected, abs=1e-12)
    assert found.interval[0] < found.spearman < found.interval[1]
    assert (found.n, found.over) == (60, "pairs and seeds")
    assert agreement(one, other) == agreement(one, other)
    swapped = agreement(other, one)
    assert swapped.interval == pytest.approx(found.interval, abs=1e-12)


def test_agreement_with_one_sample_is_the_plain_bootstrap_over_pairs() -> None:
    _, one, other = made(n=80)
    found = agreement(one, other)
    same = correlate(-one[0], other[0])
    assert found == replace(same, over="pairs, for the seeds as drawn")
    assert agreement(one[0], other[0]) == same


def test_agreement_of_a_process_with_itself_is_whole_whichever_seeds_are_drawn() -> None:
    _, one, _ = made(n=40, samples=4)
    found = agreement(one, 2 * one + 1)
    assert found.spearman == pytest.approx(1)
    assert found.interval == pytest.approx((1, 1))


def test_intervals_of_agreement_cover_what_other_pairs_and_seeds_would_give() -> None:
    """Two noisy readings of one column: the truth is their correlation without end of pairs."""
    rng = np.random.default_rng(5)
    truth = 6 / math.pi * math.asin(0.5 / 2)  # Spearman's of a bivariate normal with r = 0.5
    covered = 0
    for _ in range(150):
        common = rng.normal(size=120)
        low, high = agreement(common + rng.normal(size=120), common + rng.normal(size=120)).interval
        covered += low <= truth <= high
    assert 136 <= covered <= 148  # 95 % are 142.5; too wide an interval fails as well


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]], "alike"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], "must be"),
        ([1.0, math.nan, 3.0], [1.0, 2.0, 3.0], "not finite"),
    ],
)
def test_agreement_refuses_what_does_not_fit(one, other, says: str) -> None:
    with pytest.raises(InputError, match=says):
        agreement(one, other)


def test_agreement_that_does_not_exist_says_why() -> None:
    assert "at least 3 pairs" in agreement([1.0, 2.0], [2.0, 1.0]).reason
    constant = agreement([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    assert constant.spearman is None
    assert constant.reason == "all distances of a process are the same"

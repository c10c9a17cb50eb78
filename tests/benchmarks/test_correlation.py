"""Correlations with human scores: against scipy, known theory and hand-made cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata, spearmanr

from conjure.benchmarks.correlation import _spearman, correlate
from conjure.core.errors import InputError


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


def test_the_resampled_coefficient_is_scipys_with_ties() -> None:
    draw = np.random.default_rng(1)
    x, y = draw.integers(0, 5, (7, 30)), draw.integers(0, 5, (7, 30))
    expected = [spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert _spearman(x, y) == pytest.approx(expected, rel=1e-12)


def test_ties_share_their_rank() -> None:
    scores = [1, 1, 2, 2, 3, 3, 4]
    distances = [7, 6, 6, 4, 3, 3, 1]
    by_ranks = np.corrcoef(rankdata(scores), rankdata([-d for d in distances]))[0, 1]
    assert correlate(scores, distances).spearman == pytest.approx(by_ranks)
    assert correlate(scores, distances).spearman != pytest.approx(
        kendalltau(scores, distances).statistic
    )


def test_the_interval_is_repeatable_and_survives_tiny_sets() -> None:
    found = correlate([1, 2, 3], [3, 1, 2])  # many resamples are one pair three times
    assert found == correlate([1, 2, 3], [3, 1, 2])
    assert all(math.isfinite(bound) for bound in found.interval)


def test_rescaling_changes_no_rank() -> None:
    draw = np.random.default_rng(2)
    scores, distances = list(draw.random(50)), draw.random(50)
    plain, logs = correlate(scores, list(distances)), correlate(scores, list(np.log(distances)))
    assert plain.spearman == pytest.approx(logs.spearman)
    assert plain.interval == pytest.approx(logs.interval)
    assert plain.pearson != pytest.approx(logs.pearson)


@pytest.mark.parametrize(
    ("scores", "distances", "message"),
    [
        ([], [], "at least 3 pairs; there are 0"),
        ([1.0], [1.0], "at least 3 pairs; there are 1"),
        ([2.0, 2.0, 2.0], [1.0, 2.0, 3.0], "all human scores are 2"),
        ([1.0, 2.0, 3.0], [7.0, 7.0, 7.0], "all distances are the same"),
    ],
)
def test_where_there_is_no_correlation(scores, distances, message: str) -> None:
    with pytest.raises(InputError, match=message):
        correlate(scores, distances)

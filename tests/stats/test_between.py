"""Agreement of two processes beside other seeds, against SciPy and against simulated noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from conjure.core.errors import InputError
from conjure.stats.between import disagreements, likeness


def noisy(truth: np.ndarray, noise: float, seed: int, k: int = 2) -> np.ndarray:
    """(2k, n) distances around a truth, with independent noise for each seed."""
    draw = np.random.default_rng(seed)
    return np.exp(truth + noise * draw.standard_normal((2 * k, len(truth))))


def truths(n: int, correlation: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(7)
    one, apart = draw.standard_normal((2, n))
    return one, correlation * one + np.sqrt(1 - correlation**2) * apart


def test_coefficients_are_scipys():
    one, other = noisy(truths(40)[0], 0.5, 1), noisy(truths(40, 0.6)[1], 0.5, 2)
    a1, a2, b1, b2 = (half.mean(axis=0) for each in (one, other) for half in np.split(each, 2))

    def rho(x: np.ndarray, y: np.ndarray) -> float:
        return float(spearmanr(x, y).statistic)

    found = likeness(one, other)
    assert found.same_seeds == pytest.approx(rho(a1, b1))
    assert found.other_seeds == pytest.approx((rho(a1, b2) + rho(a2, b1)) / 2)
    assert found.no_change == pytest.approx((rho(a1, a2), rho(b1, b2)))
    floor = (rho(a1, a2) + rho(b1, b2)) / 2
    assert found.below == pytest.approx(floor - found.other_seeds)
    geometric = np.sqrt(rho(a1, a2) * rho(b1, b2))
    assert found.corrected == pytest.approx(found.other_seeds / geometric)
    for name, (low, high) in found.intervals.items():
        assert low < high, name


def test_a_process_is_not_told_from_itself_and_another_is():
    truth, changed = truths(300, 0.7)
    same = likeness(noisy(truth, 0.6, 1), noisy(truth, 0.6, 2))
    low, high = same.intervals["below"]
    assert low < 0 < high  # noise explains all
    assert same.corrected == pytest.approx(1, abs=0.08)
    other = likeness(noisy(truth, 0.6, 1), noisy(changed, 0.6, 2))
    assert other.intervals["below"][0] > 0
    # Spearman's coefficient of two normal variables: (6/π) asin(r/2)
    assert other.corrected == pytest.approx(6 / np.pi * np.arcsin(0.35), abs=0.08)


def test_shared_noise_lifts_the_agreement_under_the_same_seeds():
    truth, _ = truths(200)
    one = noisy(truth, 0.8, 1)
    found = likeness(one, one * 3)
    assert found.same_seeds == pytest.approx(1)
    assert found.other_seeds < 0.9


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_pairs_give_a_reason(n):
    found = likeness(np.ones((2, n)), np.ones((2, n)))
    assert found.same_seeds is None
    assert "at least 3 pairs" in str(found.reason)


def test_few_pairs_have_no_interval_and_equal_distances_no_coefficient():
    draw = np.random.default_rng(0).random((2, 2, 5))
    few = likeness(*draw)
    assert few.same_seeds is not None
    assert few.intervals == {}
    assert few.interval_reason == "fewer than 10 pairs"
    assert "the same" in str(likeness(np.ones((2, 5)), draw[0]).reason)


def test_disagreements_are_ranks_and_come_in_order():
    draw = np.random.default_rng(3)
    one, other = draw.random((2, 4, 30))
    found = disagreements(one, other)
    first, second = (100 * (rankdata(each.mean(axis=0)) - 1) / 29 for each in (one, other))
    changes = [abs(each.change) for each in found]
    assert changes == sorted(changes, reverse=True)
    assert sorted(each.place for each in found) == list(range(30))
    for each in found:
        assert each.ranks == pytest.approx((first[each.place], second[each.place]))
    halves = [rankdata(half.mean(axis=0)) for half in (*np.split(one, 2), *np.split(other, 2))]
    by_seeds = np.maximum(abs(halves[0] - halves[1]), abs(halves[2] - halves[3])) * 100 / 29
    assert [each.by_seeds for each in found] == pytest.approx(
        [by_seeds[each.place] for each in found]
    )


@pytest.mark.parametrize("shape", [(3, 5), (5,), (0, 5)])
def test_an_odd_number_of_seeds_is_refused(shape):
    with pytest.raises(InputError, match="even number of seeds"):
        likeness(np.ones(shape), np.ones(shape))


def test_unlike_shapes_and_nan_are_refused():
    with pytest.raises(InputError, match="alike"):
        likeness(np.ones((2, 5)), np.ones((2, 6)))
    with pytest.raises(InputError, match="alike"):
        likeness(np.ones((2, 5)), np.ones((4, 5)))
    with pytest.raises(InputError, match="not finite"):
        disagreements(np.full((2, 5), np.nan), np.ones((2, 5)))

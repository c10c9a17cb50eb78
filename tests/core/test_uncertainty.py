"""Intervals against SciPy, which the core itself does without."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from conjure.core.uncertainty import estimate, student_t


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 31, 100, 999, 10_000])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_quantiles_agree_with_scipy(freedom, level):
    expected = stats.t.ppf((1 + level) / 2, freedom)
    assert student_t(level, freedom) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_the_interval_is_scipys_on_the_logarithm(level):
    values = torch.tensor([1.0, 4.0, 2.0, 2.5, 7.0], dtype=torch.float64)
    found = estimate(values, level=level)
    error = stats.sem(values.numpy())
    assert found.value == 3.3
    assert found.standard_error == pytest.approx(error)
    expected = np.exp(stats.t.interval(level, 4, loc=np.log(3.3), scale=error / 3.3))
    assert found.interval == pytest.approx(tuple(expected))


def test_one_sample_knows_nothing_of_its_error():
    found = estimate(torch.tensor([2.0], dtype=torch.float64))
    assert (found.value, found.standard_error, found.interval) == (2.0, None, None)


def test_samples_that_agree_leave_no_doubt():
    for value in (2.0, 0.0):
        found = estimate(torch.full((3,), value, dtype=torch.float64))
        assert (found.standard_error, found.interval) == (0.0, (value, value))


def test_two_samples():
    found = estimate(torch.tensor([1.0, 3.0], dtype=torch.float64))
    assert found.standard_error == pytest.approx(math.sqrt(2) / math.sqrt(2))
    reach = math.exp(12.7062047 / 2)
    assert found.interval == pytest.approx((2 / reach, 2 * reach))


def test_as_far_apart_as_two_samples_can_be():
    """Student's t alone would say −1 − 11.7 … here, and −20.6 of two real distances."""
    low, high = estimate(torch.tensor([0.0, 2.0], dtype=torch.float64)).interval
    assert 0 < low < 1e-5
    assert high == pytest.approx(math.exp(12.7062047))
    assert estimate(torch.tensor([0.0, 2.0]).double(), level=0.99999).interval[1] == math.inf


def test_a_sample_below_0_is_refused():
    with pytest.raises(ValueError, match="below 0"):
        estimate(torch.tensor([1.0, -0.5], dtype=torch.float64))


@pytest.mark.parametrize("spread", [0.15, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("samples", [2, 3, 4, 8, 16])
def test_intervals_cover_the_mean_of_skewed_samples(samples, spread):
    """At a spread of 1 and k = 3 Student's t without the logarithm covers 89 % (gamma)."""
    draw = np.random.default_rng(samples)
    gamma = draw.gamma(1 / spread**2, spread**2, (2000, samples))
    width = np.log1p(spread**2)
    lognormal = np.exp(draw.normal(-width / 2, width**0.5, (2000, samples)))
    for drawn, least in ((gamma, 0.92), (lognormal, 0.92 if spread < 1 else 0.89)):
        intervals = np.array([estimate(row).interval for row in torch.from_numpy(drawn)])
        assert intervals.min() >= 0
        covered = np.mean((intervals[:, 0] <= 1) & (intervals[:, 1] >= 1))
        assert least < covered < 0.97

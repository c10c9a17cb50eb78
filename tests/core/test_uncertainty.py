"""Intervals against SciPy, which the core itself does without."""

import math

import pytest
import torch
from scipy import stats

from conjure.core.uncertainty import estimate, student_t


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 31, 100, 999, 10_000])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_quantiles_agree_with_scipy(freedom, level):
    expected = stats.t.ppf((1 + level) / 2, freedom)
    assert student_t(level, freedom) == pytest.approx(expected, rel=1e-9)


def test_the_interval_agrees_with_scipy():
    values = torch.tensor([1.0, 4.0, 2.0, 2.5, 7.0], dtype=torch.float64)
    found = estimate(values)
    error = stats.sem(values.numpy())
    assert found.value == 3.3
    assert found.standard_error == pytest.approx(error)
    assert found.interval == pytest.approx(stats.t.interval(0.95, 4, loc=3.3, scale=error))
    wider = estimate(values, level=0.99)
    assert wider.interval == pytest.approx(stats.t.interval(0.99, 4, loc=3.3, scale=error))


def test_one_sample_knows_nothing_of_its_error():
    found = estimate(torch.tensor([2.0], dtype=torch.float64))
    assert (found.value, found.standard_error, found.interval) == (2.0, None, None)


def test_samples_that_agree_leave_no_doubt():
    found = estimate(torch.full((3,), 2.0, dtype=torch.float64))
    assert (found.standard_error, found.interval) == (0.0, (2.0, 2.0))


def test_two_samples():
    found = estimate(torch.tensor([1.0, 3.0], dtype=torch.float64))
    assert found.standard_error == pytest.approx(math.sqrt(2) / math.sqrt(2))
    assert found.interval == pytest.approx((2 - 12.7062047, 2 + 12.7062047))

"""How far a mean over samples may be from its expectation: standard error and interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A mean over k samples.

    standard_error: sample standard deviation / √k; None for one sample, which cannot say
    interval:       (low, high), Student's t with k − 1 degrees of freedom; None for one sample
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None


def estimate(values: Tensor, level: float = 0.95) -> Estimate:
    """The mean of (k,) independent samples, k ≥ 1, with a confidence interval of ``level``."""
    value, count = float(values.mean()), len(values)
    if count < 2:
        return Estimate(value, None, None)
    error = float(values.std(correction=1)) / math.sqrt(count)
    reach = student_t(level, count - 1) * error
    return Estimate(value, error, (value - reach, value + reach))


@cache
def student_t(level: float, freedom: int) -> float:
    """The t with P(−t < T < t) = ``level``, 0 < level < 1, for T of ``freedom`` ≥ 1 degrees.

    By bisection in the angle θ = atan(t/√freedom), where the probability is a finite sum.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        angle = (low + high) / 2
        if _probability_within(angle, freedom) < level:
            low = angle
        else:
            high = angle
    return math.sqrt(freedom) * math.tan(low)


def _probability_within(angle: float, freedom: int) -> float:
    """P(|T| < √freedom · tan angle): Abramowitz & Stegun 26.7.3 (odd) and 26.7.4 (even)."""
    odd = freedom % 2
    cosine, total = math.cos(angle), 0.0
    term = cosine if odd else 1.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total

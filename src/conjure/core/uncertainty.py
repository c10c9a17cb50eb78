"""A mean over samples with its standard error and confidence interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A mean over k samples.

    standard_error: sample standard deviation / √k; None for one sample
    interval:       (low, high), never below 0; None for one sample
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None


def estimate(values: Tensor, level: float = 0.95) -> Estimate:
    """The mean of (k,) independent samples ≥ 0, k ≥ 1, with a confidence interval of ``level``.

    A divergence is never below 0, so the interval is Student's t on the logarithm of the mean m
    (delta method): m e^(±h) with h = t · standard error / m and k − 1 degrees of freedom. If all
    samples are equal, the interval is (m, m).

    Coverage of a nominal 95 % in simulations, k = 2, 3, 4, 8, 16, by the standard deviation of the
    samples relative to their mean (on the bundled process, 12 pairs of 64 samples, 0.11 to
    0.37 for ``jeffreys`` and 0.12 to 0.30 for ``initial``):

    ============== ============ ============ ================================
    spread         gamma        lognormal    Student's t without logarithm
    ============== ============ ============ ================================
    0.15 to 0.3    94.7 to 95.1 94.4 to 94.9 93.8 to 95.0, low end often < 0
    0.5            94.6 to 95.2 93.7 to 94.5 92.2 to 94.5
    1              93.3 to 95.0 90.3 to 94.2 85.9 to 91.4
    ============== ============ ============ ================================

    At k = 2 the upper end is far away, since t is 12.7: 2.5 m at a spread of 0.15, 6 m at 0.3.
    Raises ValueError for a sample below 0.
    """
    value, count = float(values.mean()), len(values)
    if float(values.min()) < 0:
        raise ValueError("a sample below 0 has no interval on a logarithmic scale")
    if count < 2:
        return Estimate(value, None, None)
    error = float(values.std(correction=1)) / math.sqrt(count)
    reach = student_t(level, count - 1) * error / value if error > 0 else 0.0
    low, high = (value * torch.tensor([-reach, reach], dtype=torch.float64).exp()).tolist()
    return Estimate(value, error, (low, high))


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

"""The weight of each term in an estimand, which makes shares of squared differences."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.registry import Estimand, additive_names
from ..core.schedule import Schedule
from ..core.types import Terms


def step_weights(entry: Estimand, schedule: Schedule) -> Tensor:
    """The weights of forward and backward terms at each step: (2, steps) float64.

    The estimand of a sample is Σ weight · term. The weights are read off the estimand itself: it
    reduces terms of which one is 1 and the others are 0. So they hold for estimands of other
    packages, too. Estimands of a single step have one step that is not 0.

    Raises InputError for an estimand that is no such sum, as ``output`` and ``coupled``.
    """
    steps = len(schedule)
    if entry.needs:
        raise not_a_sum(entry.name)
    units = torch.eye(2 * steps, dtype=torch.float64)
    found = entry(_terms(units, schedule)).double()
    draw = torch.Generator("cpu").manual_seed(0)
    trial = torch.rand(4, 2 * steps, generator=draw, dtype=torch.float64)
    if not torch.allclose(entry(_terms(trial, schedule)).double(), trial @ found, rtol=1e-9):
        raise not_a_sum(entry.name)
    return found.reshape(2, steps)


def not_a_sum(name: str) -> InputError:
    """The refusal of an estimand that has no parts."""
    known = ", ".join(additive_names())
    return InputError(
        f"estimand {name!r} is not a sum over steps of the squared differences, so it has no parts "
        f"to show: use one of {known}, or a single step such as pointwise:1"
    )


def _terms(values: Tensor, schedule: Schedule) -> Terms:
    """(n, 2 · steps) numbers as the terms of n samples: forward, then backward."""
    forward, backward = values.chunk(2, dim=1)
    return Terms(forward.contiguous(), backward.contiguous(), schedule)

"""Each reduction against arithmetic done by hand."""

import math

import pytest
import torch

from conjure.core.errors import InputError
from conjure.core.estimands import ESTIMANDS, girsanov_weights, per_sample, reduction
from conjure.core.schedule import Schedule
from conjure.core.shapes import Terms

SCHEDULE = Schedule((900.0, 500.0, 100.0), (4.0, 2.0, 1.0, 0.0), 4.0, stochastic=False)
TERMS = Terms(
    forward=torch.tensor([[1.0, 2.0, 6.0], [0.0, 3.0, 0.0]], dtype=torch.float64),
    backward=torch.tensor([[3.0, 4.0, 2.0], [6.0, 0.0, 9.0]], dtype=torch.float64),
    schedule=SCHEDULE,
    output=torch.tensor([5.0, 7.0], dtype=torch.float64),
    coupled=torch.tensor([[1.0, 1.0, 4.0], [3.0, 3.0, 3.0]], dtype=torch.float64),
)


@pytest.mark.parametrize(
    ("estimand", "values"),
    [
        ("jeffreys", [6.0, 6.0]),
        ("kl", [3.0, 1.0]),
        ("initial", [4.0, 6.0]),
        ("final", [8.0, 9.0]),
        ("output", [5.0, 7.0]),
        ("coupled", [2.0, 3.0]),
        # weights ½(1 − ¼), ½(1 − ¼), ½(1 − 0)
        ("girsanov", [0.375 * 4 + 0.375 * 6 + 0.5 * 8, 0.375 * 6 + 0.375 * 3 + 0.5 * 9]),
        ("pointwise:1", [4.0, 6.0]),
        ("pointwise:2", [6.0, 3.0]),
        ("pointwise:3", [8.0, 9.0]),
        ("cumulative:1", [4.0, 6.0]),
        ("cumulative:2", [5.0, 4.5]),
        ("cumulative:3", [6.0, 6.0]),
    ],
)
def test_reductions(estimand, values):
    found = per_sample(TERMS, estimand)
    torch.testing.assert_close(found, torch.tensor(values, dtype=torch.float64))


def test_a_first_step_from_pure_noise_weighs_a_half():
    schedule = Schedule((999.0, 500.0), (math.inf, 2.0, 1.0), 1.0, stochastic=False)
    assert girsanov_weights(schedule).tolist() == [0.5, 0.375]


def test_a_girsanov_term_is_the_kl_of_one_euler_maruyama_step():
    """Two Gaussian steps with the same x: means g²Δt ε/σ apart, variance g²Δt."""
    now, then, gap = 3.0, 1.7, torch.tensor([0.3, -1.2], dtype=torch.float64)
    variance = now**2 - then**2
    step = torch.distributions.Normal(-variance * gap / now, math.sqrt(variance))
    other = torch.distributions.Normal(torch.zeros(2, dtype=torch.float64), math.sqrt(variance))
    exact = torch.distributions.kl_divergence(step, other).sum()
    schedule = Schedule((1.0,), (now, then), now, stochastic=True)
    torch.testing.assert_close(girsanov_weights(schedule)[0] * gap.square().sum(), exact)


@pytest.mark.parametrize("name", ["jefreys", "", "pointwise3", "Jeffreys", "step:1", None, 3])
def test_an_unknown_estimand_is_told_the_names(name):
    with pytest.raises(InputError, match=r"unknown estimand .*jeffreys.*cumulative:STEP") as raised:
        per_sample(TERMS, name)
    assert all(known in str(raised.value) for known in ESTIMANDS)


@pytest.mark.parametrize("step", ["0", "4", "-1", "", "1.5", "x", "²", " 1"])
@pytest.mark.parametrize("name", ["pointwise", "cumulative"])
def test_a_step_outside_the_schedule_is_refused(name, step):
    with pytest.raises(InputError, match="give a step from 1 to 3"):
        reduction(f"{name}:{step}", steps=3)


@pytest.mark.parametrize("name", ["output", "coupled"])
def test_what_was_not_recorded_cannot_be_reduced(name):
    bare = Terms(TERMS.forward, TERMS.backward, SCHEDULE)
    with pytest.raises(InputError, match=f"without '{name}'"):
        per_sample(bare, name)

"""Each reduction against arithmetic done by hand."""

import math

import pytest
import torch

from conjure.core.errors import InputError
from conjure.core.estimands import girsanov_weights
from conjure.core.registry import Estimand, estimands, find_estimand, per_sample, register_estimand
from conjure.core.schedule import Schedule
from conjure.core.types import Terms

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
    assert all(known in str(raised.value) for known in estimands())


@pytest.mark.parametrize("step", ["0", "4", "-1", "", "1.5", "x", "²", " 1", "9" * 5000])
@pytest.mark.parametrize("name", ["pointwise", "cumulative"])
def test_a_step_outside_the_schedule_is_refused(name, step):
    with pytest.raises(InputError, match="give a step from 1 to (3|T)") as raised:
        per_sample(TERMS, f"{name}:{step}")
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("name", ["output", "coupled"])
def test_what_was_not_recorded_cannot_be_reduced(name):
    bare = Terms(TERMS.forward, TERMS.backward, SCHEDULE)
    with pytest.raises(InputError, match=f"without '{name}'"):
        per_sample(bare, name)


def test_an_entry_of_ones_own_is_found_like_any_other(monkeypatch):
    monkeypatch.setattr("conjure.core.registry._REGISTRY", dict(estimands()))
    largest = Estimand("largest", "the largest step", lambda terms: terms.forward.max(dim=1).values)
    register_estimand(largest)
    assert per_sample(TERMS, "largest").tolist() == [6.0, 3.0]
    assert find_estimand("largest") is largest
    with pytest.raises(InputError, match="there is an estimand 'largest' already"):
        register_estimand(largest)
    with pytest.raises(InputError, match="'odd' needs 'pictures'; a run records output, coupled"):
        register_estimand(Estimand("odd", "", largest.reduce, needs=frozenset({"pictures"})))


def test_an_entry_may_refuse_a_schedule(monkeypatch):
    monkeypatch.setattr("conjure.core.registry._REGISTRY", dict(estimands()))
    why = "the sampler adds no noise"
    register_estimand(
        Estimand(
            "noisy", "", lambda t: t.forward[:, 0], refuse=lambda s: None if s.stochastic else why
        )
    )
    with pytest.raises(InputError, match="estimand 'noisy': the sampler adds no noise"):
        per_sample(TERMS, "noisy")


def test_a_plugin_is_an_entry_point(monkeypatch):
    """As an installed package declares it, in the group ``conjure.estimands``."""
    from importlib import metadata

    from conjure.core import registry

    monkeypatch.setattr(registry, "_REGISTRY", dict(estimands()))
    registry._load_plugins.cache_clear()
    entry = metadata.EntryPoint("mine", f"{__name__}:PLUGIN", "conjure.estimands")
    monkeypatch.setattr(entry.__class__, "load", lambda self: PLUGIN)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry])
    try:
        assert per_sample(TERMS, "plugin").tolist() == [1.0, 0.0]
    finally:
        registry._load_plugins.cache_clear()


PLUGIN = Estimand("plugin", "forward at the first step", lambda terms: terms.forward[:, 0])

"""``chain`` and ``girsanov`` against exact laws: joint Gaussians of whole walks, and their limits.

The reference is ``tests/gaussian_chains.py``, which writes every step a second time.
"""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussian_chains import expected_terms, joint, moments

from conjure.core.divergence import pair_terms
from conjure.core.errors import InputError
from conjure.core.estimands import chain, chain_weights, girsanov, girsanov_weights
from conjure.core.gaussian import GaussianProcess, gaussian_kl
from conjure.core.schedule import Schedule, Transition
from conjure.core.types import Terms
from conjure.core.uncertainty import estimate
from conjure.similarity import distance

PLANE = {
    "a": (torch.tensor([2.0, -1.0]), torch.tensor([[1.0, 0.2], [0.2, 0.8]])),
    "b": (torch.tensor([-1.0, 2.0]), torch.tensor([[0.8, -0.1], [-0.1, 1.0]])),
    "": (torch.zeros(2), 2 * torch.eye(2)),
}
# N(0, 0.25) and N(0, 1) beside N(0, 2): guidance changes what the integral is
LINE = {
    text: (torch.zeros(1), torch.full((1, 1), variance))
    for text, variance in {"a": 0.25, "b": 1.0, "": 2.0}.items()
}
NOISY = ["euler-maruyama", "euler-ancestral"]


def process_of(components, sampler, steps, guidance=1.0, sigma_max=20.0):
    return GaussianProcess(
        components, sampler=sampler, steps=steps, guidance=guidance, sigma_max=sigma_max
    )


def expected(process, reduce):
    """The expectation of an estimand over all noise."""
    forward, backward = (expected_terms(process, *pair) for pair in ("ab", "ba"))
    return float(reduce(Terms(forward, backward, process.schedule)))


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("steps", [2, 3, 5])
@pytest.mark.parametrize("sampler", NOISY)
def test_chain_is_the_divergence_of_the_joint_laws_of_two_walks(sampler, steps, guidance):
    process = process_of(PLANE, sampler, steps, guidance)
    # the ancestral chain's last step has no noise, so its law ends one state before
    states = steps + (sampler == "euler-maruyama")
    a, b = (joint(process, text, states) for text in "ab")
    exact = gaussian_kl(*a, *b) + gaussian_kl(*b, *a)
    assert expected(process, chain) == pytest.approx(exact, rel=1e-8)
    [terms] = pair_terms(process, [("a", "b")], range(2000))
    drawn = estimate(chain(terms))
    assert abs(drawn.value - exact) < 4 * drawn.standard_error
    assert drawn.standard_error < 0.1 * exact


def test_chain_is_girsanov_for_euler_maruyama_and_more_for_ancestral_steps():
    maruyama = process_of(PLANE, "euler-maruyama", 6).schedule
    torch.testing.assert_close(chain_weights(maruyama), girsanov_weights(maruyama))
    ancestral = process_of(PLANE, "euler-ancestral", 6).schedule
    r = torch.tensor([(b / a) ** 2 for a, b in itertools.pairwise(ancestral.sigmas[:-1])])
    found = chain_weights(ancestral)
    torch.testing.assert_close(found[:-1], (0.5 * (1 - r) / r).double(), rtol=1e-6, atol=0)
    assert found[-1] == 0


def test_chain_and_girsanov_meet_with_first_order_in_steps():
    gaps = []
    for steps in (250, 500, 1000):
        process = process_of(PLANE, "euler-ancestral", steps)
        gaps.append(expected(process, chain) - expected(process, girsanov))
    orders = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(gaps)]
    assert orders == pytest.approx([1, 1], abs=0.05)
    limits = [
        2 * expected(process_of(PLANE, s, 1000), f) - expected(process_of(PLANE, s, 500), f)
        for s, f in [("euler-ancestral", chain), ("euler-maruyama", girsanov)]
    ]
    assert limits == pytest.approx([process.girsanov("a", "b")] * 2, rel=2e-3)


@pytest.mark.parametrize(
    ("components", "sampler", "at_10", "at_50", "at_200"),
    [  # share of the limit by which girsanov is off; docs/architecture.md quotes these
        (PLANE, "euler", -0.64, -0.21, -0.06),
        (PLANE, "euler-maruyama", -0.63, -0.21, -0.06),
        (PLANE, "euler-ancestral", -0.64, -0.22, -0.06),
        (LINE, "euler", -0.79, -0.30, -0.09),
        (LINE, "euler-maruyama", 0.85, 0.05, 0.01),
        (LINE, "euler-ancestral", -0.84, -0.36, -0.11),
    ],
)
def test_what_girsanov_is_worth_at_few_steps(components, sampler, at_10, at_50, at_200):
    found = []
    for steps in (10, 50, 200):
        process = process_of(components, sampler, steps, sigma_max=80.0)
        found.append(expected(process, girsanov) / process.girsanov("a", "b") - 1)
    assert found == pytest.approx([at_10, at_50, at_200], abs=0.006)


def guided_limit(guidance, stochastic, top=80.0):
    """The integral of ``girsanov`` on LINE as T → ∞, from the variance of x(u), u = σ².

    The guided ε is σ k(u) x with k = w/(c + u) + (1 − w)/(2 + u). The ODE dx/du = k x/2 has
    variance V ∝ h(u) = (c + u)^w (2 + u)^(1 − w); the SDE, walked towards u = 0, has
    dV/du = 2kV − 1, so V = h² (V_T/h_T² + ∫_u^T h⁻²). The integrand is ½ w² Δk² V.
    """
    u = np.concatenate([[0.0], np.logspace(-7, math.log10(top**2), 200_001)])
    total = 0.0
    for variance in (0.25, 1.0):
        h = np.exp(guidance * np.log(variance + u) + (1 - guidance) * np.log(2 + u))
        spread = top**2 * h / h[-1]
        if stochastic:
            inverse = (h[-1] / h) ** 2
            pieces = np.diff(u) * (inverse[1:] + inverse[:-1]) / 2
            behind = np.concatenate([np.cumsum(pieces[::-1])[::-1], [0.0]])
            spread = (top**2 + behind) / inverse
        integrand = 0.5 * guidance**2 * (1 / (0.25 + u) - 1 / (1 + u)) ** 2 * spread
        total += (np.diff(u) * (integrand[1:] + integrand[:-1]) / 2).sum()
    return total


@pytest.mark.parametrize(
    ("guidance", "sampler", "limit"),
    [
        (1.0, "euler", 1.125),
        (1.0, "euler-maruyama", 1.125),
        (7.5, "euler", 1.64),
        (7.5, "euler-maruyama", 9.55),
    ],
)
def test_with_guidance_ode_and_sde_have_integrals_of_their_own(guidance, sampler, limit):
    exact = guided_limit(guidance, sampler != "euler")
    assert exact == pytest.approx(limit, rel=3e-3)
    coarse, fine = (
        expected(process_of(LINE, sampler, steps, guidance, 80.0), girsanov)
        for steps in (1000, 2000)
    )
    assert 2 * fine - coarse == pytest.approx(exact, rel=2e-3)
    # and that is what the library measures: on LINE the value is ∝ x_T² where nothing is drawn
    if sampler == "euler":
        process = process_of(LINE, sampler, 400, guidance, 80.0)
        found = distance("a", "b", process=process, estimand="girsanov", seed=1).value
        noise = float(torch.randn(1, generator=torch.Generator().manual_seed(1)))
        assert found / noise**2 == pytest.approx(expected(process, girsanov), rel=1e-6)


def test_moments_are_those_of_samples():
    process = process_of(LINE, "euler-maruyama", 400, 7.5, 80.0)
    [terms] = pair_terms(process, [("a", "b")], range(300))
    drawn = estimate(girsanov(terms))
    assert abs(drawn.value - expected(process, girsanov)) < 4 * drawn.standard_error
    assert len(moments(process, "a")) == 401


@pytest.mark.parametrize(
    ("sampler", "steps", "says"),
    [
        ("euler", 4, "needs a sampler that adds noise.*deterministic one are infinitely far apart"),
        ("euler-ancestral", 1, "noise in every step but the last.*with 1 steps has not"),
    ],
)
def test_chains_without_noise_are_refused_before_anything_is_measured(sampler, steps, says):
    process = process_of(PLANE, sampler, steps)
    process.predict = None
    with pytest.raises(InputError, match=says) as raised:
        distance("a", "b", process=process, estimand="chain")
    assert "\n" not in str(raised.value)


def test_a_schedule_that_does_not_state_its_transitions_is_refused():
    schedule = replace(process_of(PLANE, "euler-maruyama", 3).schedule, transitions=None)
    with pytest.raises(InputError, match="does not state its transitions"):
        chain_weights(schedule)
    still = (Transition(-1.0, 0.0), Transition(-1.0, 1.0))
    with pytest.raises(InputError, match="noise in every step but the last"):
        chain_weights(Schedule((2.0, 1.0), (2.0, 1.0, 0.0), 2.0, True, still))


def test_one_euler_maruyama_step_has_a_chain():
    process = process_of(PLANE, "euler-maruyama", 1)
    a, b = (joint(process, text, 2) for text in "ab")
    exact = gaussian_kl(*a, *b) + gaussian_kl(*b, *a)
    assert expected(process, chain) == pytest.approx(exact, rel=1e-8)
    assert distance("a", "a", process=process, estimand="chain").value == 0

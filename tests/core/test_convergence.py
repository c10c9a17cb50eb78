"""Monte Carlo against the exact divergence: its limit, its order in T and k, its intervals.

With s = −ε/σ the sum Σ ½ g² ‖Δs‖² Δt is a left Riemann sum, so first order in 1/T. Along linear
dynamics every x_j is Gaussian, which gives the expectation of each term in closed form.
"""

import itertools
import math

import numpy as np
import pytest
import torch

from conjure.core.divergence import pair_terms
from conjure.core.estimands import girsanov, jeffreys
from conjure.core.gaussian import GaussianProcess
from conjure.core.registry import per_sample
from conjure.core.uncertainty import estimate
from conjure.similarity import distance

UNEQUAL = {
    "a": (torch.tensor([2.0, -1.0]), torch.tensor([[1.0, 0.2], [0.2, 0.8]])),
    "b": (torch.tensor([-1.0, 2.0]), torch.tensor([[0.8, -0.1], [-0.1, 1.0]])),
}
EQUAL = {text: (mean, UNEQUAL["a"][1]) for text, (mean, _) in UNEQUAL.items()}
SAMPLERS = ["euler", "euler-maruyama"]


def values(process, reduce, samples):
    [terms] = pair_terms(process, [("a", "b")], range(samples))
    return reduce(terms)


def order(coarse, middle, fine):
    """p in error ∝ T^−p, from three values with T doubled each time."""
    return math.log2(abs(middle - coarse) / abs(fine - middle))


def mean_over_all_noise(found):
    """With a deterministic sampler on Gaussians the value is a quadratic polynomial in x_T.

    Fitting it to a few samples gives its expectation over all x_T exactly: no Monte Carlo error.
    """
    z = torch.stack(
        [torch.randn(2, generator=torch.Generator().manual_seed(i)) for i in range(len(found))]
    ).double()
    one, u, v = torch.ones(len(z), dtype=torch.float64), z[:, 0], z[:, 1]
    basis = torch.stack([one, u, v, u * u, v * v, u * v], dim=1)
    weights = torch.linalg.lstsq(basis, found.unsqueeze(1)).solution[:, 0]
    torch.testing.assert_close(basis @ weights, found, rtol=1e-9, atol=1e-9)
    return float(weights[0] + weights[3] + weights[4])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_equal_covariances_reach_the_divergence_with_first_order_in_steps(sampler):
    """No noise in the value at all: one sample is exact up to the step size."""
    found = []
    for steps in (512, 1024, 2048):
        process = GaussianProcess(EQUAL, sampler=sampler, steps=steps)
        found.append(float(values(process, girsanov, 1)))
    truth = process.girsanov("a", "b")
    assert order(*found) == pytest.approx(1, abs=0.05)
    assert 2 * found[2] - found[1] == pytest.approx(truth, rel=1e-3)
    assert abs(found[2] - truth) < 0.02 * truth


def test_unequal_covariances_deterministic_sampler_first_order_in_steps():
    found = []
    for steps in (256, 512, 1024):
        process = GaussianProcess(UNEQUAL, steps=steps, sigma_max=300.0)
        found.append(mean_over_all_noise(values(process, girsanov, 8)))
    truth = process.girsanov("a", "b")
    assert order(*found) == pytest.approx(1, abs=0.1)
    assert abs(found[2] - truth) < 0.03 * truth
    assert 2 * found[2] - found[1] == pytest.approx(truth, rel=3e-3)


def test_unequal_covariances_stochastic_sampler_first_order_in_steps():
    found = []
    for steps in (64, 128):
        process = GaussianProcess(
            UNEQUAL, sampler="euler-maruyama", steps=steps, sigma_max=20.0, batch_size=10_000
        )
        found.append(float(values(process, girsanov, 400).mean()))
    truth = process.girsanov("a", "b")
    error = [truth - value for value in found]
    assert math.log2(error[0] / error[1]) == pytest.approx(0.95, abs=0.2)
    assert 2 * found[1] - found[0] == pytest.approx(truth, rel=0.03)


def expected_terms(process, on, other):
    """E‖ε_on − ε_other‖² at each step on one prompt's trajectory, from the moments of x_j."""
    (mean1, cov1), (mean2, cov2) = (
        [t.double().numpy() for t in UNEQUAL[text]] for text in (on, other)
    )
    one, sigmas = np.eye(2), process.schedule.sigmas
    mean, covariance, found = np.zeros(2), sigmas[0] ** 2 * one, []
    for now, then in itertools.pairwise(sigmas):
        own, cross = (now * np.linalg.inv(c + now**2 * one) for c in (cov1, cov2))
        slope, offset = own - cross, own @ mean1 - cross @ mean2
        found.append(((slope @ mean - offset) ** 2).sum() + np.trace(slope @ covariance @ slope.T))
        stochastic = process.schedule.stochastic
        pull = -(now**2 - then**2) / now if stochastic else then - now
        map_ = one + pull * own
        mean = map_ @ mean - pull * own @ mean1
        added = now**2 - then**2 if stochastic else 0.0
        covariance = map_ @ covariance @ map_.T + added * one
    return np.array(found)


def truth_at(process, reduce):
    """The expectation of an estimand at this T: what its interval is an interval for."""
    [terms] = pair_terms(process, [("a", "b")], [0])
    exact = (torch.from_numpy(expected_terms(process, *ab)[None]) for ab in ("ab", "ba"))
    forward, backward = exact
    return float(reduce(type(terms)(forward, backward, process.schedule)))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_error_falls_as_one_over_the_root_of_samples(sampler):
    process = GaussianProcess(UNEQUAL, sampler=sampler, steps=8, batch_size=10_000)
    truth, found = truth_at(process, girsanov), values(process, girsanov, 4096)
    sizes = [1, 4, 16, 64]
    errors = [(found.reshape(-1, k).mean(dim=1) - truth).square().mean().sqrt() for k in sizes]
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.05)
    # A group of k neighbours is what distance(samples=k) averages, by the noise contract.
    group = distance("a", "b", process=process, samples=16, seed=48, estimand="girsanov")
    assert group.value == pytest.approx(float(found[48:64].mean()), rel=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("reduce", [jeffreys, girsanov], ids=["jeffreys", "girsanov"])
def test_intervals_cover_the_truth_as_often_as_they_say(sampler, reduce):
    process = GaussianProcess(UNEQUAL, sampler=sampler, steps=6, batch_size=10_000)
    truth, found = truth_at(process, reduce), values(process, reduce, 10 * 800)
    intervals = [estimate(group).interval for group in found.reshape(800, 10)]
    covered = np.mean([low <= truth <= high for low, high in intervals])
    assert covered == pytest.approx(0.95, abs=0.02)  # its own standard error is 0.008


def test_cumulative_to_the_last_step_is_jeffreys():
    [terms] = pair_terms(GaussianProcess(UNEQUAL, steps=7), [("a", "b")], range(3))
    assert torch.equal(per_sample(terms, "cumulative:7"), jeffreys(terms))

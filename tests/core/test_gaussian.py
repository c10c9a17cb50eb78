"""The oracle's own oracles: torch.distributions and automatic differentiation."""

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from conjure.core.errors import InputError
from conjure.core.gaussian import GaussianProcess, gaussian_kl
from conjure.core.sampling import walk

MEAN = torch.tensor([1.0, -2.0], dtype=torch.float64)
COVARIANCE = torch.tensor([[1.0, 0.4], [0.4, 0.5]], dtype=torch.float64)
OTHER = torch.tensor([0.5, 0.0], dtype=torch.float64), torch.tensor([[0.7, -0.1], [-0.1, 2.0]])
COMPONENTS = {"a": (MEAN, COVARIANCE), "b": OTHER, "": (torch.zeros(2), torch.eye(2))}


def test_the_prediction_is_the_score_of_the_blurred_gaussian():
    process = GaussianProcess(COMPONENTS, steps=5)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    found = process.predict(x, torch.arange(5), process.embed(["a"] * 5))
    for j, sigma in enumerate(process.schedule.sigmas[:-1]):
        blurred = MultivariateNormal(MEAN, COVARIANCE + sigma**2 * torch.eye(2))
        [score] = torch.autograd.grad(blurred.log_prob(x[j]), x)
        torch.testing.assert_close(found[j].detach(), -sigma * score[j])


def test_divergences_agree_with_torch():
    process = GaussianProcess(COMPONENTS, sigma_max=3.0)

    def exact(first, second, sigma):
        p, q = (
            MultivariateNormal(m.double(), c.double() + sigma**2 * torch.eye(2))
            for m, c in (COMPONENTS[first], COMPONENTS[second])
        )
        return float(kl_divergence(p, q))

    for sigma in (0.0, 1.3):
        assert process.kl("a", "b", sigma) == pytest.approx(exact("a", "b", sigma))
    both = exact("a", "b", 0) + exact("b", "a", 0) - exact("a", "b", 3.0) - exact("b", "a", 3.0)
    assert process.girsanov("a", "b") == pytest.approx(both)
    assert gaussian_kl(MEAN, COVARIANCE, MEAN, COVARIANCE) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("sampler", "steps"), [("euler", 400), ("euler-maruyama", 100), ("euler-ancestral", 200)]
)
def test_samples_follow_the_gaussian_they_are_asked_for(sampler, steps):
    process = GaussianProcess(COMPONENTS, sampler=sampler, steps=steps, sigma_max=40.0)
    for step in walk(process, ["a"], range(1000), finish=True):
        x = step.x_next
    torch.testing.assert_close(x[0].mean(dim=0), MEAN, rtol=0, atol=0.12)
    torch.testing.assert_close(x[0].T.cov(), COVARIANCE, rtol=0, atol=0.12)


def test_float32_is_what_comes_out_when_asked_for():
    process = GaussianProcess(COMPONENTS, dtype=torch.float32, guidance=2.0)
    first = next(walk(process, ["a"], [0]))
    assert first.eps_cond.dtype == first.x_next.dtype == torch.float32
    assert process.dtype == "float32"


@pytest.mark.parametrize(
    ("mean", "covariance"),
    [
        (torch.zeros(2), torch.eye(3)),
        (torch.zeros(2, 2), torch.eye(2)),
        (torch.zeros(2), torch.tensor([[1.0, 0.5], [0.0, 1.0]])),
        (torch.zeros(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])),
        (torch.zeros(2), torch.zeros(2, 2)),
    ],
    ids=["sizes", "matrix mean", "asymmetric", "indefinite", "flat"],
)
def test_what_is_no_gaussian_is_refused(mean, covariance):
    with pytest.raises(InputError, match="'bad': a"):
        GaussianProcess({"bad": (mean, covariance)})


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="euler, euler-maruyama, euler-ancestral"):
        GaussianProcess(COMPONENTS, sampler="heun")
    with pytest.raises(InputError, match="at least 1, not 0"):
        GaussianProcess(COMPONENTS, steps=0)
    with pytest.raises(InputError, match="no Gaussian is named 'zebra'"):
        GaussianProcess(COMPONENTS).embed(["a", "zebra"])

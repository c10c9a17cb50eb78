"""What ``chain`` and ``girsanov`` are worth on Stable Diffusion's noise schedule, on Gaussians."""

import pytest
import torch
from gaussian_chains import expected_terms, joint
from small_pipelines import SD_SCHEDULER

from conjure.core.divergence import pair_terms
from conjure.core.estimands import chain, girsanov
from conjure.core.gaussian import GaussianProcess, gaussian_kl
from conjure.core.types import Terms
from conjure.core.uncertainty import estimate
from conjure.processes.samplers import Sampler

CONFIG = {**SD_SCHEDULER, "timestep_spacing": "leading"}
MAPS = {"ddim": "euler", "euler": "euler", "ddpm": "euler-ancestral"}  # in x/α they are the same
LINE = {"a": (torch.zeros(1), torch.eye(1) / 4), "b": (torch.zeros(1), torch.eye(1))}
MEANS = {"a": (torch.tensor([2.0]), torch.eye(1)), "b": (torch.tensor([-1.0]), torch.eye(1))}
PLANE = {
    "a": (torch.tensor([2.0, -1.0]), torch.tensor([[1.0, 0.2], [0.2, 0.8]])),
    "b": (torch.tensor([-1.0, 2.0]), torch.tensor([[0.8, -0.1], [-0.1, 1.0]])),
}


class Walked(GaussianProcess):
    """Gaussians that diffusers' own scheduler walks."""

    def __init__(self, components, sampler, steps):
        super().__init__(components, sampler=MAPS.get(sampler, sampler), steps=steps)
        self._walker = Sampler(sampler, steps, CONFIG)
        self.schedule = self._walker.schedule
        self._sigmas = torch.tensor(self.schedule.sigmas, dtype=torch.float64)
        widths = (self._sigmas[:-1] ** 2 + 1).sqrt()  # 1/α
        self._grown = torch.tensor(self._walker.input_scale, dtype=torch.float64) * widths
        self.start = self.schedule.initial_scale * float(self._grown[0])

    def predict(self, x, step, conditioning):
        return super().predict(x * self._grown[step][:, None], step, conditioning)

    def solver(self):
        return self._walker.solver()


@pytest.mark.parametrize("steps", [3, 5])
@pytest.mark.parametrize("sampler", ["ddpm", "euler-ancestral"])
def test_chain_is_the_divergence_of_what_diffusers_walks(sampler, steps):
    process = Walked(PLANE, sampler, steps)
    a, b = (joint(process, text, steps) for text in "ab")
    exact = gaussian_kl(*a, *b) + gaussian_kl(*b, *a)
    [terms] = pair_terms(process, [("a", "b")], range(600))
    found = estimate(chain(terms))
    assert abs(found.value - exact) < 4 * found.standard_error
    assert found.standard_error < 0.1 * exact


@pytest.mark.parametrize(
    ("components", "sampler", "at_10", "at_50", "at_200"),
    [
        (LINE, "ddim", -0.47, -0.12, -0.03),
        (LINE, "ddpm", -0.52, -0.15, -0.04),
        (PLANE, "euler", -0.31, -0.08, -0.025),
        (PLANE, "euler-ancestral", -0.31, -0.07, -0.02),
        (MEANS, "ddpm", -0.30, -0.07, -0.02),
        (MEANS, "ddim", -0.30, -0.07, -0.02),
    ],
)
def test_what_girsanov_is_worth_at_few_steps(components, sampler, at_10, at_50, at_200):
    """Its share off the limit, which the docstring of ``girsanov`` quotes."""
    found = []
    for steps in (10, 50, 200):
        process = Walked(components, sampler, steps)
        terms = (expected_terms(process, *pair) for pair in ("ab", "ba"))
        end = process.schedule.sigmas[-1]
        limit = process.girsanov("a", "b")
        limit -= sum(process.kl(*pair) - process.kl(*pair, end) for pair in ("ab", "ba"))
        found.append(float(girsanov(Terms(*terms, process.schedule))) / limit - 1)
    assert found == pytest.approx([at_10, at_50, at_200], abs=0.006)

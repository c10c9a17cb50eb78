"""What is compared: ε, or c · prediction + d · x where a process says so."""

import pytest
import torch

import conjure
from conjure.core.currency import CURRENCIES
from conjure.core.divergence import measure, pair_terms
from conjure.core.errors import InputError
from conjure.core.gaussian import GaussianProcess
from conjure.core.reference import reference_terms
from conjure.core.registry import per_sample
from conjure.core.sampling import guide
from conjure.core.spec import Spec, process_key
from conjure.core.types import Terms

STEPS = 4
SCALE, SHIFT = (0.0, 0.5, 1.0, 3.0), (1.0, -2.0, 0.0, 0.25)


def gaussians(guidance=1.0, sampler="euler", **attributes):
    draw = torch.Generator().manual_seed(0)
    named = {
        text: (torch.randn(3, generator=draw), (0.3 + n / 5) * torch.eye(3))
        for n, text in enumerate(["", "a", "b"])
    }
    process = GaussianProcess(named, guidance=guidance, steps=STEPS, sampler=sampler, sigma_max=3.0)
    vars(process).update(attributes)
    return process


class Sums:
    """The sums of the squares that an observer is shown, by direction, seed and step."""

    def __init__(self):
        self.found = torch.zeros(2, 2, STEPS, dtype=torch.float64)

    def on_step(self, prompts, seeds, step):
        pass

    def on_comparison(self, seen):
        self.found[:, seen.seed, seen.step] += seen.squares.flatten(2).sum(dim=2).T


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_each_step_is_multiplied_by_the_square_of_its_factor(guidance):
    plain, scaled = gaussians(guidance), gaussians(guidance, comparison_scale=SCALE)
    [of_epsilon] = pair_terms(plain, [("a", "b")], [0, 1])
    sums = Sums()
    [(_, found)] = measure(scaled, [("a", "b")], [0, 1], observer=sums)
    factor = torch.tensor(SCALE, dtype=torch.float64).square()
    torch.testing.assert_close(found.forward, of_epsilon.forward * factor)
    torch.testing.assert_close(found.backward, of_epsilon.backward * factor)
    assert (found.forward[:, 0] == 0).all()  # exactly
    torch.testing.assert_close(sums.found, torch.stack([found.forward, found.backward]))
    reference = reference_terms(scaled, "a", "b", samples=2)
    torch.testing.assert_close(torch.stack([found.forward, found.backward], dim=1), reference)


def test_the_score_of_two_gaussians_is_the_closed_form():
    """At x, ∇log N(x; μ, C + σ²I) = −(C + σ²I)⁻¹(x − μ), by an inverse and not by eigenvectors."""
    plain = gaussians()
    sigmas = plain.schedule.sigmas[:-1]
    process = gaussians(compare="score", comparison_scale=tuple(1 / s for s in sigmas))
    points = []

    class Seen(Sums):
        def on_comparison(self, seen):
            points.append((seen.step, seen.x))
            super().on_comparison(seen)

    sums = Seen()
    list(measure(process, [("a", "b")], [0, 1], observer=sums))
    expected = torch.zeros(2, 2, STEPS, dtype=torch.float64)
    count = torch.zeros(STEPS, dtype=torch.long)
    for steps, x in points:
        for j, both in zip(steps.tolist(), x, strict=True):
            scores = []
            for text in ("a", "b"):
                mean, covariance = process.components[text]
                blurred = covariance + sigmas[j] ** 2 * torch.eye(3, dtype=torch.float64)
                scores.append(-(both - mean) @ torch.linalg.inv(blurred))
            expected[:, count[j], j] = (scores[0] - scores[1]).square().sum(dim=1)
            count[j] += 1
    torch.testing.assert_close(sums.found.sum(dim=1), expected.sum(dim=1))


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_each_prompt_on_its_own_trajectory_counts_the_factor_of_x_too(guidance):
    process = gaussians(guidance, comparison_scale=SCALE, comparison_shift=SHIFT)
    seen = []

    class Seen(Sums):
        def on_comparison(self, comparison):
            seen.append(comparison)

    spec = Spec(record={"coupled", "output"})
    [(_, terms)] = measure(process, [("a", "b")], [7], spec, observer=Seen())
    for c in seen:
        for n, j in enumerate(c.step.tolist()):
            null = None if c.eps_uncond is None else c.eps_uncond[n]
            own, cross = (
                SCALE[j] * guide(eps[n], null, guidance) + SHIFT[j] * c.x[n]
                for eps in (c.eps_own, c.eps_cross)
            )
            expected = (own[0] - own[1]).square().sum() + (cross[0] - cross[1]).square().sum()
            torch.testing.assert_close(terms.coupled[0, j], expected)
    [plain] = pair_terms(gaussians(guidance), [("a", "b")], [7], spec)
    torch.testing.assert_close(terms.output, plain.output)  # of pictures, in any currency


@pytest.mark.parametrize("estimand", ["girsanov", "chain"])
def test_nats_are_read_from_epsilon_alone(estimand):
    process = gaussians(compare="velocity", sampler="euler-ancestral")
    with pytest.raises(InputError, match="compares 'velocity': set compare to 'epsilon'") as caught:
        conjure.distance("a", "b", process=process, estimand=estimand)
    assert "\n" not in str(caught.value)
    terms = conjure.distance("a", "b", process=process).terms
    with pytest.raises(InputError, match="compares 'velocity'"):
        per_sample(terms, estimand)
    with pytest.raises(InputError, match="compares 'velocity'"):
        per_sample(Terms.join([terms, terms]).swapped(), estimand)
    plain = gaussians(compare="epsilon", sampler="euler-ancestral")
    assert conjure.distance("a", "b", process=plain, estimand=estimand).value > 0


def test_the_currency_is_in_the_key_where_it_is_not_the_default():
    assert process_key(gaussians()) == process_key(gaussians(compare="epsilon"))
    assert "compare" not in process_key(gaussians(comparison_scale=SCALE))
    others = [process_key(gaussians(compare=name)) for name in CURRENCIES[1:]]
    assert [key["compare"] for key in others] == ["score", "velocity", "output"]
    line = str(conjure.distance("a", "b", process=gaussians(compare="score")).signature)
    assert "|compare:score|" in line


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        (
            {"compare": "flow"},
            "compare must be one of epsilon, score, velocity, output, not 'flow'",
        ),
        ({"compare": None}, "compare must be one of"),
        ({"comparison_scale": (1.0,) * 3}, "comparison_scale must be 4 finite numbers of at least"),
        ({"comparison_scale": (1.0, 1.0, 1.0, -1.0)}, "comparison_scale must be 4"),
        ({"comparison_scale": (1.0, 1.0, 1.0, float("nan"))}, "comparison_scale must be 4"),
        ({"comparison_scale": (1.0, 1.0, 1.0, float("inf"))}, "comparison_scale must be 4"),
        ({"comparison_scale": "1111"}, "comparison_scale must be 4"),
        ({"comparison_scale": 1.0}, "comparison_scale must be 4"),
        ({"comparison_shift": (1.0, "x", 1.0, 1.0)}, "comparison_shift must be 4 finite numbers,"),
    ],
)
def test_factors_that_are_none_are_refused(attributes, says):
    with pytest.raises(InputError) as caught:
        conjure.distance("a", "b", process=gaussians(**attributes))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)

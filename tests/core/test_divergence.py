"""Terms against a naive loop in NumPy, against closed forms, and the rows that they cost."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from conjure.core.divergence import pair_terms
from conjure.core.errors import NonFiniteError
from conjure.core.gaussian import GaussianProcess
from conjure.core.spec import Spec

EVERYTHING = Spec(record={"output", "coupled"})
SAMPLERS = ["euler", "euler-maruyama"]


def gaussians(texts, dimensions=3, seed=0):
    random = np.random.default_rng(seed)
    found = {}
    for text in texts:
        root = random.normal(size=(dimensions, dimensions))
        covariance = root @ root.T / dimensions + 0.2 * np.eye(dimensions)
        found[text] = torch.tensor(random.normal(size=dimensions)), torch.tensor(covariance)
    return found


class Counting:
    """Any process, with the rows asked of its network counted by step; nothing is inherited."""

    def __init__(self, process):
        self.process, self.rows = process, Counter()

    def __getattr__(self, name):
        return getattr(self.process, name)

    def predict(self, x, step, conditioning):
        self.rows.update(step.tolist())
        return self.process.predict(x, step, conditioning)


def naive(process, components, a, b, seed):
    """Algorithm 1 as it is written, one pair and one sample: both guided predictions, always."""
    sigmas, w = process.schedule.sigmas, process.guidance

    def guided(x, sigma, text):
        def epsilon(y):
            mean, covariance = (t.numpy().astype(float) for t in components[y])
            blurred = covariance + sigma**2 * np.eye(len(mean))
            return sigma * np.linalg.solve(blurred, x - mean)

        return epsilon("") + w * (epsilon(text) - epsilon(""))

    def trajectory(text):
        generator = torch.Generator().manual_seed(seed)
        dimensions = len(components[text][0])
        x = sigmas[0] * torch.randn(dimensions, generator=generator).numpy().astype(float)
        points = [x]
        for now, then in itertools.pairwise(sigmas):
            eps = guided(x, now, text)
            if process.sampler == "euler":
                x = x + (then - now) * eps
            else:
                noise = torch.randn(dimensions, generator=generator).numpy().astype(float)
                variance = now**2 - then**2
                x = x - variance * eps / now + np.sqrt(variance) * noise
            points.append(x)
        return points

    on_a, on_b = trajectory(a), trajectory(b)
    found = {"forward": [], "backward": [], "coupled": []}
    for x, y, sigma in zip(on_a, on_b, sigmas[:-1], strict=False):
        xa, xb, ya, yb = (guided(p, sigma, t) for p, t in itertools.product((x, y), (a, b)))
        found["forward"].append(((xa - xb) ** 2).sum())
        found["backward"].append(((ya - yb) ** 2).sum())
        found["coupled"].append(((xa - yb) ** 2).sum() + ((ya - xb) ** 2).sum())
    return {**found, "output": ((on_a[-1] - on_b[-1]) ** 2).sum()}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("guidance", [0.5, 1.0, 7.5])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_agrees_with_the_naive_loop(sampler, guidance, steps):
    components = gaussians(["", "a", "b", "c", "d"])
    process = GaussianProcess(
        components, sampler=sampler, guidance=guidance, steps=steps, batch_size=7
    )
    pairs = [("a", "b"), ("c", "b"), ("d", "a")]
    seeds = [3, 4]
    for pair, terms in zip(pairs, pair_terms(process, pairs, seeds, EVERYTHING), strict=True):
        for i, seed in enumerate(seeds):
            for name, value in naive(process, components, *pair, seed).items():
                np.testing.assert_allclose(getattr(terms, name)[i], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("guidance", [1.0, 7.5])
@pytest.mark.parametrize(
    ("dtype", "rtol"), [(torch.float64, 1e-10), (torch.float32, 1e-4)], ids=["float64", "float32"]
)
def test_equal_covariances_have_closed_form_terms_at_every_step(sampler, guidance, dtype, rtol):
    """Then ε_a − ε_b = σ (C + σ² I)⁻¹ (μ_b − μ_a) everywhere: w² its square, whatever x is."""
    components = gaussians(["", "a", "b"])
    covariance = components["a"][1]
    components["b"] = components["b"][0], covariance
    process = GaussianProcess(
        components, sampler=sampler, guidance=guidance, steps=8, sigma_max=20.0, dtype=dtype
    )
    [terms] = pair_terms(process, [("a", "b")], range(5))
    gap = (components["b"][0] - components["a"][0]).numpy()
    for j, sigma in enumerate(process.schedule.sigmas[:-1]):
        blurred = covariance.numpy() + sigma**2 * np.eye(3)
        expected = ((guidance * sigma * np.linalg.solve(blurred, gap)) ** 2).sum()
        np.testing.assert_allclose(terms.forward[:, j], expected, rtol=rtol)
        np.testing.assert_allclose(terms.backward[:, j], expected, rtol=rtol)
    assert terms.forward.dtype == terms.backward.dtype == torch.float64


TEXTS = ["", "a", "b", "c", "d"]
RING = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]
STAR = [("a", "b"), ("a", "c"), ("a", "d")]
APART = [("a", "b"), ("c", "d")]


@pytest.mark.parametrize("pairs", [RING, STAR, APART, APART[:1]], ids=["ring", "star", "two", "1"])
@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("samples", [1, 3])
def test_network_rows_are_exactly_those_of_the_formula(pairs, steps, samples):
    def rows(guidance, record=Spec()):  # noqa: B008
        process = GaussianProcess(gaussians(TEXTS), steps=steps, guidance=guidance, batch_size=5)
        counting = Counting(process)
        pair_terms(counting, pairs, range(samples), record)
        assert all(count % samples == 0 for count in counting.rows.values())
        return [counting.rows[j] // samples for j in range(steps)]

    s, p, t = len({text for pair in pairs for text in pair}), len(pairs), steps
    first, middle, last = s + 1, 2 * s + 2 * p, s + 2 * p
    if t == 1:
        assert rows(7.5) == rows(1.0) == [s]
        assert rows(7.5, Spec(record={"output"})) == [s + 1]
        return
    assert rows(7.5) == [first] + [middle] * (t - 2) + [last]
    assert sum(rows(7.5)) == 1 + s * (2 * t - 2) + 2 * p * (t - 1)
    assert sum(rows(1.0)) == s * t + 2 * p * (t - 1)
    for record in [Spec(record={"output"}), Spec(record={"coupled"}), EVERYTHING]:
        assert sum(rows(7.5, record)) == sum(rows(7.5)) + s
        assert sum(rows(1.0, record)) == sum(rows(1.0))


def test_several_batches_may_be_asked_before_their_answers_are_looked_at(monkeypatch):
    """As a GPU is: the same rows and answers, from batches that are as full."""

    class Watched(Counting):
        sizes: list[int]

        def predict(self, x, step, conditioning):
            self.sizes.append(len(x))
            return super().predict(x, step, conditioning)

    def measured():
        process = Watched(GaussianProcess(gaussians(TEXTS), guidance=7.5, steps=6, batch_size=5))
        process.sizes = []
        return pair_terms(process, RING, range(3), EVERYTHING), process

    expected, one = measured()
    monkeypatch.setattr("conjure.core.divergence._batches_ahead", lambda device: 4)
    found, ahead = measured()
    for terms, known in zip(found, expected, strict=True):
        torch.testing.assert_close(terms.forward, known.forward, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(terms.coupled, known.coupled, rtol=1e-12, atol=1e-12)
    assert ahead.rows == one.rows
    assert max(ahead.sizes) == 5
    assert len(ahead.sizes) < len(one.sizes)  # an odd size is full where whole batches are asked


def test_a_pair_that_comes_again_costs_nothing_and_is_turned_round():
    process = Counting(GaussianProcess(gaussians(TEXTS), guidance=2.0))
    once = pair_terms(process, [("a", "b")], [0], EVERYTHING)[0]
    rows, process.rows = process.rows, Counter()
    again, turned, same = pair_terms(process, [("a", "b"), ("b", "a"), ("a", "b")], [0], EVERYTHING)
    assert process.rows == rows
    for terms in again, same:
        assert torch.equal(terms.forward, once.forward)
        assert torch.equal(terms.backward, once.backward)
    assert torch.equal(turned.forward, once.backward)
    assert torch.equal(turned.backward, once.forward)
    assert not torch.equal(once.forward, once.backward)
    assert torch.equal(turned.output, once.output)
    assert torch.equal(turned.coupled, once.coupled)


def test_a_text_against_itself_is_zero_and_asks_nothing():
    process = Counting(GaussianProcess(gaussians(TEXTS), guidance=2.0, steps=4))
    plain, full = (
        pair_terms(process, [("c", "c")], [0, 1], record)[0] for record in (Spec(), EVERYTHING)
    )
    assert not process.rows
    assert plain.output is None
    assert plain.coupled is None
    for values in (full.forward, full.backward, full.coupled):
        assert values.shape == (2, 4)
        assert values.dtype == torch.float64
        assert not values.any()
    assert full.output.shape == (2,)
    assert not full.output.any()
    mixed = pair_terms(process, [("a", "b"), ("c", "c")], [0])
    alone = Counting(process.process)
    pair_terms(alone, [("a", "b")], [0])
    assert process.rows == alone.rows
    assert mixed[0].forward.any()
    assert not mixed[1].forward.any()


def test_no_pairs_no_terms():
    process = Counting(GaussianProcess(gaussians(TEXTS)))
    assert pair_terms(process, [], [0]) == []
    assert not process.rows


def test_optional_records_are_absent_unless_asked_for():
    process = GaussianProcess(gaussians(TEXTS), guidance=2.0)
    for output, coupled in itertools.product([False, True], repeat=2):
        [terms] = pair_terms(
            process,
            [("a", "b")],
            [0],
            Spec(
                record={
                    name for name, wanted in [("output", output), ("coupled", coupled)] if wanted
                }
            ),
        )
        assert (terms.output is not None) == output
        assert (terms.coupled is not None) == coupled


def test_nothing_asks_for_gradients():
    class Learning(GaussianProcess):
        def predict(self, x, step, conditioning):
            weight = torch.ones((), dtype=x.dtype, requires_grad=True)
            return weight * super().predict(x, step, conditioning)

    [terms] = pair_terms(Learning(gaussians(TEXTS)), [("a", "b")], [0])
    assert not terms.forward.requires_grad


def test_nan_on_another_trajectory_is_named():
    class Spoilt(GaussianProcess):
        """Breaks for "b" at the third step, on the first trajectory that is not its own."""

        asked = 0

        def predict(self, x, step, conditioning):
            prediction = super().predict(x, step, conditioning)
            for_b = (conditioning.tensors["mean"] == self.components["b"][0]).all(dim=1)
            for row in (for_b & (step == 2)).nonzero()[:, 0].tolist():
                self.asked += 1
                if self.asked == 2:
                    prediction[row] = float("nan")
            return prediction

    process = Spoilt(gaussians(TEXTS), guidance=2.0, steps=4)
    with pytest.raises(NonFiniteError, match=r'for "b" on the trajectory of "a", .* step 3'):
        pair_terms(process, [("b", "a")], [0])

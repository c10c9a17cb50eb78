"""Maps sum to the distance, and each of their entries is that of a naive loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plane_process import Planes

import conjure
from conjure.core.estimands import chain_weights, girsanov_weights
from conjure.core.registry import Estimand, find_estimand
from conjure.explanation.measuring import Parts, explain, prepare
from conjure.explanation.weights import step_weights


def naive_squares(process, text1: str, text2: str, seed: int):
    """(2, steps, 2, 2, 3): Algorithm 1 for one noise with plain calls, not yet summed."""
    uncond, conds = process.unconditional(), [process.embed([text]) for text in (text1, text2)]
    w, found = process.guidance, []
    for half in (0, 1):
        generator = torch.Generator("cpu").manual_seed(seed)
        x = torch.randn(process.latent_shape, generator=generator)[None].double()
        x, solver, squares = x * process.schedule.initial_scale, process.solver(), []
        for j in range(len(process.schedule)):
            here = torch.tensor([j])
            both = [process.predict(x, here, cond) for cond in conds]
            if uncond is not None:
                empty = process.predict(x, here, uncond)
                both = [empty + w * (eps - empty) for eps in both]
            squares.append((both[0] - both[1]).square()[0])
            x = solver.step(x, both[half], j, [generator])
        found.append(torch.stack(squares))
    return torch.stack(found)


ONES = torch.ones(4, dtype=torch.float64)


def weights_by_hand(estimand: str, process) -> torch.Tensor:
    """(2, steps): each estimand as its formula says."""
    both = torch.ones(2, 1, dtype=torch.float64)
    step = torch.arange(4)
    return {
        "jeffreys": both * ONES / 4,
        "kl": torch.stack([ONES / 4, 0 * ONES]),
        "girsanov": both * girsanov_weights(process.schedule),
        "chain": both * chain_weights(process.schedule) if process.schedule.stochastic else None,
        "initial": both * (step == 0),
        "final": both * (step == 3),
        "pointwise:2": both * (step == 1),
        "cumulative:3": both * (step < 3) / 3,
    }[estimand]


@pytest.mark.parametrize("sampler", ["euler", "euler-maruyama", "euler-ancestral"])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("estimand", ["jeffreys", "kl", "girsanov", "chain", "cumulative:3"])
def test_maps_are_those_of_a_naive_loop(sampler, guidance, estimand) -> None:
    process = Planes(sampler=sampler, guidance=guidance)
    if estimand == "chain" and sampler == "euler":
        with pytest.raises(conjure.InputError, match="chain"):
            explain("b", "a", process=process, estimand=estimand)
        return
    found = explain("b", "a", process=process, samples=3, seed=5, estimand=estimand)
    assert found.maps.shape == (3, 2, 4, 2, 3)
    assert found.maps.dtype == np.float64
    weights = weights_by_hand(estimand, process)[:, :, None, None] * 4
    for i, seed in enumerate((5, 6, 7)):
        expected = naive_squares(process, "b", "a", seed).sum(dim=2) * weights
        np.testing.assert_allclose(found.maps[i], expected, rtol=1e-9)
    assert found.maps.sum(axis=(1, 3, 4)).mean() == pytest.approx(found.distance.value, rel=1e-12)


@pytest.mark.parametrize(
    "estimand",
    ["jeffreys", "kl", "girsanov", "chain", "initial", "final", "pointwise:2", "cumulative:3"],
)
@pytest.mark.parametrize("texts", [("a", "b"), ("b", "a")])
def test_every_share_is_a_share_of_the_distance(estimand, texts) -> None:
    process = Planes(sampler="euler-maruyama", guidance=3.0)
    found = explain(*texts, process=process, samples=2, estimand=estimand)
    asked = conjure.distance(*texts, process=process, samples=2, estimand=estimand)
    assert found.distance == asked
    assert found.maps.sum(axis=(1, 3, 4)).mean() == pytest.approx(asked.value, rel=1e-12)
    assert found.values.mean() == pytest.approx(asked.value, rel=1e-12)
    np.testing.assert_allclose(found.values, asked.spec.entry(asked.terms), rtol=1e-12)
    for shares in (found.shares, found.where, found.directions):
        assert shares.sum() == pytest.approx(1)
        assert shares.min() >= 0
    np.testing.assert_allclose(found.shares.sum(axis=1), found.directions)
    weights = step_weights(find_estimand(estimand), process.schedule)
    torch.testing.assert_close(weights, weights_by_hand(estimand, process).double())


def test_every_estimand_is_summed_or_refused() -> None:
    """Whatever is registered: either its parts add up to it, or one line says that it has none."""
    from conjure.core.registry import estimands

    process = Planes(sampler="euler-maruyama")
    for name, entry in estimands().items():
        full = f"{name}:2" if entry.at_step else name
        if entry.needs:
            with pytest.raises(conjure.InputError, match=f"estimand '{name}' is not a sum"):
                explain("a", "b", process=process, estimand=full)
        else:
            found = explain("a", "b", process=process, estimand=full)
            whole = found.maps.sum(axis=(1, 3, 4)).mean()
            assert whole == pytest.approx(found.distance.value, rel=1e-12)


@pytest.mark.parametrize(
    "reduce",
    [
        lambda terms: terms.forward.sum(dim=1).sqrt(),
        lambda terms: terms.forward.amax(dim=1),
        lambda terms: (terms.forward * terms.backward).sum(dim=1),
        lambda terms: terms.forward.sum(dim=1) + 1,
    ],
)
def test_an_estimand_that_is_no_sum_is_refused(reduce) -> None:
    process = Planes()
    with pytest.raises(conjure.InputError, match="is not a sum over steps"):
        step_weights(Estimand("own", "", reduce, additive=True), process.schedule)


def test_another_currency_scales_each_step() -> None:
    """What a process compares is part of the map: c_j² of each step, as in the distance."""
    process = Planes(guidance=2.0)
    process.compare, process.comparison_scale = "score", (0.5, 1.0, 2.0, 0.0)
    found = explain("a", "b", process=process)
    scale = torch.tensor(process.comparison_scale, dtype=torch.float64).square()
    expected = naive_squares(process, "a", "b", 0).sum(dim=2) * scale[None, :, None, None]
    np.testing.assert_allclose(found.maps[0], expected, rtol=1e-9)
    assert found.maps.sum(axis=(1, 3, 4)).mean() == pytest.approx(found.distance.value, rel=1e-12)


def test_maps_lie_as_pictures_do() -> None:
    """A spectrogram's picture is turned: latents are (time, frequency), low ones first."""

    class Turned(Planes):
        def picture_order(self, maps):
            return maps.transpose(-2, -1).flip(-2)

        def decode(self, latents):
            raise AssertionError("no picture was asked for")

    plain, turned = (explain("b", "a", process=kind(), samples=2) for kind in (Planes, Turned))
    assert turned.maps.shape == (2, 2, 4, 3, 2)
    expected = plain.maps.swapaxes(-2, -1)[..., ::-1, :]
    np.testing.assert_allclose(turned.maps, expected, rtol=1e-12)


def test_maps_cost_no_row() -> None:
    plain, watched = Planes(guidance=2.0), Planes(guidance=2.0)
    conjure.distance("a", "b", process=plain, samples=2)
    prepared = prepare(("a", "b"), watched, conjure.Spec(2), Parts(pictures=True))
    prepared.run()
    assert plain.rows == watched.rows == prepared.plan.rows


def test_texts_that_induce_one_process_have_empty_maps() -> None:
    """Distance 0: shares are 0, not NaN."""
    process = Planes()
    process.components["twin"] = process.components["a"]
    found = explain("a", "twin", process=process, samples=2)
    assert found.distance.value == 0
    assert not found.maps.any()
    assert not found.shares.any()
    assert not found.where.any()


@pytest.mark.parametrize("guidance", [1.0, 7.5])
@pytest.mark.parametrize("sampler", ["ddim", "lms", "ddpm"])
def test_maps_of_the_bundled_process(emoji, sampler, guidance) -> None:
    process = emoji.with_settings(sampler=sampler, guidance=guidance)
    found = explain("snow leopard", "bengal tiger", process=process, samples=2, pictures=False)
    assert found.maps.shape == (2, 2, 2, *process.latent_shape[1:])
    assert found.maps.sum(axis=(1, 3, 4)).mean() == pytest.approx(found.distance.value, rel=1e-12)
    assert found.maps.min() >= 0
    expected = conjure.distance("snow leopard", "bengal tiger", process=process, samples=2)
    profile = np.stack([expected.terms.forward, expected.terms.backward], axis=1)
    np.testing.assert_allclose(found.profile, profile, rtol=1e-4)


@pytest.mark.parametrize(
    ("texts", "settings", "parts", "words"),
    [
        (("a", "a"), {}, {}, "both texts are 'a': give two texts that differ"),
        (("a", " "), {}, {}, "a text is empty"),
        (("a", 3), {}, {}, "a text must be a str"),
        (("a", "b"), {"estimand": "output"}, {}, "not a sum over steps"),
        (("a", "b"), {"estimand": "coupled"}, {}, "not a sum over steps"),
        (("a", "b"), {"cross_steps": 1}, {}, "leave cross_steps and tolerance out"),
        (("a", "b"), {"samples": 2, "tolerance": 0.1}, {}, "leave cross_steps and tolerance out"),
        (("a", "b"), {}, {"sample": 2}, "sample must be from 1 to 1, the number of samples, not 2"),
        (("a", "b"), {}, {"words": True, "neutral": " "}, "the neutral word is empty"),
        (("a", "b"), {"samples": 2**31}, {}, r"need \d+,\S* bytes .* take at most \d+"),
    ],
)
def test_what_is_refused_costs_nothing(texts, settings, parts, words) -> None:
    process = Planes()
    with pytest.raises(conjure.InputError, match=words):
        prepare(texts, process, conjure.Spec(**settings), Parts(**parts))
    assert process.rows == 0


def test_seeds_that_come_in_chunks_and_walks_that_come_again() -> None:
    """Little memory: samples are taken some at a time, trajectories walked again."""
    from functools import partial

    from conjure.core.divergence import measure
    from conjure.explanation.observing import Collector
    from conjure.similarity import stream

    process, spec = Planes(), conjure.Spec(5)
    weights = step_weights(spec.entry, process.schedule)
    collected = Collector(("b", "a"), range(5), weights, process.latent_shape, None)
    pairs = [("b", "a"), ("b", "c"), ("a", "c")]
    watched = partial(measure, observer=collected)
    [first, *_] = sorted(stream(pairs, process, spec, max_memory=5000, measure=watched))
    assert float(collected.maps.sum(dim=(1, 2, 3, 4)).mean()) == pytest.approx(first[1].value)
    roomy = explain("b", "a", process=process, samples=5)
    np.testing.assert_allclose(collected.maps.numpy() * 4, roomy.maps, rtol=1e-9)

"""Pictures are what plain calls of the process give; without a decoder they say so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plane_process import Planes

import conjure
from conjure.core.errors import NonFiniteError
from conjure.explanation.measuring import Parts, explain, prepare
from conjure.explanation.pictures import _plain, shrunk
from conjure.explanation.record import Explanation

TEXTS = ("snow leopard", "bengal tiger")


@pytest.fixture(scope="module")
def found(emoji) -> Explanation:
    prepared = prepare(TEXTS, emoji, conjure.Spec(samples=2, seed=3), Parts(sample=2))
    return prepared.run()


def test_the_ends_are_those_of_conjure_pictures(emoji, found) -> None:
    expected = conjure.pictures(TEXTS, process=emoji, samples=2, seed=3)
    finals = expected.permute(1, 0, 3, 4, 2).numpy()
    assert found.pictures is not None
    assert found.pictures.decoded
    assert found.pictures.sample == 1
    np.testing.assert_allclose(found.pictures.finals, finals, atol=1e-4)
    np.testing.assert_allclose(found.pictures.trajectory[:, -1], finals[1], atol=1e-4)


@pytest.mark.parametrize("half", [0, 1])
def test_predictions_are_those_of_a_plain_loop(emoji, found, half) -> None:
    """x̂₀ = (x − σε)/α from single calls of the network, for seed 3 + 1."""
    generator = torch.Generator("cpu").manual_seed(4)
    x = torch.randn(emoji.latent_shape, generator=generator)[None]
    x, solver = x * emoji.schedule.initial_scale, emoji.solver()
    uncond = emoji.unconditional()
    for step in range(2):
        here, guided = torch.tensor([step]), []
        for text in TEXTS:
            eps, empty = (emoji.predict(x, here, c) for c in (emoji.embed([text]), uncond))
            guided.append(empty + emoji.guidance * (eps - empty))
        sigma = emoji.schedule.sigmas[step]
        alpha = (1 + sigma**2) ** -0.5
        for place, eps in enumerate(guided):
            picture = emoji.decode((x - alpha * sigma * eps) / alpha)[0].permute(1, 2, 0).numpy()
            shown = found.pictures.predicted[half, step, place]
            np.testing.assert_allclose(shown, picture, atol=2e-3)
        noisy = emoji.decode(x)[0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(found.pictures.trajectory[half, step], noisy, atol=2e-3)
        x = solver.step(x, guided[half], step, [generator])


def test_both_texts_in_another_order_swap_halves(emoji, found) -> None:
    """The estimator shows pairs in alphabetical order; what is shown follows the order given."""
    other = prepare(TEXTS[::-1], emoji, conjure.Spec(samples=2, seed=3), Parts(sample=2)).run()
    assert tuple(sorted(TEXTS)) != TEXTS
    np.testing.assert_allclose(other.maps, found.maps[:, ::-1], rtol=1e-4, atol=1e-6)
    swapped = found.pictures.predicted[::-1, :, ::-1]
    np.testing.assert_allclose(other.pictures.predicted, swapped, atol=2e-3)


class Pointing(Planes):
    """Says where its predictions point to, and has no decoder."""

    def denoised(self, x, step, prediction):
        return x - self.schedule.sigmas[step] * prediction


def test_without_a_decoder_latents_are_in_false_colour() -> None:
    process = Pointing(guidance=2.0)
    found = explain("a", "b", process=process, samples=2)
    assert found.pictures is not None
    assert not found.pictures.decoded
    assert found.pictures.predicted.shape == (2, 4, 2, 2, 3, 3)
    assert found.pictures.trajectory.shape == (2, 5, 2, 3, 3)
    assert 0 <= found.pictures.finals.min() < found.pictures.finals.max() <= 1
    # two channels are too few for colours
    assert (found.pictures.finals[..., 0] == found.pictures.finals[..., 2]).all()
    assert any("no decoder (VAE)" in note for note in found.notes)


def test_without_denoised_there_are_no_pictures() -> None:
    found = explain("a", "b", process=Planes())
    assert found.pictures is None
    assert any("there are no pictures" in note for note in found.notes)
    assert explain("a", "b", process=Pointing(), pictures=False).notes == ()


def test_pictures_cost_what_the_plan_says() -> None:
    process = Pointing(guidance=2.0)
    prepared = prepare(("a", "b"), process, conjure.Spec(3), Parts())
    prepared.run()
    assert process.rows == prepared.plan.rows


def test_a_decoder_that_gives_nan_is_refused() -> None:
    class Broken(Pointing):
        def decode(self, latents):
            return torch.full((len(latents), 3, 2, 2), torch.nan)

    with pytest.raises(NonFiniteError, match="the decoder gave NaN"):
        explain("a", "b", process=Broken())


def test_large_pictures_are_averaged() -> None:
    drawn = torch.arange(2 * 3 * 8 * 4).reshape(2, 3, 8, 4).float()
    small = shrunk(drawn, 4)
    assert small.shape == (2, 3, 4, 2)
    torch.testing.assert_close(small[0, 0, 0, 0], drawn[0, 0, :2, :2].mean())
    assert shrunk(drawn, 8) is drawn


def test_small_pictures_leave_room_for_more_samples(monkeypatch) -> None:
    """The largest size would not fit; what the decoder gives does, up to a number that is said."""
    from conjure.explanation import measuring

    class Small(Pointing):
        def decode(self, latents):
            return torch.zeros(len(latents), 3, 5, 4)

    process, a_sample = Small(), 8 * 2 * 4 * 6 + 2 * 3 * 4 * 20
    monkeypatch.setattr(measuring, "automatic_bound", lambda device: 10 * a_sample)
    measuring.check_memory(process, 10, drawn=True)
    with pytest.raises(conjure.InputError, match=rf"need {11 * a_sample:,} bytes .* at most 10$"):
        measuring.check_memory(process, 11, drawn=True)


def test_latents_that_grow_with_the_noise_are_scaled_for_the_decoder() -> None:
    """Variance exploding: x_T has σ = 80, and a decoder expects about 1."""
    schedule = Planes().schedule
    x = torch.ones(2, 4, 2, 2, 3, dtype=torch.float64)
    scaled = _plain(x, schedule)
    for step, sigma in enumerate(schedule.sigmas[:-1]):
        assert float(scaled[0, step, 0, 0, 0]) == pytest.approx((1 + sigma**2) ** -0.5)


def test_files_hold_all_of_it(emoji, found, tmp_path) -> None:
    with_words = explain(*TEXTS, process=emoji, samples=2, words=True, pictures=False)
    for n, one in enumerate((found, with_words)):
        path = tmp_path / f"{n}.npz"
        one.save(path)
        back = Explanation.load(path)
        assert back.distance == one.distance
        assert back.distance.signature == one.distance.signature
        assert back.distance.signature.provenance == one.distance.signature.provenance
        assert back.distance.terms.schedule == one.distance.terms.schedule
        assert torch.equal(back.distance.terms.forward, one.distance.terms.forward)
        assert (back.maps == one.maps).all()
        assert (back.command, back.notes) == (one.command, one.notes)
        if one.pictures is None:
            assert back.pictures is None
        else:
            assert (back.pictures.decoded, back.pictures.sample) == (True, 1)
            assert (back.pictures.predicted == one.pictures.predicted).all()
        if one.words is None:
            assert back.words is None
        else:
            assert back.words.words == one.words.words
            np.testing.assert_array_equal(back.words.between, one.words.between)
            np.testing.assert_array_equal(back.words.left_out[1], one.words.left_out[1])
            np.testing.assert_array_equal(back.words.replaced[0], one.words.replaced[0])


def test_a_stochastic_schedule_comes_back(tmp_path) -> None:
    one = explain("a", "b", process=Planes(sampler="euler-maruyama"), estimand="chain")
    one.save(tmp_path / "x.npz")
    back = Explanation.load(tmp_path / "x.npz")
    assert back.distance.terms.schedule == one.distance.terms.schedule
    assert back.distance.spec.entry(back.distance.terms) == one.values


@pytest.mark.parametrize("kind", ["missing", "text", "other", "old"])
def test_other_files_are_refused(tmp_path, kind) -> None:
    path = tmp_path / "x.npz"
    if kind == "text":
        path.write_text("no arrays")
    elif kind == "other":
        np.savez(path, maps=np.zeros(3))
    elif kind == "old":
        np.savez(path, facts=np.array('{"what": "conjure explanation", "format": 0}'))
    words = "no such file" if kind == "missing" else "is not an explanation of this version"
    with pytest.raises(conjure.InputError, match=words):
        Explanation.load(path)


def test_a_frame_has_a_row_a_sample_direction_and_step(found) -> None:
    frame = found.to_pandas()
    assert len(frame) == 2 * 2 * 2
    assert frame["share"].sum() == pytest.approx(1)
    row = frame[(frame["sample"] == 2) & (frame["direction"] == "backward") & (frame["step"] == 1)]
    assert row["value"].item() == found.profile[1, 1, 0]
    assert row["trajectory"].item() == "bengal tiger"

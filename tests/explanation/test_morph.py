"""A morph goes from one text's picture to the other's, and films hold all of its frames."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pytest
import torch
from plane_process import Planes

import conjure
from conjure.core.errors import NonFiniteError
from conjure.core.types import Conditioning
from conjure.explanation.morph import Morph, between, morph, morph_plan
from conjure.report.animation import check_film, film_frames, write_film

TEXTS = ("snow leopard", "bengal tiger")


@pytest.fixture(scope="module")
def made(emoji) -> Morph:
    return morph(*TEXTS, process=emoji, frames=4, seed=2)


class Decoding(Planes):
    def decode(self, latents):
        return latents.flatten(1)[:, :1, None, None].expand(-1, 3, 2, 2).sigmoid()


def test_the_ends_are_the_pictures_of_the_texts(emoji, made) -> None:
    ends = conjure.pictures(TEXTS, process=emoji, seed=2)[:, 0].permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(made.frames[[0, -1]], ends, atol=1e-4)
    assert made.shares.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    inner = made.frames[1:-1]
    for end in ends:
        assert np.abs(inner - end).max(axis=(1, 2, 3)).min() > 0.01


def test_a_frame_is_a_plain_walk_of_mixed_conditioning(emoji, made) -> None:
    first, second = (emoji.embed([text]).tensors for text in TEXTS)
    cond = Conditioning({name: first[name] * (2 / 3) + second[name] / 3 for name in first})
    x = torch.randn(emoji.latent_shape, generator=torch.Generator().manual_seed(2))[None]
    x, solver = x * emoji.schedule.initial_scale, emoji.solver()
    for step in range(2):
        here = torch.tensor([step])
        empty = emoji.predict(x, here, emoji.unconditional())
        eps = empty + emoji.guidance * (emoji.predict(x, here, cond) - empty)
        x = solver.step(x, eps, step, [torch.Generator()])
    picture = emoji.decode(x)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(made.frames[1], picture, atol=2e-3)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("frames", [2, 5, 7])
def test_rows_told_are_rows_paid(guidance, frames) -> None:
    """Five at a time, as the batch size says."""
    process = Decoding(guidance=guidance)
    told = morph_plan(process, frames).rows
    assert process.rows == 0
    morph("a", "b", process=process, frames=frames)
    assert process.rows == told


def test_masks_are_not_mixed() -> None:
    ends = Conditioning(
        {
            "states": torch.tensor([[0.0], [1.0]], dtype=torch.bfloat16),
            "mask": torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0]]),
            "seen": torch.tensor([[True, False], [False, False]]),
        }
    )
    mixed = between(ends, torch.tensor([0, 0.5, 1.0])).tensors
    assert mixed["states"].dtype == torch.bfloat16
    assert mixed["states"].flatten().tolist() == [0, 0.5, 1]
    assert mixed["mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 0]]
    assert mixed["seen"].tolist() == [[True, False], [True, False], [False, False]]


def test_what_is_refused() -> None:
    for arguments, words in (
        (("a", ""), "a text is empty"),
        (("a", "b", 1), "frames must be a whole number, at least 2"),
        (("a", "b", 1001), "frames must be at most 1,000"),
    ):
        texts, frames = arguments[:2], (arguments[2:] or (2,))[0]
        with pytest.raises(conjure.InputError, match=words):
            morph(*texts, process=Decoding(), frames=frames)
    with pytest.raises(conjure.InputError, match="has no pictures: it lacks decode"):
        morph("a", "b", process=Planes())

    class Broken(Decoding):
        def decode(self, latents):
            return torch.full((len(latents), 3, 2, 2), torch.nan)

    with pytest.raises(NonFiniteError, match="the decoder gave NaN"):
        morph("a", "b", process=Broken())


def test_a_gif_goes_there_and_back(made, tmp_path) -> None:
    from PIL import Image

    write_film(made, tmp_path / "x.gif")
    frames = film_frames(made)
    with Image.open(tmp_path / "x.gif") as film:
        assert film.n_frames == 6  # 0 1 2 3 2 1
        assert film.info["loop"] == 0
        shown = []
        for n in range(film.n_frames):
            film.seek(n)
            shown.append(np.asarray(film.convert("RGB"), dtype=float))
            assert film.info["duration"] == (600 if n in (0, 3) else 1000)
    for n, frame in zip((0, 1, 2, 3, 2, 1), shown, strict=True):
        closest = min(range(4), key=lambda k: np.abs(frames[k] - frame).mean())
        assert closest == n


def test_an_mp4_is_as_long_as_it_says(made, tmp_path) -> None:
    import imageio_ffmpeg

    write_film(made, tmp_path / "x.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "x.mp4"))
    assert seconds == pytest.approx(2 * 0.6 + 4 * 1.0, abs=0.3)
    assert count == pytest.approx(24 * seconds, abs=3)


def test_without_ffmpeg_an_mp4_is_refused_in_one_line(tmp_path, monkeypatch) -> None:
    imported = builtins.__import__

    def without(name, *given):
        if name.startswith("imageio_ffmpeg"):
            raise ImportError(name)
        return imported(name, *given)

    monkeypatch.delitem(sys.modules, "imageio_ffmpeg", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(conjure.InputError, match="pip install 'conjure.video.', or write a .gif"):
        check_film(tmp_path / "x.mp4")
    check_film(tmp_path / "x.gif")


def test_captions_stay_in_the_frame() -> None:
    frames = np.zeros((2, 4, 4, 3), dtype=np.float32)
    texts = ("W" * 300, "$x_0$ 犬\n\x1b[2J")
    long = Morph(texts, frames, np.array([0.0, 1.0]), signature=None)  # type: ignore[arg-type]
    first, second = film_frames(long)
    assert first.shape == second.shape
    for frame in (first, second):
        assert (frame[:, :4] == 255).all()
        assert (frame[:, -4:] == 255).all()

"""The ideal denoiser: against the definition, limits of σ, Algorithm 1, and its own collection."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import conjure
from conjure.core.errors import InputError
from conjure.core.reference import reference_distance
from conjure.core.spec import Spec, process_key
from conjure.core.types import Conditioning
from conjure.processes.collection import Collection, standardised
from conjure.processes.ideal import Board, IdealProcess


class Reader:
    """Reads every text."""

    def unreadable(self, texts):
        return {}

    def remarks(self, texts):
        return []


class Letters:
    """A text encoder of three directions: texts of "a", "b", "c" and mixtures such as "ab"."""

    revision = "sha256-letters"
    reader = Reader()

    def __call__(self, texts):
        rows = torch.tensor([[float(text.count(letter)) for letter in "abc"] for text in texts])
        return torch.nn.functional.normalize(rows, dim=1)


def small(codes: torch.Tensor | None = None, **settings: object) -> IdealProcess:
    """Three pictures of 2 × 2 codes, called a, b and c."""
    if codes is None:
        codes = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    pictures = (torch.arange(len(codes) * 12) * 7 % 255).to(torch.uint8).reshape(-1, 3, 2, 2)
    made = Collection("letters", "sha256-x", "abc"[: len(codes)], codes.float(), pictures)
    board = settings.pop("board", Board(2, 0.5))
    return IdealProcess.with_choice(made, Letters(), board, device="cpu", **settings)


def prediction(process: IdealProcess, x: torch.Tensor, step: int, text: str) -> torch.Tensor:
    steps = torch.full((len(x),), step)
    return process.predict(x, steps, process.embed([text]).rows([0] * len(x)))


def test_the_prediction_is_the_definition():
    """Bayes' rule for each cell by itself, written as a loop, in float64."""
    process = small(dtype="float64", sampler="lms", steps=4)
    draw = torch.Generator().manual_seed(1)
    x = 3 * torch.randn(2, *process.latent_shape, generator=draw, dtype=torch.float64)
    for step in range(4):
        found = prediction(process, x, step, "aab")
        alpha, sigma = process._sampler.alpha_sigma[step]
        scaled = x * process._sampler.input_scale[step]
        cosine = torch.tensor([2 / math.sqrt(5), 1 / math.sqrt(5), 0.0], dtype=torch.float64)
        prior = torch.softmax(cosine / 0.5, dim=0)
        wanted = torch.zeros_like(x)
        codes = process.collection.codes.double()
        for n in range(2):
            for row in (slice(0, 2), slice(2, 4)):
                for column in (slice(0, 2), slice(2, 4)):
                    cell = scaled[n, :, row, column]
                    gaps = torch.stack([(cell - alpha * z).square().sum() for z in codes])
                    posterior = torch.softmax(prior.log() - gaps / (2 * sigma**2), dim=0)
                    mean = (posterior[:, None, None, None] * codes).sum(dim=0)
                    wanted[n, :, row, column] = (cell - alpha * mean) / sigma
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)  # cosines are float32


def test_limits_of_the_noise():
    process = small(dtype="float64")
    flat = process.collection.codes.double().flatten(1)
    cells = (flat[1] + 0.1).reshape(1, 1, -1)
    log_weights = torch.tensor([[0.2, 0.3, 0.5]], dtype=torch.float64).log()
    cond = Conditioning({"log_weights": log_weights})

    def mean(alpha: float, sigma: float) -> torch.Tensor:
        level = [torch.full((1, 1, 1), value, dtype=torch.float64) for value in (alpha, sigma)]
        return process.posterior_mean(cells * alpha, *level, cond)[0, 0]

    torch.testing.assert_close(mean(1.0, 1e-3), flat[1])  # no noise: the nearest picture
    torch.testing.assert_close(mean(1e-9, 1.0), log_weights.exp()[0] @ flat)  # noise alone: p(c)


def test_one_picture_is_predicted_whatever_the_text():
    process = small(torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(2)))
    assert conjure.distance("a", "b", process=process).value == 0
    [end] = conjure.pictures(["a"], process=process)
    shown = process.collection.pictures[0].float() / 255
    torch.testing.assert_close(end[0], shown.repeat(1, 2, 2))


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("sampler", ["ddim", "lms", "ddpm"])
def test_the_fast_way_is_algorithm_1(guidance, sampler):
    process = small(guidance=guidance, sampler=sampler, steps=4, dtype="float64")
    wanted = reference_distance(process, "ab", "c", samples=2)
    found = conjure.distance("ab", "c", process=process, samples=2)
    assert found.value == pytest.approx(float(wanted), rel=1e-9)
    assert found.value > 1


def test_cells_are_independent():
    """A board of n × n cells has n² times the distance of one cell, on average over noise."""
    one = small(board=Board(1, 0.5), dtype="float64")
    four = small(board=Board(2, 0.5), dtype="float64")
    single = conjure.distance("a", "c", process=one, samples=600)
    board = conjure.distance("a", "c", process=four, samples=150)
    error = math.hypot(4 * single.standard_error, board.standard_error)
    assert board.value == pytest.approx(4 * single.value, abs=4 * error)
    assert error < 0.1 * board.value


def test_girsanov_settles_as_steps_grow():
    """Its values at 50, 100 and 200 steps come closer to each other: the integral converges."""
    process = small(sampler="euler", board=Board(1, 0.5), dtype="float64")
    found = [
        conjure.distance(
            "a", "b", process=process.with_settings(steps=steps), samples=32, estimand="girsanov"
        ).value
        for steps in (50, 100, 200)
    ]
    assert abs(found[2] - found[1]) < 0.75 * abs(found[1] - found[0])
    assert found[2] == pytest.approx(found[1], rel=0.1)


def test_batches_do_not_matter():
    process, narrow = small(steps=3), small(steps=3, batch_size=1)
    pairs = [("a", "b"), ("ab", "c"), ("a", "c")]
    values = [[d.value for d in conjure.distances(pairs, process=p)] for p in (process, narrow)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_the_key_has_board_and_temperature():
    process = small()
    keys = [
        process_key(process.with_settings(**change))
        for change in (
            {}, {"board": 3}, {"temperature": 0.1}, {"steps": 5}, {"guidance": 2},
            {"standardised": True},
        )
    ]  # fmt: skip
    assert len({json.dumps(key, sort_keys=True, default=str) for key in keys}) == 6
    assert keys[0]["board"] == "2x2"
    assert process.latent_shape == (3, 4, 4)
    assert process.with_settings(board=3).latent_shape == (3, 6, 6)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"temperature": 0}, "temperature"),
        ({"board": 0}, "board"),
        ({"standardised": 1}, "standardised is true or false"),
        ({"size": 64}, "no setting 'size'"),
        ({"steps": 2000}, "more than the 1000"),
    ],
)
def test_settings_that_make_no_sense(settings, wanted):
    with pytest.raises(InputError, match=wanted):
        small().with_settings(**settings)


def test_standardised_cosines_forget_their_size():
    """Only where a cosine stands among a text's own matters: not their level, nor their spread."""
    cosine = torch.tensor([[0.1, 0.3, 0.9, 0.2]], dtype=torch.float64)
    board = Board(2, 0.5, standardised=True)
    weights = board.log_weights(cosine)
    torch.testing.assert_close(board.log_weights(0.1 * cosine + 0.4), weights)
    centred = (cosine - cosine.mean()) / cosine.std(correction=0)
    torch.testing.assert_close(weights.exp(), torch.softmax(centred / 0.5, dim=1))
    assert not torch.allclose(Board(2, 0.5).log_weights(cosine), weights)
    same = board.log_weights(torch.full((1, 4), 0.7, dtype=torch.float64))
    torch.testing.assert_close(same.exp(), torch.full((1, 4), 0.25, dtype=torch.float64))


def test_half_precision_is_refused():
    with pytest.raises(InputError, match="no network to run in float16"):
        small(dtype="float16")


def test_codes_are_standardised():
    pixels = torch.randint(0, 255, (5, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    codes = standardised(pixels.to(torch.uint8), "five")
    assert float(codes.mean()) == pytest.approx(0, abs=1e-6)
    assert float(codes.std(correction=0)) == pytest.approx(1, abs=1e-6)
    with pytest.raises(InputError, match="all one colour"):
        standardised(torch.full((2, 3, 1, 1), 9, dtype=torch.uint8), "grey")


def test_threads_do_not_share_a_batch_s_memory(emoji):
    """Two threads predict at once, over and over; each gets what it gets alone."""
    cond = emoji.embed(["a dog"] * 8)
    noise = torch.Generator().manual_seed(0)
    inputs = [torch.randn(8, *emoji.latent_shape, generator=noise) for _ in range(2)]
    step = torch.full((8,), 5)
    alone = [emoji.predict(x, step, cond) for x in inputs]

    def work(n: int) -> bool:
        return all(torch.equal(emoji.predict(inputs[n], step, cond), alone[n]) for _ in range(40))

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(work, range(2)))


# ------------------------------------------------------------------ the bundled collection


@pytest.fixture(scope="module")
def emoji():
    return conjure.load("emoji-ideal", device="cpu")


def test_emoji_ideal_knows_what_is_alike(emoji):
    pairs = [("a dog", "a puppy"), ("a dog", "a cat"), ("a dog", "a violin")]
    near, middle, far = (d.value for d in conjure.distances(pairs, process=emoji))
    assert near < middle < far
    assert Spec(1).check(emoji) is None


def test_emoji_ideal_draws_its_own_drawings(emoji):
    """At the end every cell is one drawing, and of "pizza" more are pizzas than of "a dog"."""
    pictures = conjure.pictures(["pizza", "a dog"], process=emoji)
    assert pictures.shape == (2, 1, 3, 288, 288)
    shown = emoji.collection.pictures.float() / 255
    place = emoji.collection.captions.index("pizza")
    counts = []
    for board in pictures[:, 0]:
        cells = board.reshape(3, 6, 48, 6, 48).permute(1, 3, 0, 2, 4).flatten(0, 1)
        gaps = torch.cdist(cells.flatten(1), shown.flatten(1))
        assert float(gaps.min(dim=1).values.max()) < 10  # of 6,912 values in 0 … 1
        counts.append(int((gaps.argmin(dim=1) == place).sum()))
    assert counts[0] > 3
    assert counts[1] == 0


def test_maps_of_emoji_ideal_add_up(emoji):
    found = conjure.explain("a dog", "pizza", process=emoji, samples=2)
    assert found.maps.shape == (2, 2, 10, 24, 24)
    total = found.maps.sum(axis=(1, 3, 4)).mean()
    assert total == pytest.approx(found.distance.value, rel=1e-9)


# ------------------------------------------------------------------ a folder of one's own


@pytest.fixture
def folder(tmp_path):
    """Six plain pictures, three of them red."""
    colours = {"red": (200, 20, 20), "scarlet": (220, 40, 30), "crimson": (180, 10, 40)}
    colours |= {"blue": (20, 30, 200), "navy": (10, 10, 120), "green": (20, 160, 40)}
    lines = ["file_name,text"]
    for name, colour in colours.items():
        Image.new("RGB", (20, 10), colour).save(tmp_path / f"{name}.png")
        lines.append(f"{name}.png,the colour {name}")
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_folder_is_a_process(folder):
    process = conjure.load(f"collection:{folder}", steps=5, device="cpu")
    pairs = [("red", "scarlet"), ("red", "blue")]
    near, far = (d.value for d in conjure.distances(pairs, process=process))
    assert near < far
    again = conjure.load(f"collection:{folder}", steps=5, device="cpu")
    assert process_key(again) == process_key(process)
    (folder / "metadata.csv").write_text(
        (folder / "metadata.csv").read_text().replace("the colour navy", "a dark night")
    )
    changed = conjure.load(f"collection:{folder}", steps=5, device="cpu")
    assert process_key(changed) != process_key(process)


def test_jsonl_and_a_card(folder):
    rows = [{"file_name": f"{name}.png", "text": name} for name in ("red", "blue", "green")]
    (folder / "metadata.csv").unlink()
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    card = {"name": "colours", "board": 2, "temperature": 0.3, "size": 2, "shown": 16}
    (folder / "conjure.json").write_text(json.dumps(card))
    process = conjure.load(f"collection:{folder}", device="cpu")
    assert (process.name, len(process.collection)) == ("colours", 3)
    assert process.latent_shape == (3, 4, 4)
    [[picture]] = conjure.pictures(["red"], process=process)
    assert picture.shape == (3, 32, 32)


BAD = {
    "no folder": (lambda f: None, "none", "there is no folder"),
    "no metadata": (lambda f: (f / "metadata.csv").unlink(), ".", "has neither of"),
    "two metadata": (lambda f: (f / "metadata.jsonl").write_text(""), ".", "has both of"),
    "no column": (lambda f: write(f, "file_name,caption\nred.png,x\n"), ".", "no column text"),
    "no caption": (lambda f: write(f, "file_name,text\nred.png,\n"), ".", "line 2: text"),
    "no file": (lambda f: write(f, "file_name,text\nno.png,x\n"), ".", "no such file"),
    "outside": (lambda f: write(f, "file_name,text\n../x.png,x\n"), ".", "lies outside"),
    "one": (lambda f: write(f, "file_name,text\nred.png,x\n"), ".", "two or more"),
    "torn": (lambda f: (f / "red.png").write_bytes(b"\x89PNG\r\n"), ".", "no picture that can"),
    "not UTF-8": (lambda f: (f / "metadata.csv").write_bytes(b"\xff\xfe\xff"), ".", "cannot be"),
    "card": (lambda f: (f / "conjure.json").write_text('{"size": 0}'), ".", "size must be"),
    "board": (lambda f: (f / "conjure.json").write_text('{"board": "x"}'), ".", "board must be"),
}


def write(folder, text):
    (folder / "metadata.csv").write_text(text)


@pytest.mark.parametrize("case", BAD)
def test_bad_collections(case, folder):
    spoil, name, wanted = BAD[case]
    spoil(folder)
    with pytest.raises(InputError, match=wanted) as caught:
        conjure.load(f"collection:{folder / name}", device="cpu")
    assert len(str(caught.value).splitlines()) == 1


def test_more_pictures_than_memory(folder, monkeypatch):
    from conjure.processes import collection

    monkeypatch.setattr(collection, "_free_memory", lambda: 1000)
    with pytest.raises(InputError, match=r"6 pictures of .* and 0\.0 GB are free"):
        conjure.load(f"collection:{folder}", device="cpu")


def test_a_setting_that_a_collection_has_not(folder):
    with pytest.raises(InputError, match="does not take negative_prompt"):
        conjure.load(f"collection:{folder}", negative_prompt="x")


def test_transparent_pixels_are_white(tmp_path):
    for name in ("a", "b"):
        Image.new("RGBA", (8, 8), (0, 0, 0, 0 if name == "a" else 255)).save(
            tmp_path / f"{name}.png"
        )
    write(tmp_path, "file_name,text\na.png,nothing\nb.png,black\n")
    process = conjure.load(f"collection:{tmp_path}", device="cpu")
    assert np.all(process.collection.pictures[0].numpy() == 255)
    assert np.all(process.collection.pictures[1].numpy() == 0)


def test_pictures_are_the_mixture_over_the_whole_collection(emoji) -> None:
    """Against the plain product with all pictures, for latents near one drawing and near none."""
    codes = emoji._codes[torch.arange(2 * emoji.board.side**2) % len(emoji.collection)]
    noise = torch.randn(codes.shape, generator=torch.Generator().manual_seed(0))
    cells = codes + noise * torch.tensor([0.05, 1.0]).repeat_interleave(len(codes) // 2)[:, None]
    found = emoji.decode(emoji._boards(cells.view(2, -1, cells.shape[1])))
    gaps = torch.cdist(cells, emoji._codes).square()
    spread = 0.002 * cells.shape[1] + gaps.min(1, keepdim=True).values / 4
    flat = emoji.collection.pictures.flatten(1).float() / 255
    plain = (torch.softmax(-gaps / spread, 1) @ flat).view(2, 6, 6, 3, 48, 48)
    plain = plain.permute(0, 3, 1, 4, 2, 5).reshape(2, 3, 288, 288)
    torch.testing.assert_close(found, plain, rtol=0, atol=2e-5)

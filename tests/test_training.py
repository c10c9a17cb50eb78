"""How the bundled process was made: its exact teacher, what it is taught, what weights it ships."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import json
import random
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "src" / "conjure" / "processes" / "emoji"


@pytest.fixture
def training(monkeypatch) -> SimpleNamespace:
    """The scripts, as modules; they import each other from their own folder."""
    monkeypatch.syspath_prepend(ROOT / "training" / "emoji")
    names = (
        "assemble",
        "autoencoder",
        "denoiser",
        "boards",
        "captions",
        "codes",
        "lessons",
        "teaching",
        "texts",
    )
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def test_the_bundled_revision_names_the_weights_that_are_there(training) -> None:
    settings = json.loads((BUNDLED / "conjure.json").read_text())
    assert training.assemble.revision(BUNDLED) == settings["revision"]


def test_weights_are_mixed_by_their_shares(training, tmp_path) -> None:
    states = [{"a": torch.randn(3, 2), "b": torch.randn(4)} for _ in range(3)]
    for n, state in enumerate(states):
        torch.save({"average": state}, tmp_path / f"{n}.pt")
    mixed = training.assemble.mean_weights(tmp_path, ["0.pt:3", "1.pt:3", "2.pt:2"])
    for key, value in mixed.items():
        expected = (3 * states[0][key] + 3 * states[1][key] + 2 * states[2][key]) / 8
        torch.testing.assert_close(value, expected)
    alone = training.assemble.mean_weights(tmp_path, ["1.pt"])
    assert all(torch.equal(alone[key], states[1][key]) for key in alone)


# ------------------------------------------------------------------ boards and their exact teacher


@pytest.fixture
def teacher(training):
    """Three drawings of two channels, in float64."""
    generator = torch.Generator().manual_seed(0)
    found = training.teaching.Teacher.__new__(training.teaching.Teacher)
    found.codes = {None: torch.randn(3, 2, generator=generator).double()}
    found.alphas = training.teaching.noise_schedule().alphas_cumprod.double()
    return found


def test_pictures_are_cut_where_they_were_put_together(training) -> None:
    cells = torch.randn(2, 16, 3, 8, 8)
    whole = training.boards.put_together(cells)
    assert whole.shape == (2, 3, 32, 32)
    assert torch.equal(training.boards.cut(whole), cells)
    assert torch.equal(whole[1, :, :8, -8:], cells[1, 3])  # the first row's last


@pytest.mark.parametrize("t", [150, 400, 950])
@pytest.mark.parametrize("layout", ["word", "beside", "above", "sentence"])
def test_the_teacher_is_the_mean_over_all_sheets(training, teacher, layout, t) -> None:
    """Against the definition, in the first and the last cell: nine pairs of drawings."""
    codes, phrases = teacher.codes[None], training.boards.LAYOUTS[layout]
    generator = torch.Generator().manual_seed(1)
    prior = torch.randn(1, max(phrases) + 1, 3, generator=generator).double().log_softmax(2)
    x = torch.randn(1, 2, 4, 4, generator=generator).double()
    found = teacher.denoise(x, prior, torch.tensor([t]), (layout, None))
    alpha, ends = teacher.alphas[t], (x[0, :, 0, 0], x[0, :, 3, 3])
    total, weights = torch.zeros(2, 2, dtype=torch.float64), 0.0
    for first in range(3):
        for last in range(3):
            drawn = codes[first], codes[last]
            gaps = [(a - alpha.sqrt() * z).square().sum() for a, z in zip(ends, drawn, strict=True)]
            known = prior[0, phrases[0], first] + prior[0, phrases[-1], last]
            p = (known - sum(gaps) / (2 * (1 - alpha))).exp()
            total, weights = total + p * torch.stack(drawn), weights + p
    torch.testing.assert_close(found[0, :, 0, 0], total[0] / weights)
    torch.testing.assert_close(found[0, :, 3, 3], total[1] / weights)


def test_sheets_are_drawn_as_often_as_their_phrase_says(training, teacher) -> None:
    prior = torch.tensor([0.2, 0.3, 0.5]).log().expand(2000, 1, 3)
    kind = ("sentence", None)
    chosen, picture = teacher.draw(prior, kind, torch.Generator().manual_seed(0))
    shares = torch.bincount(chosen.flatten(), minlength=3) / chosen.numel()
    assert shares.tolist() == pytest.approx([0.2, 0.3, 0.5], abs=0.01)  # four standard errors
    assert torch.equal(picture[3, :, 1, 1], teacher.codes[None][chosen[3, 5]])


def test_two_things_stand_where_their_layout_says(training, teacher) -> None:
    """Two phrases, each sure of its drawing: columns for "beside", rows for "above"."""
    prior = torch.tensor([[[1.0, 0, 0], [0, 0, 1.0]]]).log()
    for layout, expected in (("beside", [0, 0, 2, 2] * 4), ("above", [0] * 8 + [2] * 8)):
        chosen, _ = teacher.draw(prior, (layout, None), torch.Generator())
        assert chosen.tolist() == [expected]


def test_codes_keep_what_principal_components_can(training) -> None:
    """Drawings that have no more components than are kept lose nothing."""
    generator, channels = torch.Generator().manual_seed(0), training.codes.CHANNELS
    basis = torch.randn(channels, 768, generator=generator).double()
    cells = (torch.randn(200, channels, generator=generator).double() @ basis).view(-1, 3, 16, 16)
    mean, w = training.codes.components(cells)
    codes = (cells.flatten(1) - mean) @ w
    assert codes.shape == (200, channels)
    assert codes.square().mean() == pytest.approx(1)
    torch.testing.assert_close((codes @ torch.linalg.pinv(w) + mean).view_as(cells), cells)


def test_codes_of_other_drawings_or_of_another_size_are_not_used(
    training, monkeypatch, tmp_path
) -> None:
    codes, drawings = training.codes, []
    for n in range(12):
        Image.effect_noise((64, 64), 40 + n).convert("RGBA").save(tmp_path / f"{n}.png")
        drawings.append(training.boards.Drawing(str(n), (), "", 4, tmp_path / f"{n}.png"))
    for channels, count in ((8, 12), (4, 12), (4, 11)):
        monkeypatch.setattr(codes, "CHANNELS", channels)
        assert codes.kept_codes(tmp_path, drawings[:count])[None].shape == (count, channels)


@pytest.fixture
def library(training, teacher):
    """Two captions of each kind, with three drawings to choose from."""
    lessons = training.lessons
    found = lessons.Library.__new__(lessons.Library)
    found.teacher = teacher
    found.generator = torch.Generator().manual_seed(0)
    found.kinds = {(layout, None): [0, 1] for layout in training.boards.LAYOUTS}
    found.named = [0, 1]
    priors = torch.tensor(
        [[[0.7, 0.2, 0.1]], [[0.1, 0.1, 0.8]], [[0.3, 0.3, 0.4]]], dtype=torch.float64
    )  # the third is never picked
    found.prior = lambda numbers, kind: priors[numbers].log()
    found.meant = lambda numbers, kind: priors[numbers]
    found.near = lambda given, kind: [2] * len(given)
    teacher.prior = lambda phrases: phrases.log()
    found.states = lambda numbers: priors[numbers].expand(-1, 2, -1)
    found.vectors = lambda numbers: priors[numbers, 0]
    found.sentences = torch.nn.functional.normalize(priors[:2, 0], dim=1)
    found.changed = found.sentences.flip(0)
    found.nothing = torch.full((3,), 1 / 3, dtype=torch.float64)
    found.empty = found.nothing.expand(2, -1)
    return found


def test_a_library_knows_what_its_captions_ask_for(training, monkeypatch, tmp_path) -> None:
    """Of real states: names of drawings, what each phrase says, and which texts are on a colour."""
    lessons, states = training.lessons, importlib.import_module("states")
    caption = training.captions.Caption
    captions = [
        caption("a dog", "word", ("dog",)),
        caption("sadness", "word", ("sadness",)),
        caption("a dog next to a cat", "beside", ("dog", "cat")),
        caption("a cat on red", "word", ("cat",), "red"),
        caption("the dog ran home", "sentence", ("the dog ran home",)),
    ]
    drawings = [training.boards.Drawing(name, (), "", 3, tmp_path) for name in ("dog", "cat")]
    teacher = SimpleNamespace(drawings=drawings, codes={None: torch.zeros(2, 64)})
    monkeypatch.setattr(lessons, "Teacher", lambda *_: teacher)
    kept = torch.eye(3, 384).half()
    monkeypatch.setattr(lessons, "kept_pairs", lambda *_: (kept, kept.flip(0)))
    file = tmp_path / "captions.json"
    file.write_text(json.dumps([dataclasses.asdict(each) for each in captions]))
    encoded, vectors = states.encode(BUNDLED, [each.text for each in captions])
    folder = states.states_folder(tmp_path, BUNDLED)
    folder.mkdir()
    torch.save({"states": encoded, "vectors": vectors}, folder / "000.pt")
    library = lessons.Library(tmp_path, BUNDLED, tmp_path, 0)
    assert library.pick_named(9) == [0] * 9  # "sadness" names no drawing, "a cat on red" more
    assert library.some_colour() == ("word", "red")
    assert sorted(library.plain()) == [0, 1, 2, 4]
    meant = library.meant([2], ("beside", None))
    torch.testing.assert_close(meant, training.teaching.vectors(BUNDLED, ["dog", "cat"])[None])
    torch.testing.assert_close(library.meant([4], ("sentence", None))[:, 0], vectors[4:])
    assert torch.equal(library.states([2, 0]), encoded[[2, 0]].float())
    given, asked = library.some(3, 2)[1]
    assert torch.equal(asked, given[:, None])
    places = [text.argmax(1) for text, _ in library.alike(8)]
    assert torch.equal(places[0] + places[1], torch.full((8,), 2))  # each with its own change
    before = library.fingerprint
    monkeypatch.setattr(lessons, "SHARPNESS", 2 * lessons.SHARPNESS)
    assert lessons.Library(tmp_path, BUNDLED, tmp_path, 0).fingerprint != before


def test_a_walk_is_what_ddim_does_with_the_teacher(training, library, monkeypatch) -> None:
    """Against diffusers' own scheduler, from noise to picture."""
    monkeypatch.setattr(training.lessons, "SHAPE", (2, 4, 4))
    monkeypatch.setattr(training.lessons, "STEPS", (10,))
    walk = training.lessons.Walk(library, "sentence", 3)
    walk.left[:] = 0
    walk.step()  # all of them begin anew
    scheduler = training.teaching.noise_schedule()
    scheduler.set_timesteps(10)
    x, prior = walk.x.clone(), walk.prior.clone()
    for t in scheduler.timesteps:
        numbers, seen, at, x0 = walk.step()
        assert at.tolist() == [int(t)] * 3
        torch.testing.assert_close(seen.double(), x.double(), rtol=1e-5, atol=1e-5)
        best = library.teacher.denoise(x, prior, at, ("sentence", None))
        torch.testing.assert_close(x0.double(), best.double(), rtol=1e-4, atol=1e-5)
        alpha = library.teacher.alphas[at].view(-1, 1, 1, 1)
        v = (alpha.sqrt() * x - best) / (1 - alpha).sqrt()
        x = scheduler.step(v, t, x).prev_sample


def test_each_lesson_has_the_answers_of_its_own_captions(training, library, monkeypatch) -> None:
    """The stand-in for a text's states is its prior, so the answers can be computed from them."""
    lessons = training.lessons
    monkeypatch.setattr(lessons, "SHAPE", (2, 4, 4))
    monkeypatch.setattr(library.teacher, "described", torch.empty(3, 0), raising=False)
    mix = lessons.Mix({"sentence": 2}, {"word": 3}, anything=4)
    batch = lessons.Lessons(library, mix).batch()
    assert len(batch.x) == len(mix) == 9
    assert batch.layouts == ["sentence"] * 2 + ["word"] * 3 + ["sentence"] * 4
    assert torch.equal(batch.texts[0][5:], library.empty.expand(4, -1, -1))
    near = (batch.texts[1] == library.states([2])).all(2).all(1)
    assert near.tolist() == [False, True] + [False, True, False] + [False, True] * 2
    alpha = library.teacher.alphas[batch.t].view(-1, 1, 1, 1)
    for states, v in zip(batch.texts, batch.v, strict=True):
        best = library.teacher.denoise(batch.x, states[:, :1].log(), batch.t, ("word", None))
        expected = (alpha.sqrt() * batch.x - best) / (1 - alpha).sqrt()
        torch.testing.assert_close(v.double(), expected, rtol=1e-4, atol=1e-4)
    assert (batch.v[0] - batch.v[1]).abs().max() > 1e-3


def test_what_is_recalled_is_any_drawing_as_often_as_any_other(training, teacher) -> None:
    library = SimpleNamespace(
        teacher=teacher, generator=torch.Generator().manual_seed(0), empty=torch.ones(2, 3)
    )
    teacher.described = torch.empty(3, 0)
    batch = training.lessons.Lessons(library, training.lessons.Mix()).recall(3000)
    x, t = batch.x, batch.t
    assert torch.equal(batch.states, library.empty.expand(3000, -1, -1))
    alpha = teacher.alphas[t].view(-1, 1, 1, 1)
    prior = torch.zeros(3000, 1, 3, dtype=torch.float64)
    best = teacher.denoise(x, prior, t, ("sentence", None))
    torch.testing.assert_close(batch.v, (alpha.sqrt() * x - best) / (1 - alpha).sqrt())
    clear = t < 20
    cells = training.boards.cut(x[clear] / alpha[clear].sqrt())[..., 0, 0]
    drawn = (cells[:, :, None] - teacher.codes[None]).square().sum(3).argmin(2)
    shares = torch.bincount(drawn.flatten(), minlength=3) / drawn.numel()
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.06)  # four standard errors


@pytest.mark.parametrize("count", [1, 7, 96])
def test_the_timesteps_of_a_batch_are_spread_over_all(training, count) -> None:
    generator = torch.Generator().manual_seed(0)
    seen = torch.stack([training.lessons.spread(count, generator) for _ in range(400)])
    assert seen.min() >= 0
    assert seen.max() <= 999
    parts = (seen * count / 1000 + 1e-4).floor()
    assert ((parts.sort(1).values - torch.arange(count)).abs() <= 1).all()
    # No place of the batch prefers a timestep.
    assert seen.double().mean(0).sub(499.5).abs().max() < 4 * 289 / 20


def test_no_timestep_is_past_the_last(training, monkeypatch) -> None:
    """The largest number below 1 that ``rand`` gives, added to 95, is 96 in float32."""
    most = torch.full((96,), 1 - 2.0**-24)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: most)
    assert training.lessons.spread(96, torch.Generator()).max() == 999


def test_quarters_of_sheets_have_the_answers_of_their_texts(
    training, teacher, library, monkeypatch
) -> None:
    """A quarter's answer is that of a sheet of which it is a part, under both of its texts."""
    teacher.described = torch.empty(3, 0)
    monkeypatch.setattr(training.lessons, "FARTHEST", 0.05)  # a prior stays one
    library.kinds["word", "red"] = [0, 1]
    library.some_colour = lambda: ("word", "red")
    teacher.codes["red"] = teacher.codes[None] + 3
    batch = training.lessons.Lessons(library, training.lessons.Mix()).captions(300, 200, 50, 100)
    assert batch.x.shape == batch.v[0].shape == (650, 2, 2, 2)
    assert batch.layouts == ["word"] * 300 + ["sentence"] * 200 + ["word"] * 50 + ["sentence"] * 100
    assert torch.equal(batch.texts[0][550:], library.nothing.expand(100, -1))
    colours = {None: [*range(500), *range(550, 650)], "red": [*range(500, 550)]}
    for (colour, rows), (texts, v) in itertools.product(
        colours.items(), zip(batch.texts, batch.v, strict=True)
    ):
        x, t = batch.x[rows], batch.t[rows]
        sheet = torch.zeros(len(rows), 2, 4, 4, dtype=x.dtype)
        sheet[..., :2, :2] = x
        prior = texts[rows, None].log()  # the stand-in for a text's vector is its prior
        best = teacher.denoise(sheet, prior, t, ("word", colour))[..., :2, :2]
        alpha = teacher.alphas[t].view(-1, 1, 1, 1)
        torch.testing.assert_close(v[rows], (alpha.sqrt() * x - best) / (1 - alpha).sqrt())
    # The drawings come as often as the first texts say.
    first = batch.texts[0][:500] / batch.texts[0][:500].sum(1, keepdim=True)
    found = batch.t[:500] < 100
    clear = batch.x[:500][found] / teacher.alphas[batch.t[:500][found]].sqrt().view(-1, 1, 1, 1)
    cells = clear.flatten(2).mT
    drawn = (cells[:, :, None] - teacher.codes[None]).square().sum(3).argmin(2)
    shares = torch.bincount(drawn.flatten(), minlength=3) / drawn.numel()
    torch.testing.assert_close(shares.double(), first[found].mean(0), rtol=0, atol=0.15)
    second = batch.texts[1][:500] / batch.texts[1][:500].sum(1, keepdim=True)
    likely = [text[found].gather(1, drawn).log().mean() for text in (first, second)]
    assert likely[0] > likely[1]


def test_two_texts_are_anything_from_almost_the_same_to_unlike(
    training, library, monkeypatch
) -> None:
    lessons = training.lessons
    library.teacher.described = torch.empty(3, 0)
    monkeypatch.setattr(lessons, "FARTHEST", 0.0)
    ends = torch.nn.functional.normalize(library.vectors([0, 1]), dim=1)
    library.vectors = ends.__getitem__
    library.near = lambda given, kind: [0] * len(given)
    batch = lessons.Lessons(library, lessons.Mix()).captions(300, 300, 0, 4)
    cosine = (batch.texts[0][:600] * batch.texts[1][:600]).sum(1)
    torch.testing.assert_close(batch.apart[:600], (1 - cosine).clamp_min(lessons.CLOSE))
    assert cosine.max() > 0.999 > 0.6 > cosine.min()
    assert cosine.min() >= ends[0] @ ends[1] - 1e-6
    torch.testing.assert_close(batch.texts[1].norm(dim=1)[:600], torch.ones(600).double())
    # The first are near captions, most of them; both are on the way between two captions.
    assert ((batch.texts[0][:600] @ ends.T).max(1).values > 0.99).double().mean() > 0.6
    normal = torch.linalg.cross(ends[0], ends[1])
    assert (torch.cat(batch.texts)[:600] @ normal).abs().max() < 1e-6


def test_a_text_is_moved_in_any_direction_and_what_it_asks_for_with_it(training) -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(500, 384, generator=generator), dim=1)
    sizes = torch.linspace(0, 0.7, 500)
    given, meant = training.lessons.disturbed((vectors, vectors[:, None]), sizes, generator)
    torch.testing.assert_close(given, meant[:, 0])
    tangent = sizes / (1 + sizes**2).sqrt()  # directions are almost at right angles
    torch.testing.assert_close((given - vectors).norm(dim=1), tangent, rtol=0.15, atol=0.02)
    moved = (given - vectors)[250:]
    assert torch.linalg.svdvals(moved)[[0, -1]].log().diff().abs() < 4  # no direction is left out


def test_names_of_drawings_are_taught_as_they_are(training, library, monkeypatch) -> None:
    lessons = training.lessons
    monkeypatch.setattr(lessons, "FARTHEST", 0.05)  # a prior stays one
    library.teacher.described = torch.empty(3, 0)
    library.named = [1]
    batch = lessons.Lessons(library, lessons.Mix()).captions(200, 0, 0, 0)
    assert torch.equal(batch.texts[0][:100], library.vectors([1]).expand(100, -1))
    near = (batch.texts[1][:100] == library.vectors([2])).all(1)
    assert near.tolist() == [False, True] * 50
    moved = batch.texts[0][100:] / batch.texts[0][100:].sum(1, keepdim=True)
    assert (moved != library.vectors([1])).any(1).all()


def test_texts_on_a_colour_are_not_moved_away_from_it(training, library, monkeypatch) -> None:
    """A little away from "a dog on red", no text asks for a background."""
    lessons = training.lessons
    library.teacher.described = torch.empty(3, 0)
    library.kinds["word", "red"] = [0, 1]
    library.some_colour = lambda: ("word", "red")
    library.teacher.codes["red"] = library.teacher.codes[None]
    batch = lessons.Lessons(library, lessons.Mix()).captions(0, 0, 200, 0)
    normal = torch.linalg.cross(*library.vectors([0, 1]))
    assert (torch.cat(batch.texts) @ normal).abs().max() < 1e-6


def test_sentences_are_changed_by_a_few_words(training) -> None:
    texts, rng = training.texts, random.Random(0)
    text, words = "a man is playing the guitar", ["lake", "seldom"]
    colours, seen = training.texts.COLOURS.split(","), Counter()
    for _ in range(600):
        found = texts.changed(text, words, rng).split()
        new = Counter(found) - Counter(text.split())
        lost = Counter(text.split()) - Counter(found)
        assert new.total() <= 3
        assert lost.total() <= 3
        assert not new.keys() - {*words, *colours}
        seen["colours"] += any(word in colours for word in new)
        seen["lost"] += lost.total() > new.total()
        seen["added"] += new.total() > lost.total()
        seen["replaced"] += new.total() == lost.total() > 0
        seen["moved"] += not new and not lost and found != text.split()
    assert min(seen.values()) > 40, seen
    assert texts.changed("mice run", words, random.Random(1)).split()  # never nothing


def test_sentences_that_ask_for_a_background_are_left_out(training, monkeypatch, tmp_path) -> None:
    texts, made = training.texts, []
    corpus = ["a dog on red background", "the red dog", "a red dog runs", "it rains all day"]
    monkeypatch.setattr(texts, "read_corpus", lambda data: corpus)
    pairs = texts.pairs_of_texts(tmp_path, random.Random(0), 5)
    assert [first for first, _ in pairs] == ["a red dog runs", "it rains all day"]
    encoder = tmp_path / "text_encoder" / "model.safetensors"
    encoder.parent.mkdir()
    monkeypatch.setattr(texts, "vectors", lambda text, of: made.append(of) or torch.ones(len(of)))
    for content in ("one", "one", "other"):  # kept as long as the encoder is the same
        encoder.write_text(content)
        assert [len(side) for side in texts.kept_pairs(tmp_path, tmp_path, tmp_path)] == [2, 2]
    assert len(made) == 4


def test_the_nearest_caption_is_not_the_caption_itself(training, library, monkeypatch) -> None:
    lessons = training.lessons
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 0.1], [0, 1]]), dim=1)
    library.vectors = vectors.__getitem__
    monkeypatch.setattr(library, "pick", lambda kind, count: [0, 1, 2] * (count // 3))
    found = lessons.Library.near(library, vectors, ("sentence", None))
    assert found == [1, 0, 1]


@pytest.mark.parametrize("t", [1, 500, 999])
def test_the_whole_network_begins_as_the_one_without_neighbours(training, t) -> None:
    """Each 3 × 3 convolution that was its middle alone does the same with zeros around it."""
    denoiser = training.denoiser
    torch.manual_seed(0)
    small, large = denoiser.alone(denoiser.build()).eval(), denoiser.build().eval()
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in large.parameters())
    large.load_state_dict(denoiser.whole(small.state_dict()))
    x, states = torch.randn(3, *training.lessons.SHAPE), torch.randn(3, 32, 384)
    with torch.no_grad():
        found = [model(x, torch.full((3,), t), states).sample for model in (small, large)]
        other = small(x[:, :, :, [1, 0, 2, 3]], torch.full((3,), t), states).sample
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
    # Without neighbours a network cannot know where a cell is: what moves is moved, no more.
    torch.testing.assert_close(other, found[0][:, :, :, [1, 0, 2, 3]], rtol=1e-4, atol=1e-5)


@pytest.fixture
def texts() -> SimpleNamespace:
    """Five drawings, and 600 captions with states at random."""
    generator = torch.Generator().manual_seed(0)
    states, vectors = (
        torch.randn(600, *shape, generator=generator) for shape in ((32, 384), (384,))
    )
    codes, described = (torch.randn(5, size, generator=generator) for size in (64, 384))
    teacher = SimpleNamespace(
        codes={None: codes},
        described=described,
        anything=lambda count: torch.zeros(count, 1, 5),
        draw=lambda prior, kind, generator: (None, torch.randn(len(prior), 64, 4, 4)),
        denoise=lambda x, prior, t, kind: x,
        alphas=torch.linspace(0.99, 0.01, 1000),
    )
    return SimpleNamespace(
        teacher=teacher,
        generator=generator,
        plain=lambda: list(range(600)),
        states=lambda numbers: states[numbers],
        vectors=lambda numbers: vectors[numbers],
        empty=torch.randn(32, 384, generator=generator),
        fingerprint="these",
    )


def answers(model: torch.nn.Module, text: torch.Tensor, training: SimpleNamespace) -> torch.Tensor:
    x = torch.randn(2, *training.lessons.SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(x, torch.tensor([30, 700]), text.expand(2, *text.shape)).sample


def test_texts_do_not_disturb_what_is_recalled(training, texts) -> None:
    """The network that makes room for texts answers to each as it did to the empty one.

    Exactly so where cross-attention added the same to all, as it does here.
    """
    denoiser = training.denoiser
    torch.manual_seed(0)
    recalled = denoiser.alone(denoiser.build(room=0)).eval()
    model = denoiser.with_room(recalled, texts).eval()
    found = [answers(model, text, training) for text in (texts.empty, texts.states(0))]
    torch.testing.assert_close(*found)
    for name, layer in recalled.named_modules():
        if name.endswith("attn2"):
            torch.nn.init.zeros_(layer.to_out[0].weight)
            torch.nn.init.normal_(layer.to_out[0].bias)
    model = denoiser.with_room(recalled, texts).eval()
    before = answers(recalled, texts.empty, training)
    assert (answers(recalled, texts.states(0), training) - before).abs().max() > 1e-3
    for text in (texts.empty, texts.states(0)):
        torch.testing.assert_close(answers(model, text, training), before, rtol=1e-3, atol=1e-5)
    denoiser.given_vectors(model)
    given = texts.vectors([0, 1])
    torch.testing.assert_close(answers(model, given[0], training), before, rtol=1e-3, atol=1e-5)
    # But it can learn to hear them: what reads the text's dimensions has gradients.
    x = torch.randn(2, *training.lessons.SHAPE)
    model(x, torch.tensor([30, 700]), given).sample.square().sum().backward()
    reader = model.up_blocks[0].resnets[1].time_emb_proj
    assert reader.weight[:, denoiser.TIME :].abs().max() == 0
    assert reader.weight.grad[:, denoiser.TIME :].abs().max() > 0


def test_the_texts_dimensions_hold_what_its_vector_says(training, texts) -> None:
    """What reads them after the nonlinearity can put the vector's components together again."""
    denoiser = training.denoiser
    torch.manual_seed(0)
    model = denoiser.with_room(denoiser.alone(denoiser.build(room=0)), texts)
    vectors = texts.vectors(list(range(0, 600, 4)))
    denoiser.given_vectors(model)
    with torch.no_grad():
        seen = torch.nn.functional.silu(model.add_embedding(vectors))[:, denoiser.TIME :]
    half = seen.shape[1] // 2
    found = seen[:, :half] - seen[:, half:]  # silu(a) − silu(−a) = a
    size = found.norm(dim=1)
    loudness = size.mean().expand(150)  # the same for all texts
    torch.testing.assert_close(size, loudness, rtol=1e-4, atol=0)
    centred = vectors - vectors.mean(0)
    _, s, axes = torch.linalg.svd(centred, full_matrices=False)
    expected = centred @ axes[:half].T / s[:half] ** 0.5
    cosine = torch.nn.functional.cosine_similarity(expected.abs(), found.abs())
    torch.testing.assert_close(cosine, torch.ones(150), rtol=1e-3, atol=1e-3)


def test_the_network_learns_to_read_what_it_was_given(training, texts) -> None:
    """From states of the bundled text encoder, padding and all, their mean without padding."""
    denoiser, states = training.denoiser, importlib.import_module("states")
    things = "dog cat violin pizza doctor tree ship house car apple king bird child shoe lamp pen"
    doings = "sleeps, runs home, is red, is old, was sold, sings, fell down, sank, can swim, eats"
    asked = [
        f"{article} {thing} {doing}"
        for article in ("a", "the", "my", "no")
        for thing in things.split()
        for doing in doings.split(", ")
    ]
    found, vectors = states.encode(BUNDLED, asked)
    texts.plain = lambda: list(range(len(asked)))
    texts.vectors, texts.states = vectors.__getitem__, found.float().__getitem__
    torch.manual_seed(0)
    model = denoiser.with_room(denoiser.alone(denoiser.build(room=0)), texts)
    denoiser.learn_to_read(model, texts, steps=60)
    with torch.no_grad():
        read = model.add_embedding(found.float())[:, denoiser.TIME :]
        denoiser.given_vectors(model)
        given = model.add_embedding(vectors)[:, denoiser.TIME :]
    assert (read - given).square().mean() < 0.2 * given.var(0).mean()


def test_a_stage_begins_where_the_one_before_has_ended(
    training, texts, monkeypatch, tmp_path
) -> None:
    denoiser = training.denoiser
    monkeypatch.setattr(denoiser, "learn_to_read", lambda model, library: None)
    last = None
    for stage in denoiser.STAGES:
        model = denoiser.begin(stage, texts, tmp_path).eval()
        if stage == "captions":
            assert torch.equal(model.conv_in.weight, last.conv_in.weight)
        if stage == "sheets":
            text = texts.states(3)
            expected = answers(last, text, training)
            found = answers(model, text, training)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
            assert model.conv_in.weight.shape[2:] == (3, 3)
        facts = {"seen": 8, "samples": 8, "lessons": texts.fingerprint}
        torch.save({"average": model.state_dict()} | facts, tmp_path / f"{stage}.pt")
        last = model


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"seen": 8, "samples": 9, "lessons": "these"}, "has seen 8 of 9 samples"),
        ({"seen": 9, "samples": 9, "lessons": "others"}, "was trained on other lessons"),
    ],
)
def test_a_stage_does_not_begin_on_another_or_an_unfinished_one(
    training, texts, tmp_path, facts, said
) -> None:
    torch.save({"average": {}} | facts, tmp_path / "captions.pt")
    with pytest.raises(SystemExit, match=said):
        training.denoiser.begin("sheets", texts, tmp_path)


def average_over_two(rank: int, folder: Path) -> None:
    """A worker: its gradients are 1, 2 … times its rank plus one."""
    sys.path.insert(0, str(ROOT / "training" / "emoji"))
    distributed = torch.distributed
    meeting = f"file://{folder / 'meeting'}"
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    for part in (model[0].weight, model[1].weight):  # the others have no gradient
        part.grad = (rank + 1) * torch.arange(1.0, part.numel() + 1).view_as(part)
    importlib.import_module("denoiser").average_gradients(model)
    torch.save([p.grad for p in model.parameters()], folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_workers_go_by_the_mean_of_their_gradients(tmp_path) -> None:
    torch.multiprocessing.spawn(average_over_two, (tmp_path,), nprocs=2)
    for rank in (0, 1):
        first, none, second, neither = torch.load(tmp_path / f"{rank}.pt")
        assert none is neither is None
        torch.testing.assert_close(first, 1.5 * torch.arange(1.0, 7).view(3, 2))
        torch.testing.assert_close(second, 1.5 * torch.arange(1.0, 4).view(1, 3))


def test_the_loss_is_of_v_and_of_the_difference_of_two_captions(
    training, library, monkeypatch
) -> None:
    """A network that is wrong by the same everywhere has no error in the difference."""
    denoiser, lessons = training.denoiser, training.lessons
    monkeypatch.setattr(lessons, "SHAPE", (2, 4, 4))
    monkeypatch.setattr(denoiser, "SHEETS", lessons.Mix({}, {"word": 4, "sentence": 2}))
    loss = denoiser.Loss(library, "sheets", batches=3)
    batch = loss.lessons.batch()
    monkeypatch.setattr(loss.lessons, "batch", lambda: batch)
    exact = torch.cat(batch.v)
    low = batch.t.repeat(2) < 50
    weight = (4 * (1 - library.teacher.alphas[batch.t.repeat(2)])).clamp_max(1)
    assert (weight[~low] > 0.1).all()
    answers = (
        (exact, 0.0, 0.0),
        (exact + 0.5, 0.25 * weight.mean(), 0.0),
        (torch.cat([batch.v[0], batch.v[0]]), None, None),
    )
    for answer, error, share in answers:
        model = lambda x, t, states, answer=answer: SimpleNamespace(sample=answer)  # noqa: E731
        found = loss(model)
        if error is None:
            gap = (batch.v[0] - batch.v[1]).square().mean((1, 2, 3))
            gap *= library.teacher.alphas[batch.t]
            power = torch.tensor([loss.power[layout] for layout in batch.layouts]) * batch.apart
            assert float(found[1]) == pytest.approx(float((gap / power).mean()), rel=1e-4)
        else:
            assert float(found[0]) == pytest.approx(float(error), abs=1e-6)
            assert float(found[1]) == pytest.approx(share, abs=1e-6)


def test_the_decoder_is_taught_where_each_position_is(training) -> None:
    """A few steps tell rows and columns apart; a decoder cannot do it from the latents alone."""
    autoencoder = training.autoencoder
    torch.manual_seed(0)
    wave = autoencoder.places(8)
    torch.testing.assert_close(wave[..., :4, :4], wave[..., 4:, 4:])  # modulo four
    assert (
        torch.cdist(wave[0, :, :4, :4].flatten(1).T, wave[0, :, :4, :4].flatten(1).T)
        .add(torch.eye(16))
        .min()
        > 0.9
    )  # sixteen places
    model = autoencoder.build()
    places = autoencoder.Places(model.decoder)
    optimizer = torch.optim.Adam([*model.decoder.parameters(), *places.parameters()], 2e-3)
    found = []
    for _ in range(120):
        model.decode(torch.randn(1, training.codes.CHANNELS, 4, 4))
        found.append(places.loss())
        optimizer.zero_grad()
        found[-1].backward()
        optimizer.step()
    constant = len(places.readers) / 2  # the loss of a reader who says the mean everywhere
    assert found[-1].item() < 0.7 * constant < 0.9 * found[0].item()


def test_the_encoder_says_how_sure_it_is(training, monkeypatch) -> None:
    autoencoder = training.autoencoder
    monkeypatch.setattr(autoencoder, "NOISE", 0.0)  # then the decoder's picture is the picture
    model = autoencoder.build().eval()
    codes = torch.randn(2, training.codes.CHANNELS, 4, 4)
    picture = model.decode(codes).sample
    assert picture.shape == (2, 3, 64, 64)
    encoder, decoder, _ = autoencoder.losses(
        model, autoencoder.Places(model.decoder), picture.detach(), codes
    )
    found = model.encode(picture[:1]).latent_dist
    error = (found.mean - codes[:1]).square()
    expected = ((error / found.var + found.var.log()) / 2).mean()
    assert encoder.item() == pytest.approx(expected.item(), rel=1e-4)
    assert decoder.item() == pytest.approx(0, abs=1e-5)


def test_of_two_drawings_most_alike_the_rarer_goes_unless_it_is_common(training) -> None:
    vocabulary = importlib.import_module("vocabulary")
    alike = torch.full((5, 5), 0.1)
    for (first, second), likeness in {(0, 1): 0.9, (1, 2): 0.8, (3, 4): 0.95}.items():
        alike[first, second] = alike[second, first] = likeness
    counts = [9, 3, 7, vocabulary.COMMON, vocabulary.COMMON + 1]
    assert vocabulary.thinned(alike, counts, 4) == [0, 2, 3, 4]
    counts[3] -= 1
    assert vocabulary.thinned(alike, counts, 4) == [0, 1, 2, 4]
    assert vocabulary.thinned(alike, counts, 5) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="cannot leave 2 of 3"):
        vocabulary.thinned(alike[:3, :3], [vocabulary.COMMON] * 3, 2)
    # The second pair to go is found among those that are left.
    assert vocabulary.thinned(alike, counts, 3) == [0, 2, 4]


def test_the_vocabulary_is_of_words_people_who_do_something_and_things_of_every_day(
    training, monkeypatch, tmp_path
) -> None:
    vocabulary, boards = importlib.import_module("vocabulary"), training.boards
    names = {
        "dog": 3, "hound": 3, "cat": 3, "red dog with cat": 3, "no entry": 8, "man running": 1,
        "facing right man running": 1, "man bowing": 1, "person running": 1, "red apple": 4,
    }  # fmt: skip
    drawings = [boards.Drawing(name, (), "", group, Path()) for name, group in names.items()]
    folder = tmp_path / "wordnet"
    folder.mkdir()
    words = (("dog", "a hound; a dog"), ("hound", "a dog"), ("cat", "a cat, no dog"))
    for part in ("noun", "verb", "adj", "adv"):
        (folder / f"data.{part}").write_text("  a licence\n")
    with (folder / "data.noun").open("a") as file:
        for n, (word, gloss) in enumerate((*words, ("no_entry", "a sign"))):
            file.write(f"{n:08} 05 n 01 {word} 0 000 | {gloss}\n")
    assert vocabulary.wordnet(tmp_path)[1]["dog"] == 3
    assert vocabulary.wordnet(tmp_path)[1]["no dog"] == 1
    monkeypatch.setattr(vocabulary, "NAMED", 2)
    monkeypatch.setattr(vocabulary, "EVERYDAY", {"red apple"})
    reads = torch.eye(10)
    reads[1] = reads[0]  # a hound reads like a dog
    kept = vocabulary.vocabulary(tmp_path, drawings, reads, torch.eye(10))
    assert [drawings[i].name for i in kept] == ["dog", "cat", "man running", "red apple"]
    monkeypatch.setattr(vocabulary, "EVERYDAY", {"red apple", "blue pear"})
    with pytest.raises(ValueError, match="no drawing of blue pear"):
        vocabulary.vocabulary(tmp_path, drawings, reads, torch.eye(10))


def test_pairs_name_their_cells_in_the_order_of_their_places(training) -> None:
    """The first cell is the left or the upper one, whichever the caption names first."""
    drawings = [training.boards.Drawing(name, (), "", 4, Path()) for name in ("ball", "cube")]
    seen = set()
    for caption in training.captions.pairs(drawings, random.Random(0), 400):
        first, second = caption.phrases
        if first == second:
            continue
        turned = any(word in caption.text for word in ("to the right of", "below", "under"))
        names = (second, first) if turned else (first, second)
        assert caption.text.index(names[0]) < caption.text.index(names[1]), caption
        seen.add((caption.layout, turned))
    assert len(seen) == 4


def test_a_hundred_prompts_are_the_same_each_time(training, monkeypatch, tmp_path) -> None:
    hundred = importlib.import_module("hundred")
    drawn = SimpleNamespace(sentence=lambda kinds: f"{kinds[0][0]} {rng.pop().random()}")
    rng: list[random.Random] = []

    def composer(data: Path, given: random.Random) -> SimpleNamespace:
        rng[:] = [given] * 20
        return drawn

    monkeypatch.setattr(hundred, "Composer", composer)  # WordNet is not part of the repository
    names = [f"thing{n}" for n in range(70)]
    drawings = [training.boards.Drawing(name, (), "", 4, Path()) for name in (*names, *names)]
    prompts = hundred.draw_prompts(tmp_path, drawings)
    assert len(prompts) == len(set(prompts)) == 100
    assert set(prompts[:50]) < set(names)
    for text in prompts[50:80]:
        assert sum(name in text.split() for name in names) == 2, text
    assert all(text.startswith(hundred.ACTIONS[0]) for text in prompts[80:])
    assert hundred.draw_prompts(tmp_path, drawings) == prompts


def test_the_numbered_pictures_stand_in_the_order_of_their_prompts(training) -> None:
    hundred = importlib.import_module("hundred")
    shades = [8 * n for n in range(hundred.COLUMNS + 2)]
    sheet = hundred.sheet([Image.new("RGB", (64, 64), (n, n, n)) for n in shades])
    width, height = hundred.SHOWN + 8, hundred.SHOWN + hundred.MARGIN
    assert sheet.size == (hundred.COLUMNS * width, 2 * height)
    for n, shade in enumerate(shades):
        corner = n % hundred.COLUMNS * width, n // hundred.COLUMNS * height
        assert sheet.getpixel((corner[0] + 68, corner[1] + 84)) == (shade,) * 3


def test_words_are_told_from_sentences(training) -> None:
    words = ("tiger", "the tiger", "an ice cream", "hot dog")
    assert all(map(training.captions.is_word, words))
    assert not any(map(training.captions.is_word, ("a dog runs fast", "dogs run fast")))


def test_states_of_another_encoder_or_of_other_captions_are_not_used(training, tmp_path) -> None:
    states = importlib.import_module("states")
    run, text = tmp_path / "run", tmp_path / "text"
    (text / "text_encoder").mkdir(parents=True)
    run.mkdir()
    found = set()
    for weights, captions in (("a", "x"), ("b", "x"), ("a", "y"), ("ax", "")):
        states.encoder_file(text).write_text(weights)
        (run / "captions.json").write_text(captions)
        found.add(states.states_folder(run, text))
    assert len(found) == 4


def test_the_perfect_student_is_the_teacher(training, monkeypatch, tmp_path) -> None:
    """The package's exact process, on the same drawings, predicts what the teacher predicts."""
    perfect, boards = importlib.import_module("perfect"), training.boards
    colours = [(200, 30, 30), (30, 30, 200), (30, 200, 30), (250, 250, 250), (90, 10, 60)]
    drawings = []
    for n, colour in enumerate(colours):
        picture = Image.effect_noise((64, 64), 60).convert("RGBA")
        picture.paste(Image.new("RGBA", (64, 32), colour), (0, 8 * n % 32))
        picture.save(tmp_path / f"{n}.png")
        name = ("dog", "guitar", "pizza", "cat", "house")[n]
        drawings.append(boards.Drawing(name, ("thing",), "", 4, tmp_path / f"{n}.png"))
    monkeypatch.setenv("EMOJI_DATA", str(tmp_path))
    monkeypatch.setenv("EMOJI_RUN", str(tmp_path))
    monkeypatch.setattr(training.teaching, "find_drawings", lambda data: drawings)
    monkeypatch.setattr(training.teaching, "vocabulary", lambda *_: [0, 1, 2, 4])
    monkeypatch.setattr(training.codes, "CHANNELS", 8)
    teacher = training.teaching.Teacher(tmp_path, BUNDLED, tmp_path)
    text = ["a cat in a house"]
    vectors = training.teaching.vectors(BUNDLED, text)[:, None]
    process = perfect.sheets()
    x = torch.randn(1, *process.latent_shape, generator=torch.Generator().manual_seed(0))
    prior, j = teacher.prior(vectors), 3
    t = torch.tensor([1000 - 100 * (j + 1) + 1])
    alpha = teacher.alphas[t].view(-1, 1, 1, 1)
    best = teacher.denoise(x, prior, t, ("sentence", None))
    found = process.predict(x, torch.tensor([j]), process.embed(text))
    expected = (x - alpha.sqrt() * best) / (1 - alpha).sqrt()
    torch.testing.assert_close(found.float(), expected, rtol=1e-3, atol=1e-3)

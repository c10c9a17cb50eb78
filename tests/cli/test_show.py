"""``conjure show`` and ``conjure.pictures``: where the trajectories of Algorithm 1 end."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import conjure
from conjure.cli.main import main
from conjure.core.errors import InputError, NonFiniteError
from conjure.core.sampling import walk
from conjure.decoding import picture_rows
from conjure.report.plots.pictures import draw_pictures, drawable, wrapped
from conjure.report.plots.style import house_style


@pytest.fixture(scope="module")
def emoji():
    return conjure.load(steps=2, device="cpu")


# the library's function


def test_pictures_are_the_ends_of_the_trajectories(emoji, monkeypatch) -> None:
    texts = ["snow leopard", "bengal tiger", "snow leopard"]
    found = conjure.pictures(texts, process=emoji, samples=2, seed=3)
    assert found.shape == (3, 2, 3, 64, 64)
    assert found.dtype == torch.float32
    assert 0 <= float(found.min()) < float(found.max()) <= 1
    assert torch.equal(found[0], found[2])
    *_, last = walk(emoji, texts[:2], range(3, 5), finish=True)
    for row in range(2):
        assert torch.equal(found[row], emoji.decode(last.x_next[row]))
    # sample i is that of seed + i, whatever else is drawn
    alone = conjure.pictures(["bengal tiger"], process=emoji, seed=4)
    assert torch.allclose(found[1, 1], alone[0, 0], atol=1e-4)


def test_latents_are_those_of_a_plain_loop(gaussians) -> None:
    """Without a decoder to hide it: x_0 by the solver itself, one text and one seed at a time."""

    class Transparent(gaussians):
        def decode(self, latents):
            return latents[:, :1, None, None].expand(-1, 3, 1, 1) / 100

    process = Transparent(guidance=3.0, steps=4)
    found = conjure.pictures(["a", "b"], process=process, samples=2, seed=5)
    assert process.rows == picture_rows(process, ["a", "b"], 2)
    uncond = process.unconditional()
    for row, text in enumerate("ab"):
        for sample in range(2):
            generator = torch.Generator("cpu").manual_seed(5 + sample)
            noise = torch.randn(process.latent_shape, generator=generator)
            x = noise.to(process.latent_dtype)[None] * process.schedule.initial_scale
            solver, cond = process.solver(), process.embed([text])
            for step in range(4):
                here = torch.tensor([step])
                eps = process.predict(x, here, uncond)
                eps = eps + 3.0 * (process.predict(x, here, cond) - eps)
                x = solver.step(x, eps, step, [generator])
            expected = float(x[0, 0]) / 100
            assert float(found[row, sample, 0, 0, 0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_rows_told_are_rows_paid(gaussians, guidance) -> None:
    class Decoding(gaussians):
        def decode(self, latents):
            return torch.zeros(len(latents), 3, 2, 2)

    process = Decoding(guidance=guidance, steps=3)
    conjure.pictures(["a", "b", "a"], process=process, samples=2)
    assert process.rows == picture_rows(process, ["a", "b", "a"], 2)


@pytest.mark.parametrize(
    ("texts", "settings", "words"),
    [
        ([], {}, "there is no text"),
        ("ab", {}, "texts must be a list of texts, not 'ab'"),
        (["a", " "], {}, "text 2 is empty"),
        (["a"], {"samples": 0}, "samples must be"),
        (["a"], {"seed": -1}, "seed must be"),
        (["a"], {}, r"has no pictures: it lacks decode\(latents\)"),
    ],
)
def test_pictures_that_there_are_not(gaussians, texts, settings, words) -> None:
    process = gaussians()
    with pytest.raises(InputError, match=words):
        conjure.pictures(texts, process=process, **settings)
    assert process.rows == 0


def test_a_decoder_that_gives_nan_is_named(gaussians) -> None:
    class Broken(gaussians):
        def decode(self, latents):
            return torch.full((len(latents), 3, 2, 2), torch.nan)

    with pytest.raises(NonFiniteError, match="the decoder gave NaN or infinity for 'a'"):
        conjure.pictures(["a"], process=Broken())


# the command


def show(*arguments: str) -> int:
    return main(["show", *arguments, "--steps", "2", "--device", "cpu"])


def test_white_pictures_side_by_side_are_told_apart(tmp_path) -> None:
    draw_pictures(torch.ones(1, 2, 3, 8, 8), [""], "", tmp_path / "two.png")
    gray = np.asarray(Image.open(tmp_path / "two.png").convert("L"))
    line = gray[len(gray) // 3] < 230  # goes through both pictures
    edges = np.flatnonzero(line[1:] & ~line[:-1])
    assert len(edges) == 4


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_show_writes_the_same_file_twice(suffix, tmp_path, capsys) -> None:
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    files = []
    for name in ("one", "two"):
        out = tmp_path / f"{name}.{suffix}"
        assert show("a dog", "a cat", "--samples", "2", "--out", str(out)) == 0
        files.append(out.read_bytes())
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "conjure: 4 pictures: 8 network rows to compute"
    assert told[1] == f"conjure: written: {tmp_path / f'one.{suffix}'}"
    assert files[0].startswith(begins)
    assert files[0] == files[1]


@pytest.fixture
def nothing_loaded(monkeypatch, tmp_path) -> Path:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a process was loaded")

    monkeypatch.setattr(conjure, "load", load, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.png").write_bytes(b"kept")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["--out", "x.png"], "Missing argument 'TEXTS...'"),
        (["a", "", "--out", "x.png"], "TEXTS is empty"),
        (["a", "caf\udce9", "--out", "x.png"], "text 2 is not valid Unicode"),
        (["a", "b"], "Missing option '--out'"),
        (["a", "b", "--out", "x.jpg"], "unknown kind of picture; use .png, .svg, .pdf"),
        (["a", "b", "--out", "-"], "a picture is not written to stdout"),
        (["a", "b", "--out", "there.png"], "exists already; give --overwrite"),
        (["a", "b", "--out", "no/x.png"], "no such folder: no"),
        (["a", "b", "--out", "x.png", "--samples", "1000"], "2,000 pictures; one figure holds"),
        (["a", "b", "--out", "x.png", "--samples", "0"], "samples must be"),
        (["a", "b", "--out", "x.png", "--seed", "-1"], "seed must be"),
        (["a", "b", "--out", "x.png", "--sampler", "leapfrog"], "unknown sampler"),
    ],
)
def test_show_refuses_before_anything_is_loaded(nothing_loaded, capsys, command, words) -> None:
    assert main(["show", *command]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
    assert [path.name for path in nothing_loaded.iterdir()] == ["there.png"]


def test_a_missing_matplotlib_is_told_before_anything_is_loaded(
    nothing_loaded, capsys, monkeypatch
) -> None:
    imported = builtins.__import__

    def without(name, *given):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return imported(name, *given)

    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["show", "a", "b", "--out", "x.png"]) == 2
    assert "pip install 'conjure[plots]'" in capsys.readouterr().err


def test_show_refuses_a_process_without_pictures(gaussians, tmp_path, capsys, monkeypatch) -> None:
    process = gaussians()
    monkeypatch.setattr(conjure, "load", lambda *_, **__: process, raising=False)
    assert main(["show", "a", "b", "--out", str(tmp_path / "x.png")]) == 2
    assert "it lacks decode(latents)" in capsys.readouterr().err
    assert process.rows == 0
    assert [*tmp_path.iterdir()] == []


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from conjure.cli.main import main; assert main(['show', '--help']) == 0; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib', 'numpy')))"
    )
    source = str(Path(conjure.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert ran.returncode == 0, ran.stderr


# the figure


LABELS = [
    "a dog",
    "word " * 60,
    "W" * 400,
    "one\ntwo\x1b[2J\u202e $x_0$",
    "犬と猫" * 20,
    "",
]


def test_labels_stay_in_their_row_and_column(tmp_path, monkeypatch) -> None:
    """Measured on the figure itself: no label touches a picture, another label or the note."""
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    saved = Figure.savefig

    def keep(self, *given, **settings):
        drawn.append(self)
        return saved(self, *given, **settings)

    monkeypatch.setattr(Figure, "savefig", keep)
    pictures = torch.zeros(len(LABELS), 2, 3, 4, 6)
    draw_pictures(pictures, LABELS, "process:" + "x|" * 200, tmp_path / "x.png")
    [figure] = drawn
    with house_style():
        boxes = {text.get_gid(): text.get_window_extent() for text in figure.texts}
    cells = [axes.get_window_extent() for axes in figure.axes]
    everything = figure.bbox
    named = {name: box for name, box in boxes.items() if box.width > 0}
    assert {"label-0", "label-1", "label-2", "label-3", "note"} <= named.keys()
    for name, box in named.items():
        assert everything.x0 <= box.x0 <= box.x1 <= everything.x1
        assert everything.y0 <= box.y0 <= box.y1 <= everything.y1
        others = [other for key, other in named.items() if key != name]
        assert not any(box.overlaps(other) for other in [*others, *cells])
    shown = {text.get_gid(): text.get_text() for text in figure.texts}
    assert shown["label-1"].endswith("…")
    assert "\\x1b[2J\\u202e" in shown["label-3"].replace("\n", "")


def test_characters_that_the_font_lacks_are_escaped() -> None:
    with house_style():
        assert drawable("café 犬 x") == "café \\u72ac x"


def test_wrapping() -> None:
    def measure(text: str, size: float) -> float:
        return len(text) * size

    assert wrapped("ab cd efg", 5, 1, measure) == ["ab cd", "efg"]
    assert wrapped("abcdefgh ij", 5, 1, measure) == ["abcde", "fgh", "ij"]
    assert wrapped("ab cd ef gh", 5, 1, measure, most=1) == ["ab c…"]
    assert wrapped("ab", 5, 1, measure, most=1) == ["ab"]

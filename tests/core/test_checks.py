"""What Python callers get wrong: one line each, before anything is measured."""

from __future__ import annotations

import pytest

import conjure
from conjure.core.errors import InputError, NonFiniteError
from conjure.core.spec import Spec, sign
from conjure.core.text import code, fact, markdown, message, printable, shown
from conjure.similarity import cost, stream

PAIRS = [("a", "b")]
LARGE = 10**5000  # Python refuses to print that many digits


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def ask(function, process, max_memory=None, **settings):
    if function is conjure.distances:
        return function(PAIRS, process=process, max_memory=max_memory, **settings)
    return function(PAIRS, process, Spec(**settings), max_memory=max_memory)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"estimand": ["kl"]}, r"unknown estimand \['kl'\]; the estimands are jeffreys"),
        ({"estimand": None}, "unknown estimand None"),
        ({"estimand": {}}, "unknown estimand {}"),
        ({"estimand": "pointwise:" + "9" * 5000}, "give a step from 1 to T, as in pointwise:1"),
        ({"estimand": "pointwise:" + "0" * 5000}, "give a step from 1 to T"),
        ({"estimand": "jeffreys:1"}, "unknown estimand 'jeffreys:1'"),
        ({"samples": "3"}, "samples must be a whole number, at least 1, not '3'"),
        ({"samples": True}, "samples must be a whole number, at least 1, not True"),
        ({"samples": LARGE}, "samples must be a whole number, at least 1, not an int"),
        ({"samples": Unprintable()}, "samples must be .* not an Unprintable"),
        ({"max_memory": "2GB"}, "max_memory must be a whole number, at least 1, not '2GB'"),
        ({"max_memory": 0}, "max_memory must be"),
        ({"max_memory": float("nan")}, "max_memory must be"),
        ({"tolerance": "x"}, "tolerance must be a positive"),
        ({"tolerance": LARGE}, "tolerance must be a positive"),
        ({"cross_steps": "x"}, "cross_steps must be"),
        ({"cross_steps": 10}, "cross_steps must be at most 9"),
    ],
)
@pytest.mark.parametrize("function", [conjure.distances, stream, cost], ids=lambda f: f.__name__)
def test_settings_that_cannot_be_meant(gaussians, function, settings, words: str) -> None:
    process = gaussians()
    with pytest.raises(InputError, match=words) as refused:
        ask(function, process, **{"samples": 2} | settings)
    assert len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)
    assert process.rows == 0


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (None, r"pairs must be a list of \(text, text\), not None"),
        (7, "pairs must be a list"),
        ("ab", "not a single text"),
        ([None], "pair 1 must be two texts, not None"),
        ([("a", "b"), ("a",)], "pair 2 must be two texts"),
        ([("a", 7)], "pair 1: a text must be a str, not 7"),
        ([("a", LARGE)], "pair 1: a text must be a str, not an int"),
        ([("a", "\ud800")], "pair 1: a text is not valid Unicode"),
        ([("a", " ")], "pair 1: a text is empty"),
    ],
)
@pytest.mark.parametrize("function", [conjure.distances, stream, cost], ids=lambda f: f.__name__)
def test_pairs_that_are_none(gaussians, function, pairs, words: str) -> None:
    with pytest.raises(InputError, match=words):
        function(pairs, process=gaussians())


def test_a_name_forges_no_field_and_no_line_of_a_signature(gaussians) -> None:
    def line(name: str, revision: str = "r") -> str:
        process = gaussians()
        process.name, process.revision = name, revision
        return str(sign(process, Spec(estimand="pointwise:1")))

    honest = line("m")
    forged = line("m|rev:r|sampler:euler\nprocess:other\x1b[2J\u202e", "1|w:1")
    assert forged.isprintable()
    assert len(forged.split("|")) == len(honest.split("|"))
    assert [one.partition(":")[0] for one in forged.split("|")] == [
        one.partition(":")[0] for one in honest.split("|")
    ]
    names = ["m", "m|x", "m%7Cx", "m:x", "m%3Ax", "m\n", "m%0A", "m\\n", "m\ud800", "m%ED%A0%80"]
    assert len({line(name) for name in names}) == len(names)
    line("m\ud800").encode()
    assert "estimand:pointwise%3A1|" in honest


UNSAFE = "a\x1b[2J\r\n\x07\x85\x9b\u2028\u202eb\u2066\ud800\x7f\tc"


@pytest.mark.parametrize("safe", [printable, shown, message, markdown, code, fact])
def test_nothing_unsafe_is_left(safe) -> None:
    text = safe(UNSAFE)
    assert all(character.isprintable() for character in text)
    text.encode()
    assert text[0] in "a`"


@pytest.mark.parametrize(
    "text", ["snow leopard", "l'été à Orléans", "犬 🐕‍🦺", "नमस्ते", "שלום", "a\\b"]
)
def test_texts_of_any_language_stay(text: str) -> None:
    assert printable(text) == shown(text) == message(text) == text


def test_long_texts_are_shortened_in_the_middle() -> None:
    text = shown("begin" + "x" * 100_000 + "end")
    assert len(text) == 200
    assert (text[:5], text[-3:]) == ("begin", "end")
    assert len(message("x" * 100_000)) == 1000


def test_a_long_text_is_one_short_line_and_whole_in_json(gaussians, monkeypatch, capsys) -> None:
    from conjure.cli.main import main
    from conjure.core.gaussian import GaussianProcess

    process = gaussians()
    long = "dog\n" * 30_000
    import torch

    there = (torch.zeros(2), torch.eye(2))
    process = GaussianProcess({"a": there, long: (torch.ones(2), torch.eye(2))})
    monkeypatch.setattr(conjure, "load", lambda *_, **__: process, raising=False)
    assert main(["distance", "a", long]) == 0
    title, *rest = capsys.readouterr().out.splitlines()
    assert title.startswith("a | dog\\ndog\\ndog")
    assert len(title) < 500
    assert len(rest) == 2
    assert main(["distance", "a", long, "--json"]) == 0
    import json

    found = json.loads(capsys.readouterr().out)
    assert found["text2"] == long
    assert found["process"] == {"name": process.name, "revision": process.revision}
    assert (found["sampler"], found["dtype"]) == (process.sampler, process.dtype)
    assert found["version"] == conjure.__version__


@pytest.mark.parametrize("guidance", [1e160, 1e200, 1e308])
def test_a_distance_larger_than_any_number_is_refused(gaussians, guidance: float) -> None:
    process = gaussians(guidance=guidance, steps=1)
    with pytest.raises(NonFiniteError, match="take a smaller guidance than 1e"):
        conjure.distance("a", "h", process=process)

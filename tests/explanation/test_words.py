"""What words do: each figure is a difference of two distances that were measured alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import conjure
from conjure.core.gaussian import GaussianProcess
from conjure.core.registry import per_sample
from conjure.explanation.measuring import Parts, explain, prepare


class Sentences(GaussianProcess):
    """Texts of known words: the mean of a text is the sum of its words' means."""

    KNOWN = ("red", "blue", "ball", "toy", "thing", "")

    def __init__(self, **settings: object) -> None:
        draw = torch.Generator().manual_seed(1)
        self.meanings = {
            word: torch.randn(4, generator=draw, dtype=torch.float64) for word in self.KNOWN
        }
        super().__init__({"": (self.meanings[""], torch.eye(4))}, steps=3, **settings)
        self.rows = 0

    def embed(self, prompts):
        for text in prompts:
            mean = sum(self.meanings[word] for word in text.split()) if text else self.meanings[""]
            # unlike spreads, so that forward and backward differ
            spread = 0.5 + len(text.split()) + len(text) / 7
            self.components[text] = (mean, spread * torch.eye(4, dtype=torch.float64))
        return super().embed(prompts)

    def predict(self, x, step, conditioning):
        self.rows += len(x)
        return super().predict(x, step, conditioning)

    def unreadable(self, texts):
        return {
            text: f"{text!r} holds a word that is not known"
            for text in texts
            if not {*text.split()} <= {*self.KNOWN}
        }

    def remarks(self, texts):
        return []


def value(process, a: str, b: str, estimand: str) -> np.ndarray:
    """Each sample's distance, measured for this pair alone."""
    if a == b:
        return np.zeros(2)
    found = conjure.distance(a, b, process=process, samples=2, estimand=estimand)
    return per_sample(found.terms, estimand).numpy()


@pytest.mark.parametrize("estimand", ["jeffreys", "kl"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_changes_are_differences_of_distances(estimand, guidance) -> None:
    process = Sentences(guidance=guidance)
    found = explain(
        *("red ball", "blue toy ball"),
        process=process, samples=2, estimand=estimand, words=True, neutral="thing",
    ).words  # fmt: skip
    assert found is not None
    assert found.words == (("red", "ball"), ("blue", "toy", "ball"))
    a, b = "red ball", "blue toy ball"
    whole = value(process, a, b, estimand)
    left_out = [
        [(text, b) for text in ("ball", "red")],
        [(a, text) for text in ("toy ball", "blue ball", "blue toy")],
    ]
    replaced = [
        [(text, b) for text in ("thing ball", "red thing")],
        [(a, text) for text in ("thing toy ball", "blue thing ball", "blue toy thing")],
    ]
    for side in (0, 1):
        for expected, shown in (
            (left_out[side], found.left_out[side]),
            (replaced[side], found.replaced[side]),
        ):
            changes = [value(process, *pair, estimand) - whole for pair in expected]
            np.testing.assert_allclose(shown, np.stack(changes), rtol=1e-9, atol=1e-12)
    for row, first in enumerate(found.words[0]):
        for column, second in enumerate(found.words[1]):
            expected = value(process, first, second, estimand)
            np.testing.assert_allclose(found.between[row, column], expected, rtol=1e-9)
    np.testing.assert_allclose(found.matrix, found.between.mean(axis=2))


def test_one_plan_walks_each_text_once() -> None:
    process = Sentences(guidance=2.0)
    prepared = prepare(
        ("red ball", "blue ball"), process, conjure.Spec(2), Parts(words=True, neutral="thing")
    )
    texts = {text for pair in prepared.pairs for text in pair}
    assert len(set(prepared.pairs)) == len(prepared.pairs)
    steps, pairs = 3, len({frozenset(pair) for pair in prepared.pairs if pair[0] != pair[1]})
    rows = 2 * (1 + len(texts) * (2 * steps - 2) + 2 * pairs * (steps - 1))
    found = prepared.run()
    assert prepared.plan.rows == process.rows == found.words.rows == rows
    assert prepared.plan.recomputed == 0
    alone = explain("red ball", "blue ball", process=process, samples=2)
    np.testing.assert_allclose(found.maps, alone.maps, rtol=1e-9)


def test_what_cannot_be_said_is_missing_and_said() -> None:
    process = Sentences()
    process.meanings["unheard"] = process.meanings["red"]
    found = explain(
        "ball", "unheard toy", process=_Deaf(process), samples=2, words=True, neutral="thing"
    ).words
    assert found is not None
    assert np.isnan(found.left_out[0]).all()  # nothing is left of "ball"
    assert np.isfinite(found.replaced[0]).all()
    assert np.isnan(found.left_out[1][1]).all()  # "unheard" alone
    assert np.isfinite(found.left_out[1][0]).all()
    assert np.isnan(found.between[0, 0]).all()
    assert np.isfinite(found.between[0, 1]).all()
    assert "'ball' is the only word of its text" in found.notes[0]
    assert "such as 'unheard'" in found.notes[1]


class _Deaf:
    """A process that reads "unheard" only beside other words."""

    def __init__(self, process: Sentences) -> None:
        self._process = process

    def __getattr__(self, name: str):
        return getattr(self._process, name)

    def unreadable(self, texts):
        return {
            text: f"nothing of {text!r} is known"
            for text in texts
            if {*text.split()} & {"unheard"} and len(text.split()) == 1
        }

    def remarks(self, texts):
        return []


def test_a_neutral_word_that_is_not_known_is_refused() -> None:
    with pytest.raises(conjure.InputError, match="the neutral word: 'xyzzy' holds a word"):
        explain("red ball", "toy", process=Sentences(), words=True, neutral="xyzzy")

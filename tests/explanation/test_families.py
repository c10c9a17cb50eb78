"""Explanations of pipelines of several kinds: other scales of x, other currencies."""

from __future__ import annotations

import numpy as np
import pytest
from small import sd3
from small_pipelines import save_pipeline

import conjure
from conjure.explanation.measuring import explain
from conjure.explanation.morph import morph

# diffusers' schedulers hand torch tensors to numpy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TEXTS = ("a dog", "a violin")
KINDS = {
    "sd, x grows with the noise": (
        save_pipeline,
        {"sampler": "euler-ancestral", "guidance": 3.0, "compare": "score"},
    ),
    "sd3, predicts a velocity": (sd3.save_sd3, {"guidance": 3.0}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_families_are_explained(kind, tmp_path) -> None:
    save, settings = KINDS[kind]
    save(tmp_path / "tiny")
    process = conjure.load(tmp_path / "tiny", steps=2, device="cpu", **settings)
    found = explain(*TEXTS, process=process)
    assert found.distance.value > 0
    whole = found.maps.sum(axis=(1, 3, 4)).mean()
    assert whole == pytest.approx(found.distance.value, rel=1e-12)
    asked = conjure.distance(*TEXTS, process=process)
    assert asked.value == pytest.approx(found.distance.value, rel=1e-4)
    pictures = found.pictures
    assert pictures is not None
    assert pictures.decoded
    # the last step of Euler's method goes to σ = 0: it ends where the own prediction points to
    for half in (0, 1):
        end, both = pictures.trajectory[half, -1], pictures.predicted[half, -1]
        own, cross = (float(np.abs(both[text] - end).max()) for text in (half, 1 - half))
        assert own < 1e-4
        assert own < cross / 5
    made = morph(*TEXTS, process=process, frames=3)
    np.testing.assert_allclose(made.frames[[0, 2]], pictures.finals[0], atol=2e-3)

"""Two processes as one: against one process that knows the Gaussians of both."""

from __future__ import annotations

import pytest
import torch

import conjure
from conjure.comparison.side_by_side import SideBySide, first, second
from conjure.core.errors import InputError
from conjure.core.gaussian import GaussianProcess
from conjure.core.spec import process_key

EYE = torch.eye(2)
NULL = (torch.zeros(2), 2 * EYE)
HERE = (torch.tensor([1.0, 2.0]), EYE)
THERE = (torch.tensor([-1.0, 0.5]), 3 * EYE)


def gaussians(x, y=THERE, null=NULL, **settings) -> GaussianProcess:
    return GaussianProcess({"": null, "x": x, "y": y}, **settings)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("estimand", ["jeffreys", "kl", "output", "coupled"])
def test_a_text_between_two_processes_is_two_texts_of_one(guidance, estimand):
    before, after = gaussians(HERE, guidance=guidance), gaussians(THERE, guidance=guidance)
    both = SideBySide(before, after)
    wanted = conjure.distance("x", "y", process=before, samples=2, estimand=estimand)
    found = conjure.distance(first("x"), second("x"), process=both, samples=2, estimand=estimand)
    assert found.value == pytest.approx(wanted.value, rel=1e-12)
    within = conjure.distance(second("x"), second("y"), process=both, estimand=estimand)
    assert within.value == 0  # in ``after`` x and y are the same Gaussian


def test_another_unconditional_prediction_counts():
    """ε_∅ cancels within a process, not between two of them."""
    other = (torch.ones(2), EYE)
    before, after = gaussians(HERE, guidance=4.0), gaussians(HERE, null=other, guidance=4.0)
    both = SideBySide(before, after)
    assert conjure.distance(first("x"), second("x"), process=both).value > 0.1
    plain = SideBySide(gaussians(HERE), gaussians(HERE, null=other))
    assert conjure.distance(first("x"), second("x"), process=plain).value == 0


def test_the_key_names_both_processes():
    before, after = gaussians(HERE, guidance=2.0), gaussians(THERE, guidance=3.0)
    key = process_key(SideBySide(before, after))
    assert key["revision"] == f"{before.revision}+{after.revision}"
    assert (key["guidance_scale1"], key["guidance_scale2"]) == (2.0, 3.0)
    assert key != process_key(SideBySide(after, before))


def test_processes_without_common_states_are_refused():
    with pytest.raises(InputError, match="schedule differ"):
        SideBySide(gaussians(HERE), gaussians(HERE, steps=5))
    flat = GaussianProcess({"": (torch.zeros(3), torch.eye(3))})
    with pytest.raises(InputError, match="latent_shape differ"):
        SideBySide(gaussians(HERE), flat)


def test_an_edit_by_hand_changes_the_key(tiny_pipeline):
    one, other = (conjure.load(tiny_pipeline, steps=2, device="cpu") for _ in range(2))
    both = SideBySide(one, other)
    before = conjure.distance(first("a dog"), second("a dog"), process=both)
    assert before.value == 0
    with torch.no_grad():
        for name, weight in other.pipeline.unet.named_parameters():
            if "attn2.to_v" in name:
                weight.mul_(0.5)
    after = conjure.distance(first("a dog"), second("a dog"), process=both)
    assert after.value > 0
    assert after.signature.key["revision"] != before.signature.key["revision"]

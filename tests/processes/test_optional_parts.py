"""Parts that a model may leave out: by ``[null, null]``, and where the family allows it."""

from dataclasses import replace

import diffusers
import pytest
from folder_tools import edit_json, refusal

from conjure.processes import load, registry
from conjure.processes.stable_diffusion import FAMILY

PARTS = {**FAMILY.parts, "vae": replace(FAMILY.parts["vae"], optional=True)}


@pytest.fixture
def optional_vae(monkeypatch):
    monkeypatch.setattr(registry, "_OURS", {})
    monkeypatch.setattr(registry, "_REGISTERED", {FAMILY.name: replace(FAMILY, parts=PARTS)})


def test_a_part_that_is_said_to_be_absent_is_none_and_changes_the_revision(folder, optional_vae):
    whole = load(folder, device="cpu")
    assert isinstance(whole.pipeline.vae, diffusers.AutoencoderKL)
    edit_json(folder / "model_index.json", vae=[None, None])
    without = load(folder, device="cpu")
    assert without.pipeline.vae is None
    assert without.revision != whole.revision


def test_a_part_that_is_said_to_be_there_is_never_left_out(folder, optional_vae):
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    assert "it has no vae" in refusal(folder)


def test_a_part_that_is_needed_cannot_be_absent(folder, optional_vae):
    edit_json(folder / "model_index.json", unet=[None, None])
    assert "says that its unet is [None, None]" in refusal(folder)

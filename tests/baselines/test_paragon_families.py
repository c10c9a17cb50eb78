"""The paragon of other families: one state a token, or a refusal in one line."""

import pytest
import torch
from small.audioldm2 import save_audioldm2
from small.pixart import save_pixart
from small.sdxl import save_sdxl

from conjure.baselines.paragon import paragon
from conjure.core.errors import InputError
from conjure.processes import load


def test_a_process_that_is_told_more_has_none(tmp_path):
    process = load(save_audioldm2(tmp_path / "audio"), device="cpu")
    with pytest.raises(InputError, match="more than the states of one text encoder") as caught:
        paragon(process)
    assert "\n" not in str(caught.value)


def test_a_text_is_pooled_as_the_process_reads_it(tmp_path):
    """PixArt reads small letters; "A" alone is no token of the tests' tokenizer."""
    process = load(save_pixart(tmp_path / "sigma"), device="cpu")
    row = paragon(process)
    found = row.distances([("a dog", "A DOG"), ("a dog", "a cat")])
    assert found[0] == pytest.approx(0, abs=1e-6)
    told = process.embed(["a dog", "a cat"]).tensors
    states, mask = told["encoder_hidden_states"], told["encoder_attention_mask"].unsqueeze(2)
    means = (states * mask).sum(dim=1) / mask.sum(dim=1)
    expected = 1 - torch.cosine_similarity(means[0], means[1], dim=0)
    assert found[1] == pytest.approx(float(expected), abs=1e-5)
    with pytest.raises(InputError, match="use mean"):
        paragon(process, "cls")


def test_sdxl_has_one_state_a_token(tmp_path):
    process = load(save_sdxl(tmp_path / "xl"), device="cpu")
    assert paragon(process).distances([("a dog", "a cat")])[0] > 0

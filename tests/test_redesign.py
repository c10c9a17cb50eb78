"""Numbers of the bundled process as they were before names and contracts changed."""

import json
from pathlib import Path

import pytest
import torch

import conjure
from conjure.core.divergence import pair_terms
from conjure.core.spec import Spec

KEPT = json.loads((Path(__file__).parent / "emoji_terms.json").read_text())


@pytest.mark.parametrize(
    "setting", KEPT["settings"], ids=lambda s: f"{s['sampler']}-{s['steps']}-{s['guidance']}"
)
def test_terms_are_the_old_ones(setting):
    """In float64, so that the processor's own rounding is far below 1e-6."""
    process = conjure.load(
        dtype="float64",
        sampler=setting["sampler"],
        steps=setting["steps"],
        guidance=setting["guidance"],
    )
    pairs = [tuple(pair) for pair in KEPT["pairs"]]
    found = pair_terms(process, pairs, KEPT["seeds"], Spec(record={"output", "coupled"}))
    for terms, old in zip(found, setting["terms"], strict=True):
        for name, values in old.items():
            kept = torch.tensor(values, dtype=torch.float64)
            torch.testing.assert_close(getattr(terms, name), kept, rtol=1e-6, atol=0)

"""Settings and folders that would give another number than they say: one line instead."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from folder_tools import refusal

from conjure.cli.main import main
from conjure.core.errors import InputError
from conjure.core.spec import Spec
from conjure.processes import load
from conjure.runs.passes import Passes


def test_torch_takes_a_seed_for_another_2_to_the_32_above():
    """Why such seeds are refused; should torch read more bits one day, they need not be."""
    noise = [torch.randn(9, generator=torch.Generator().manual_seed(s)) for s in (5, 2**32 + 5)]
    assert noise[0].equal(noise[1])


def test_the_largest_seeds_are_taken(gaussians, tmp_path):
    assert Spec(seed=2**32 - 1).seed == 2**32 - 1
    assert Spec(seed=2**32 - 3, samples=3).samples == 3
    with Passes(tmp_path, seed=2**32 - 1) as passes:
        assert len(passes.measure(gaussians(), [("a", "b")])) == 1
        with pytest.raises(InputError, match="again"):
            passes.measure(gaussians(), [("a", "b")], samples=2)


@pytest.mark.parametrize(
    "kind",
    [
        *("FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler", "ScoreSdeVeScheduler"),
        *("CMStochasticIterativeScheduler", "DDPMWuerstchenScheduler", "IPNDMScheduler"),
    ],
)
def test_a_scheduler_without_betas_is_refused(tiny_pipeline, tmp_path, kind):
    """Every sampler would fall back to diffusers' default betas, which the model never saw."""
    folder = tmp_path / "other"
    shutil.copytree(tiny_pipeline, folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", kind]
    (folder / "model_index.json").write_text(json.dumps(index))
    config = {"_class_name": kind, "num_train_timesteps": 1000}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    assert f"{kind}, has no noise schedule of betas" in refusal(folder)


def test_betas_are_enough(tiny_pipeline):
    assert load(tiny_pipeline, steps=2).schedule.sigmas[0] > 1


def test_a_warning_that_is_an_error_is_one_line(capfd):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert main(["distance", "dog " * 300, "a cat", "--steps", "2"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("conjure: emoji reads 32 tokens")
    assert err.count("\n") == 1

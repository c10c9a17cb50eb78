"""The adapter and the estimator against a naive loop over plain diffusers (``bench/naive.py``)."""

import diffusers
import pytest
import torch

import conjure
from benchmarks.naive import naive_terms
from conjure.processes import load

KINDS = {
    "lms": diffusers.LMSDiscreteScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler-ancestral": diffusers.EulerAncestralDiscreteScheduler,
    "ddim": diffusers.DDIMScheduler,
    "ddpm": diffusers.DDPMScheduler,
    "dpm-solver++": diffusers.DPMSolverMultistepScheduler,
}
# diffusers' schedulers hand torch tensors to numpy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PROMPTS = ("a dog", "a violin")

FLOAT32 = 1e-4  # relative: kernels differ by processor and by batch, and the steps amplify that


def check(folder, sampler, dtype, rtol, steps=4, guidance=7.5):
    process = load(
        folder, sampler=sampler, steps=steps, guidance=guidance, dtype=dtype, batch_size=3
    )
    ours = conjure.distance(*PROMPTS, process=process, samples=2, seed=3).terms
    forward, backward = naive_terms(
        process.pipeline,
        PROMPTS,
        KINDS[sampler],
        steps=steps,
        guidance=guidance,
        samples=2,
        seed=3,
    )
    assert forward.min() > 0.1  # far above rounding, so that agreement means something
    assert not torch.allclose(forward, backward, rtol=1e-2)  # at x_T they are equal, later not
    torch.testing.assert_close(ours.forward, forward, rtol=rtol, atol=0)
    torch.testing.assert_close(ours.backward, backward, rtol=rtol, atol=0)


@pytest.mark.parametrize("sampler", KINDS)
@pytest.mark.parametrize("model", ["epsilon", "v_prediction"])
def test_float32_agrees_with_plain_diffusers(pipelines, model, sampler):
    check(pipelines[model], sampler, "float32", rtol=FLOAT32)


@pytest.mark.parametrize("sampler", ["lms", "ddim", "ddpm"])
@pytest.mark.parametrize("model", ["epsilon", "v_prediction"])
def test_float64_agrees_with_plain_diffusers(pipelines, model, sampler):
    check(pipelines[model], sampler, "float64", rtol=1e-10)


@pytest.mark.parametrize("sampler", ["euler", "euler-ancestral", "dpm-solver++"])
def test_float64_agrees_as_far_as_diffusers_steps_in_it(pipelines, sampler):
    """These three round x to float32 in each step, at other places for v than for ε."""
    check(pipelines["epsilon"], sampler, "float64", rtol=1e-10)
    check(pipelines["v_prediction"], sampler, "float64", rtol=1e-6)


def test_a_model_that_predicts_the_picture_agrees(pipelines):
    check(pipelines["sample"], "ddim", "float32", rtol=FLOAT32)


def test_a_model_with_a_masked_text_encoder_agrees(pipelines):
    check(pipelines["albert"], "ddim", "float32", rtol=FLOAT32)


def test_an_unguided_run_agrees(pipelines):
    check(pipelines["epsilon"], "lms", "float32", rtol=FLOAT32, steps=6, guidance=1.0)

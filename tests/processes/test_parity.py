"""Every family against its own pipeline: the pipeline's call, and a plain double evaluation.

A family is one line in FAMILIES. What is compared: x_0 of our trajectory with what the pipeline's
``__call__`` returns from the same noise, and our terms with the squared difference of two guided
predictions at the recorded inputs, taken by plain calls of the network.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import diffusers
import pytest
import torch
from small_pipelines import save_pipeline

from conjure.core.divergence import measure
from conjure.core.sampling import walk
from conjure.processes import load

# diffusers' schedulers hand torch tensors to numpy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

KINDS = {
    "lms": (diffusers.LMSDiscreteScheduler, {}),
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "euler-ancestral": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "ddim": (diffusers.DDIMScheduler, {}),
    "ddpm": (diffusers.DDPMScheduler, {"variance_type": "fixed_small"}),
    "dpm-solver++": (diffusers.DPMSolverMultistepScheduler, {}),
}
RTOL = 1e-4  # float32


@dataclass(frozen=True)
class Family:
    """build: (folder, prediction type) → a small pipeline on disk; predictions: its kinds;
    predict: (pipeline, scheduler input, timesteps, prompt) → the network's own prediction."""

    build: Callable[..., Any]
    predictions: tuple[str, ...]
    predict: Callable[..., torch.Tensor]


def stable_diffusion(pipeline, x, timesteps, prompt):
    states, _ = pipeline.encode_prompt(prompt, pipeline.device, 1, False)
    states = states.expand(len(x), -1, -1)
    return pipeline.unet(x, timesteps, encoder_hidden_states=states).sample


FAMILIES = {
    "StableDiffusionPipeline": Family(
        save_pipeline, ("epsilon", "v_prediction", "sample"), stable_diffusion
    ),
}
CASES = [(name, kind) for name, family in FAMILIES.items() for kind in family.predictions]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A small pipeline of each family and prediction, and one whose pictures are not square."""
    root = tmp_path_factory.mktemp("families")
    made = {(name, kind): FAMILIES[name].build(root / name / kind, kind) for name, kind in CASES}
    wide = save_pipeline(root / "wide")
    edit(wide / "unet" / "config.json", sample_size=[4, 12])
    zero = save_pipeline(root / "zero", "v_prediction")
    edit(
        zero / "scheduler" / "scheduler_config.json",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )
    return {**made, "wide": wide, "zero": zero}


@pytest.fixture(scope="module")
def opened(folders):
    """case → a process, and the same pipeline loaded a second time for diffusers alone."""
    return cache(
        lambda case: (load(folders[case], sampler="ddim"), load(folders[case], sampler="ddim"))
    )


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def check_trajectory(loaded, sampler, steps, guidance):
    own, other = loaded
    process = own.with_settings(sampler=sampler, steps=steps, guidance=guidance)
    *_, last = walk(process, ["a dog"], [5], finish=True)
    kind, changes = KINDS[sampler]
    if steps == 1:
        changes = {**changes, "timestep_spacing": "trailing"}  # as ours: x_T is to be noise
    pipeline = other.pipeline
    config = own.pipeline.scheduler.config
    pipeline.scheduler = kind.from_config(config, clip_sample=False, **changes)
    generator = torch.Generator("cpu").manual_seed(5)
    noise = torch.randn(1, *process.latent_shape, generator=generator)
    # The pipeline guides above 1 only. At w = 0 the guided prediction is that of no text.
    prompt, scale = ("", 1.0) if guidance == 0 else ("a dog", guidance)
    found = pipeline(
        prompt,
        latents=noise,
        generator=generator,
        num_inference_steps=steps,
        guidance_scale=scale,
        output_type="latent",
    ).images
    ours = last.x_next[0]
    assert ours.shape == found.shape
    assert (ours - found).norm() <= RTOL * found.norm()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
@pytest.mark.parametrize("sampler", KINDS)
@pytest.mark.parametrize("steps", [1, 2, 10, 20])
def test_a_trajectory_is_the_pipelines_own(opened, case, sampler, steps):
    if case[1] == "sample" and sampler == "euler-ancestral":
        pytest.skip("diffusers' own euler-ancestral takes no x₀-prediction")
    for guidance in (0.0, 1.0, 7.5):
        check_trajectory(opened(case), sampler, steps, guidance)


@pytest.mark.parametrize("sampler", KINDS)
def test_pictures_that_are_not_square_are_the_pipelines_own(opened, sampler):
    check_trajectory(opened("wide"), sampler, 3, 7.5)


@pytest.mark.parametrize("sampler", [name for name in KINDS if name != "lms"])
@pytest.mark.parametrize("steps", [1, 2, 10, 20])
def test_zero_terminal_snr_is_the_pipelines_own(opened, sampler, steps):
    for guidance in (1.0, 7.5):
        check_trajectory(opened("zero"), sampler, steps, guidance)


class Points:
    """Every comparison, as it comes."""

    def __init__(self):
        self.seen = []

    def on_step(self, prompts, seeds, step):
        pass

    def on_comparison(self, comparison):
        self.seen.append(comparison)


@pytest.mark.parametrize("case", [*CASES, "wide", "zero"], ids=str)
@pytest.mark.parametrize("sampler", ["euler", "ddim", "ddpm"])
@pytest.mark.parametrize("guidance", [0.0, 1.0, 7.5])
def test_terms_are_a_plain_double_evaluation(opened, case, sampler, guidance):
    """ε in float64 from the network's own prediction, guided as it is printed."""
    process = opened(case)[0].with_settings(sampler=sampler, steps=5, guidance=guidance)
    points = Points()
    [(_, terms)] = measure(process, [("a dog", "a violin")], [5, 6], observer=points)
    predict = FAMILIES[case[0] if isinstance(case, tuple) else "StableDiffusionPipeline"].predict
    kind = process.pipeline.scheduler.config.prediction_type
    exploding = sampler == "euler"
    for point in points.seen:
        for n, (seed, j) in enumerate(zip(point.seed.tolist(), point.step.tolist(), strict=True)):
            sigma_hat = process.schedule.sigmas[j]
            alpha = 1 / (1 + sigma_hat**2) ** 0.5
            sigma = (1 - alpha**2) ** 0.5
            x = point.x[n] * (alpha if exploding else 1.0)
            t = torch.full((2,), process.schedule.timesteps[j])
            eps = {}
            for prompt in ("", "a dog", "a violin"):
                out = predict(process.pipeline, x, t, prompt).double()
                if kind == "v_prediction":
                    out = alpha * out + sigma * x.double()
                if kind == "sample":
                    out = (x.double() - alpha * out) / sigma
                eps[prompt] = out
            guided = {p: eps[""] + guidance * (eps[p] - eps[""]) for p in ("a dog", "a violin")}
            gap = (guided["a dog"] - guided["a violin"]).square().flatten(1).sum(dim=1)
            i = seed - 5
            ours = torch.stack([terms.forward[i, j], terms.backward[i, j]])
            torch.testing.assert_close(ours, gap, rtol=1e-3, atol=1e-9)

"""Every family against its own pipeline: the pipeline's call, and a plain double evaluation.

A family is one line in FAMILIES. What is compared: the end of our trajectory with what the
pipeline's ``__call__`` returns from the same noise, and our terms with the squared difference of
two guided predictions at the recorded inputs, taken by plain calls of the network. Zero terminal
SNR under ddim, euler and ddpm is in ``test_ends.py``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import diffusers
import label_family
import pytest
import torch
from folder_tools import edit_json
from parity_tools import Points, predict_sd
from small import audioldm2, lcm, pixart, sdxl
from small_pipelines import save_pipeline

from conjure.core.divergence import measure
from conjure.core.sampling import walk
from conjure.processes import load, registry

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
GUIDANCES = {1: (0.0, 1.0, 7.5), 2: (0.0, 1.0, 7.5), 10: (1.0, 7.5), 20: (7.5,)}  # by T
FEW = {1: (7.5,), 3: (0.0, 1.0, 7.5)}  # for families that share the samplers
RTOL = 1e-4  # float32
PROMPTS = ("a dog", "a violin")


@dataclass(frozen=True)
class Family:
    """save:        (folder, prediction type) → a small pipeline on disk
    predictions: its kinds
    call:        (pipeline, prompt or None for no text, noise, generator, T, w) → what it returns
    end:         (process, x_0) → the same of ours
    predict:     (pipeline, scheduler input, timesteps, prompt or None) → the network's prediction
    samplers:    those that the pipeline's own call can run; "native" is what it came with
    guidances:   the w that are tried, by T
    subtracts:   whether ε_∅ is subtracted; else the network is told w
    """

    save: Callable[..., Any]
    predictions: tuple[str, ...]
    call: Callable[..., torch.Tensor]
    end: Callable[..., torch.Tensor]
    predict: Callable[..., torch.Tensor]
    samplers: tuple[str, ...] = tuple(KINDS)
    guidances: Mapping[int, tuple[float, ...]] = field(default_factory=lambda: GUIDANCES)
    subtracts: bool = True


def call_sd(pipeline, prompt, noise, generator, steps, guidance):
    return pipeline(
        prompt or "",
        latents=noise,
        generator=generator,
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="latent",
    ).images


def label_of(pipeline, prompt):
    return label_family.NO_CLASS if prompt is None else pipeline.labels[prompt]


def call_dit(pipeline, prompt, noise, generator, steps, guidance):
    """It draws the noise itself and returns pictures."""
    return pipeline(
        [label_of(pipeline, prompt)],
        generator=generator.manual_seed(generator.initial_seed()),
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="pt",
    ).images


def predict_dit(pipeline, x, timesteps, prompt):
    labels = torch.full((len(x),), label_of(pipeline, prompt))
    return pipeline.transformer(x, timestep=timesteps, class_labels=labels).sample[:, :4]


ALL = ("epsilon", "v_prediction", "sample")
FAMILIES = {
    "sd": Family(save_pipeline, ALL, call_sd, lambda process, x: x, predict_sd),
    "dit": Family(  # its call scales no input, and gives schedulers no generator
        label_family.save_label_pipeline,
        ("epsilon", "v_prediction"),
        call_dit,
        lambda process, x: process.decode(x),
        predict_dit,
        ("ddim", "dpm-solver++"),
    ),
    "sdxl": Family(
        sdxl.save_sdxl,
        ("epsilon", "v_prediction"),
        sdxl.call_sdxl,
        lambda process, x: x,
        sdxl.predict_sdxl,
        ("lms", "euler-ancestral", "ddim"),
        FEW,
    ),
    "lcm": Family(
        lcm.save_lcm,
        ("epsilon",),
        lcm.call_lcm,
        lambda process, x: x,
        lcm.predict_lcm,
        ("native",),
        {1: (8.5,), 4: (1.0, 8.5)},
        subtracts=False,
    ),
    "audioldm2": Family(
        audioldm2.save_audioldm2,
        ("epsilon",),
        audioldm2.call_audioldm2,
        lambda process, x: x,
        audioldm2.predict_audioldm2,
        ("lms", "ddim", "euler-ancestral"),
        {3: (1.0, 3.5)},
    ),
    "pixart-alpha": Family(
        pixart.save_alpha,
        ("epsilon",),
        pixart.call_pixart,
        lambda process, x: x,
        pixart.predict_pixart,
        ("lms", "ddpm"),
        {3: (0.0, 1.0, 4.5)},  # at T = 1 its pipeline returns x̂₀ in place of the step
    ),
    "pixart-sigma": Family(
        pixart.save_pixart,
        ("epsilon", "v_prediction"),
        pixart.call_pixart,
        lambda process, x: x,
        pixart.predict_pixart,
        ("lms", "ddpm", "dpm-solver++"),
        FEW,
    ),
}
CASES = [(name, kind) for name, family in FAMILIES.items() for kind in family.predictions]
RUNS = [
    (case, sampler, steps)
    for case in CASES
    for sampler in FAMILIES[case[0]].samplers
    for steps in FAMILIES[case[0]].guidances
    if (case[1], sampler) != ("sample", "euler-ancestral")  # whose step takes no x₀ in diffusers
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """case → a process, and the same pipeline loaded a second time for diffusers alone."""
    root = tmp_path_factory.mktemp("families")

    @cache
    def opened(case):
        name, kind = case
        folder = root / name / kind
        FAMILIES[name].save(folder, kind if kind in ALL else "v_prediction")
        if kind == "wide":
            edit_json(folder / "unet" / "config.json", sample_size=[4, 12])
        if kind == "zero":
            scheduler = folder / "scheduler" / "scheduler_config.json"
            edit_json(scheduler, rescale_betas_zero_snr=True, timestep_spacing="trailing")
        return load(folder, sampler="ddim"), load(folder, sampler="ddim")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(registry, "_REGISTERED", {})
        registry.register_family(label_family.FAMILY)
        yield opened


def check_trajectory(loaded, family, sampler, steps, guidance):
    own, other = loaded
    process = own.with_settings(sampler=sampler, steps=steps, guidance=guidance)
    *_, last = walk(process, PROMPTS[:1], [5], finish=True)
    pipeline = other.pipeline
    if sampler != "native":
        kind, changes = KINDS[sampler]
        if steps == 1:
            changes = {**changes, "timestep_spacing": "trailing"}  # as ours: x_T is to be noise
        config = own.pipeline.scheduler.config
        pipeline.scheduler = kind.from_config(config, clip_sample=False, **changes)
    generator = torch.Generator("cpu").manual_seed(5)
    noise = torch.randn(1, *process.latent_shape, generator=generator)
    # The pipelines guide above 1 only. At w = 0 the guided prediction is that of no text.
    prompt, scale = (None, 1.0) if guidance == 0 else (PROMPTS[0], guidance)
    found = family.call(pipeline, prompt, noise, generator, steps, scale)
    ours = family.end(process, last.x_next[0])
    assert ours.shape == found.shape
    assert (ours - found).norm() <= RTOL * found.norm()


@pytest.mark.parametrize(
    ("case", "sampler", "steps"),
    RUNS,
    ids=lambda part: "-".join(part) if isinstance(part, tuple) else str(part),
)
def test_a_trajectory_is_the_pipelines_own(opened, case, sampler, steps):
    for guidance in FAMILIES[case[0]].guidances[steps]:
        check_trajectory(opened(case), FAMILIES[case[0]], sampler, steps, guidance)


@pytest.mark.parametrize("sampler", KINDS)
def test_pictures_that_are_not_square_are_the_pipelines_own(opened, sampler):
    check_trajectory(opened(("sd", "wide")), FAMILIES["sd"], sampler, 3, 7.5)


@pytest.mark.parametrize("sampler", ["euler-ancestral", "dpm-solver++"])
@pytest.mark.parametrize("steps", [1, 2, 10, 20])
def test_zero_terminal_snr_is_the_pipelines_own(opened, sampler, steps):
    for guidance in GUIDANCES[steps][-2:]:
        check_trajectory(opened(("sd", "zero")), FAMILIES["sd"], sampler, steps, guidance)


@torch.inference_mode()
def plain_squares(process, family, sampler, x, step, guidance):
    """‖ε(x|a) − ε(x|b)‖² at x (n, 2, …), guided as it is printed, in float64 → (n, 2)."""
    kind = process.pipeline.scheduler.config.prediction_type
    sigma_hat = torch.tensor(process.schedule.sigmas, dtype=torch.float64)[step]
    alpha = (1 + sigma_hat**2) ** -0.5
    sigma = (1 - alpha**2).sqrt()
    alpha, sigma = (t.repeat_interleave(2).reshape(-1, 1, 1, 1) for t in (alpha, sigma))
    x = x.flatten(0, 1)
    x = (x * alpha if sampler == "euler" else x).float()
    t = torch.tensor(process.schedule.timesteps)[step].repeat_interleave(2)

    def eps(prompt):
        out = family.predict(process.pipeline, x, t, prompt).double()
        if kind == "v_prediction":
            return alpha * out + sigma * x.double()
        return out if kind == "epsilon" else (x.double() - alpha * out) / sigma

    if not family.subtracts:
        process.pipeline._guidance_scale = guidance  # as its own call tells it
        a, b = (eps(prompt) for prompt in PROMPTS)
        return (a - b).square().flatten(1).sum(dim=1).reshape(-1, 2)
    null = eps(None)
    a, b = (null + guidance * (eps(prompt) - null) for prompt in PROMPTS)
    return (a - b).square().flatten(1).sum(dim=1).reshape(-1, 2)


ALONE = ("sd", "dit")  # the other families share what these are tried with in full
TERMS = [
    (case, sampler, guidance)
    for case in [*CASES, ("sd", "wide"), ("sd", "zero")]
    for sampler in ("euler", "ddim", "ddpm")
    for guidance in (0.0, 1.0, 7.5)
    if case[0] in ALONE or (sampler, guidance) in {("euler", 7.5), ("ddim", 1.0)}
]


@pytest.mark.parametrize(
    ("case", "sampler", "guidance"),
    TERMS,
    ids=lambda part: "-".join(part) if isinstance(part, tuple) else str(part),
)
def test_terms_are_a_plain_double_evaluation(opened, case, sampler, guidance):
    process = opened(case)[0].with_settings(sampler=sampler, steps=5, guidance=guidance)
    points, family = Points(), FAMILIES[case[0]]
    [(_, terms)] = measure(process, [PROMPTS], [5, 6], observer=points)
    x, seed, step = points.joined()
    assert len(x) == 2 * 5
    gap = plain_squares(process, family, sampler, x, step, guidance)
    ours = torch.stack([terms.forward[seed - 5, step], terms.backward[seed - 5, step]], dim=1)
    torch.testing.assert_close(ours, gap, rtol=1e-3, atol=1e-9)

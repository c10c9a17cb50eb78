"""Every flow-matching family against its own pipeline, and against a plain double evaluation.

A family is one line in FLOWS. What is compared is what ``test_parity.py`` compares. The pipeline
keeps the scheduler that it came with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import pytest
import torch
from parity_tools import Points
from small import flux, flux2_klein, qwen_image, sana, sd3, z_image

from conjure.core.divergence import measure
from conjure.core.sampling import walk
from conjure.processes import load
from conjure.processes.flow import FlowProcess

# diffusers' schedulers hand torch tensors to numpy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RTOL = 1e-4  # float32
PROMPTS = ("a dog", "a violin")


@dataclass(frozen=True)
class Family:
    """save:      folder → a small pipeline on disk
    call:      (pipeline, prompt, noise, generator, T, w) → the latents that it returns
    predict:   (pipeline, x, timesteps, prompt or None for no text, w) → the network's velocity, a
               row at a time
    guidances: what the family is tested with
    end:       (process, x_0) → what the call returns
    steps:     the T of its trajectories
    settings:  further ones of the process
    """

    save: Callable[..., Any]
    call: Callable[..., torch.Tensor]
    predict: Callable[..., torch.Tensor]
    guidances: tuple[float, ...] = (1.0, 5.0)
    end: Callable[..., torch.Tensor] = lambda process, x: x
    steps: tuple[int, ...] = (1, 3)
    settings: dict[str, Any] = field(default_factory=dict)


FLOWS = {
    "sd3": Family(sd3.save_sd3, sd3.call_sd3, sd3.predict_sd3),
    "sd3-without-t5": Family(
        lambda folder: sd3.save_sd3(folder, t5=False), sd3.call_sd3, sd3.predict_sd3, (5.0,)
    ),
    "flux-dev": Family(flux.save_flux, flux.call_flux, flux.predict_flux, (3.5,)),
    "flux-schnell": Family(
        lambda folder: flux.save_flux(folder, dev=False), flux.call_flux, flux.predict_flux, (1.0,)
    ),
    "flux-true-cfg": Family(
        flux.save_flux,
        partial(flux.call_flux, negative_prompt="", true_cfg_scale=3.0),
        flux.predict_flux,
        (3.5,),
        settings={"true_cfg_scale": 3.0},
    ),
    "schnell-true-cfg": Family(
        lambda folder: flux.save_flux(folder, dev=False),
        partial(flux.call_flux, negative_prompt="a cat", true_cfg_scale=3.0),
        lambda pipeline, x, t, prompt, w: flux.predict_flux(pipeline, x, t, prompt or "a cat", w),
        (1.0,),
        settings={"true_cfg_scale": 3.0, "negative_prompt": "a cat"},
    ),
    "sana": Family(sana.save_sana, sana.call_sana, sana.predict_sana),
    "sana-euler": Family(
        lambda folder: sana.save_sana(folder, euler=True), sana.call_sana, sana.predict_sana, (4.5,)
    ),
    "klein-base": Family(
        flux2_klein.save_klein,
        flux2_klein.call_klein,
        flux2_klein.predict_klein,
        end=lambda process, x: process.unscale(x),
    ),
    "klein": Family(
        lambda folder: flux2_klein.save_klein(folder, distilled=True),
        flux2_klein.call_klein,
        flux2_klein.predict_klein,
        (1.0,),
        lambda process, x: process.unscale(x),
    ),
    "qwen-image": Family(
        qwen_image.save_qwen_image,
        qwen_image.call_qwen_image,
        qwen_image.predict_qwen_image,
        (1.0, 4.0),
        steps=(2, 3),  # diffusers stretches one step to NaN (shift_terminal)
    ),
    "z-image": Family(
        z_image.save_z_image, z_image.call_z_image, z_image.predict_z_image, (0.0, 5.0)
    ),
}
RUNS = [(name, guidance) for name, family in FLOWS.items() for guidance in family.guidances]
WALKS = [
    (name, guidance, steps)
    for name, guidance in RUNS
    for steps in FLOWS[name].steps
    if steps > 1 or guidance == FLOWS[name].guidances[0]
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """name → a process, and the same pipeline loaded a second time for diffusers alone."""

    @cache
    def opened(name):
        folder = tmp_path_factory.mktemp("flows") / name
        FLOWS[name].save(folder)
        guidance = FLOWS[name].guidances[0]
        own = load(folder, guidance=guidance, **FLOWS[name].settings)
        return own, load(folder, guidance=guidance).pipeline

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FlowProcess, "native_sides", (8, 8))
        yield opened


@pytest.mark.parametrize(("name", "guidance", "steps"), WALKS)
def test_a_trajectory_is_the_pipelines_own(opened, name, guidance, steps):
    process, pipeline = opened(name)
    process = process.with_settings(steps=steps, guidance=guidance)
    *_, last = walk(process, PROMPTS[:1], [5], finish=True)
    generator = torch.Generator("cpu").manual_seed(5)
    noise = torch.randn(1, *process.latent_shape, generator=generator)
    found = FLOWS[name].call(pipeline, PROMPTS[0], noise, generator, steps, guidance)
    ours = FLOWS[name].end(process, last.x_next[0])
    assert ours.shape == found.shape
    assert (ours - found).norm() <= RTOL * found.norm()


@torch.inference_mode()
def plain_squares(process, pipeline, predict, x, step):
    """‖ε(x|a) − ε(x|b)‖² at x (n, 2, …), guided as it is printed, in float64 → (n, 2)."""
    sigma_hat = torch.tensor(process.schedule.sigmas, dtype=torch.float64)[step]
    sigma = 1 - 1 / (1 + sigma_hat)  # 1 where σ̂ is infinite
    sigma = sigma.repeat_interleave(2).reshape(-1, 1, 1, 1)
    x = x.flatten(0, 1)
    t = torch.tensor(process.schedule.timesteps)[step].repeat_interleave(2)

    def eps(prompt):
        return (
            x.double()
            + (1 - sigma) * predict(pipeline, x, t, prompt, process.told_guidance).double()
        )

    null = eps(None) if process.unconditional() is not None else 0.0
    weight = process.guidance if process.unconditional() is not None else 1.0
    a, b = (null + weight * (eps(prompt) - null) for prompt in PROMPTS)
    return (a - b).square().flatten(1).sum(dim=1).reshape(-1, 2)


@pytest.mark.parametrize(("name", "guidance"), RUNS)
def test_terms_are_a_plain_double_evaluation(opened, name, guidance):
    process, pipeline = opened(name)
    process = process.with_settings(steps=3, guidance=guidance)
    points = Points()
    [(_, terms)] = measure(process, [PROMPTS], [5, 6], observer=points)
    x, seed, step = points.joined()
    assert len(x) == 2 * 3
    gap = plain_squares(process, pipeline, FLOWS[name].predict, x, step)
    ours = torch.stack([terms.forward[seed - 5, step], terms.backward[seed - 5, step]], dim=1)
    torch.testing.assert_close(ours, gap, rtol=1e-3, atol=1e-9)
    assert (ours[step > 0] > 1e-4).all()  # far above rounding
    if process.schedule.sigmas[0] == float("inf"):
        assert (ours[step == 0] == 0).all()  # ε is x there


@pytest.mark.parametrize("name", FLOWS)
def test_a_row_does_not_depend_on_its_company(opened, name):
    process, _ = opened(name)
    alone = process.embed([PROMPTS[0]]).tensors
    beside = process.embed([PROMPTS[0], "a longer text"]).tensors
    for part, tensor in alone.items():
        torch.testing.assert_close(beside[part][:1], tensor, rtol=1e-5, atol=1e-5)

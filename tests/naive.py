"""The independent oracle: Algorithm 1 of Liu & Soatto (arXiv 2410.16431), the slow way.

Written from the paper over plain diffusers, one row at a time, with nothing shared: each sample
and direction has its own scheduler, each step asks the network three times (own, other and
unconditional text), and the scheduler is fed what the network predicts, in its own kind. It
imports nothing of the package that it checks.
"""

from __future__ import annotations

import inspect

import torch
from diffusers import SchedulerMixin, StableDiffusionPipeline


def make_scheduler(
    pipeline: StableDiffusionPipeline, kind: type[SchedulerMixin], steps: int
) -> SchedulerMixin:
    """The pipeline's noise schedule under another sampler, as diffusers' users change it."""
    # clip_sample: from_config would fall back to True, which StableDiffusionPipeline forbids
    scheduler = kind.from_config(pipeline.scheduler.config, clip_sample=False)
    scheduler.set_timesteps(steps)
    if pipeline.unet.dtype == torch.float64:  # diffusers keeps its tables in float32
        scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
        if hasattr(scheduler, "sigmas"):
            scheduler.sigmas = scheduler.sigmas.double()
    return scheduler


@torch.no_grad()
def naive_terms(
    pipeline: StableDiffusionPipeline,
    prompts: tuple[str, str],
    kind: type[SchedulerMixin],
    *,
    steps: int,
    guidance: float,
    samples: int,
    seed: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """forward and backward, both (samples, steps): ‖ε(x_j|a) − ε(x_j|b)‖² on a's and b's path."""
    directions = []
    for own, other in (prompts, prompts[::-1]):
        rows = [
            _trajectory(pipeline, own, other, kind, steps, guidance, seed + i)
            for i in range(samples)
        ]
        directions.append(torch.stack(rows))
    return directions[0], directions[1]


def _trajectory(pipeline, own, other, kind, steps, guidance, seed):
    scheduler = make_scheduler(pipeline, kind, steps)
    unet = pipeline.unet
    embeddings = {
        text: pipeline.encode_prompt(text, pipeline.device, 1, False)[0]
        for text in (own, other, "")
    }
    size = unet.config.sample_size
    generator = torch.Generator("cpu").manual_seed(seed)
    x = torch.randn(1, unet.config.in_channels, size, size, generator=generator)
    x = x.to(unet.dtype) * scheduler.init_noise_sigma
    draws = "generator" in inspect.signature(scheduler.step).parameters
    noise = {"generator": generator} if draws else {}
    terms = []
    for j, t in enumerate(scheduler.timesteps):
        x_in = scheduler.scale_model_input(x, t)

        def guided(text, x_in=x_in, t=t):
            given, nothing = (
                unet(x_in, t, encoder_hidden_states=embeddings[y]).sample for y in (text, "")
            )
            return nothing + guidance * (given - nothing)

        out, out_other = guided(own), guided(other)
        difference = _epsilon(scheduler, out, x_in, j) - _epsilon(scheduler, out_other, x_in, j)
        terms.append(difference.double().square().sum())
        x = scheduler.step(out, t, x, **noise).prev_sample
    return torch.stack(terms)


def _epsilon(scheduler, out, x_in, j):
    """ε from whatever the network predicts, at x_in = αx₀ + σε."""
    if hasattr(scheduler, "sigmas"):
        alpha = 1 / (scheduler.sigmas[j] ** 2 + 1) ** 0.5
    else:
        alpha = scheduler.alphas_cumprod[scheduler.timesteps[j]] ** 0.5
    sigma = (1 - alpha**2) ** 0.5
    if scheduler.config.prediction_type == "v_prediction":
        return alpha * out + sigma * x_in
    if scheduler.config.prediction_type == "sample":
        return (x_in - alpha * out) / sigma
    return out

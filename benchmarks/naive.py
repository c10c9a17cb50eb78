"""Algorithm 1 of Liu & Soatto (arXiv 2410.16431) over plain diffusers, the slow way.

This is what one writes from the paper in an afternoon: one pair at a time, one scheduler for each
sample and direction, and at each step the guided prediction of both prompts (four network rows, in
batches of two as in ``StableDiffusionPipeline``; two rows at w = 1). Nothing is shared. Tests and
benchmarks compare the package with it, so it imports nothing of the package.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Network = Callable[..., Any]  # a UNet2DConditionModel, compiled or not


def make_scheduler(pipeline: Any, kind: Any, steps: int) -> Any:
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
    pipeline: Any,
    prompts: tuple[str, str],
    kind: Any,
    *,
    steps: int,
    guidance: float,
    samples: int = 1,
    seed: int = 0,
    network: Network | None = None,
) -> tuple[Tensor, Tensor]:
    """forward and backward, both (samples, steps): ‖ε(x_j|a) − ε(x_j|b)‖² on a's and b's path.

    pipeline: a ``StableDiffusionPipeline``; kind: a scheduler class of diffusers;
    network: to use instead of the pipeline's own UNet, such as the same one compiled
    """
    guided = _guided(pipeline, network or pipeline.unet, prompts, guidance)
    directions = []
    for own, other in (prompts, prompts[::-1]):
        rows = []
        for i in range(samples):
            scheduler = make_scheduler(pipeline, kind, steps)
            rows.append(_trajectory(pipeline, scheduler, guided, (own, other), seed + i))
        directions.append(torch.stack(rows))
    return directions[0], directions[1]


def _guided(pipeline: Any, network: Network, prompts: tuple[str, str], guidance: float) -> Network:
    """(x, t, text) → the guided prediction, in the network's own kind: ε, v or x₀.

    w = 1 needs no prediction without a prompt, and ``StableDiffusionPipeline`` makes none.
    """
    states = {}
    for text in prompts:
        given, nothing = pipeline.encode_prompt(text, pipeline.device, 1, True, "")
        both = given if guidance == 1 else torch.cat([nothing, given])
        states[text] = both.to(pipeline.unet.dtype)

    def predict(x: Tensor, t: Tensor, text: str) -> Tensor:
        rows = x.expand(len(states[text]), -1, -1, -1).to(pipeline.unet.dtype)
        out: Tensor = network(rows, t, encoder_hidden_states=states[text]).sample.to(x.dtype)
        if guidance == 1:
            return out
        nothing, given = out.chunk(2)
        guided: Tensor = nothing + guidance * (given - nothing)
        return guided

    return predict


def _trajectory(
    pipeline: Any, scheduler: Any, guided: Network, prompts: tuple[str, str], seed: int
) -> Tensor:
    own, other = prompts
    config = pipeline.unet.config
    generator = torch.Generator("cpu").manual_seed(seed)
    x = torch.randn(1, config.in_channels, *[config.sample_size] * 2, generator=generator)
    wide = torch.float64 if pipeline.unet.dtype == torch.float64 else torch.float32
    x = x.to(pipeline.device, wide) * scheduler.init_noise_sigma
    draws = "generator" in inspect.signature(scheduler.step).parameters
    noise = {"generator": generator} if draws else {}
    terms = []
    for j, t in enumerate(scheduler.timesteps):
        x_in = scheduler.scale_model_input(x, t)
        out, out_other = guided(x_in, t, own), guided(x_in, t, other)
        difference = _epsilon(scheduler, out, x_in, j) - _epsilon(scheduler, out_other, x_in, j)
        terms.append(difference.double().square().sum().cpu())
        x = scheduler.step(out, t, x, **noise).prev_sample
    return torch.stack(terms)


def _epsilon(scheduler: Any, out: Tensor, x_in: Tensor, j: int) -> Tensor:
    """ε from whatever the network predicts, at x_in = αx₀ + σε."""
    if hasattr(scheduler, "sigmas"):
        alpha = 1 / (scheduler.sigmas[j] ** 2 + 1) ** 0.5
    else:
        alpha = scheduler.alphas_cumprod[scheduler.timesteps[j]] ** 0.5
    sigma = (1 - alpha**2) ** 0.5
    epsilon: Tensor = out
    if scheduler.config.prediction_type == "v_prediction":
        epsilon = alpha * out + sigma * x_in
    if scheduler.config.prediction_type == "sample":
        epsilon = (x_in - alpha * out) / sigma
    return epsilon

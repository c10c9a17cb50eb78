"""Latent consistency models, which are told their guidance and take a few steps.

(Luo et al. 2023, arXiv 2310.04378.) A Stable Diffusion distilled with guidance: its UNet is told an
embedding of w − 1 and predicts the guided ε in one pass. So nothing is subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffusers
import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.spec import Fact
from .family import Family
from .latents import native_shape
from .settings import NATIVE, ProcessSettings
from .stable_diffusion import FAMILY as STABLE_DIFFUSION
from .stable_diffusion import StableDiffusion


class LatentConsistency(StableDiffusion):
    """A latent consistency model with its sampler and steps; the network is told w − 1.

    Its own sampler (``native``) draws noise between its steps. The signature holds
    ``original_inference_steps``: which timesteps were distilled, of which its steps are chosen.
    """

    guidance_mode = "distilled"

    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of the network's native size."""
        config = self.network.config
        if config.in_channels != config.out_channels:
            raise InputError(f"{self.name} takes more than latents")
        if config.time_cond_proj_dim is None:
            raise InputError(
                f"{self.name} is not told its guidance: its network has no time_cond_proj_dim;"
                " load it as a StableDiffusionPipeline"
            )
        return native_shape(self.name, config, self.denoiser)

    def facts(self) -> Mapping[str, Fact]:
        """The timesteps that were distilled, where the sampler chooses among them."""
        steps = self.pipeline.scheduler.config.get("original_inference_steps")
        own = self.sampler == NATIVE and steps is not None
        return {"original_inference_steps": steps} if own else {}

    def run_network(
        self, network: Any, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]
    ) -> Tensor:
        """The UNet's guided prediction."""
        width = self.network.config.time_cond_proj_dim
        told = guidance_embedding(self.guidance - 1, width).to(x)
        return network(
            x,
            timesteps,
            timestep_cond=told.expand(len(x), -1),
            encoder_hidden_states=cond["encoder_hidden_states"],
            return_dict=False,
        )[0]


def guidance_embedding(w: float, width: int) -> Tensor:
    """w − 1 as the network is told it: (1, width), sines then cosines of 1000 w.

    As ``get_guidance_scale_embedding`` of diffusers' pipelines has it; a test compares them.
    """
    half = width // 2
    rates = torch.exp(torch.arange(half) * -(torch.log(torch.tensor(10000.0)) / (half - 1)))
    angles = torch.tensor([w]) * 1000.0 * rates
    found = torch.cat([angles.sin(), angles.cos()])
    return torch.nn.functional.pad(found, (0, width % 2))[None]


FAMILY = Family(
    pipeline=diffusers.LatentConsistencyModelPipeline,
    parts=STABLE_DIFFUSION.parts,
    process=LatentConsistency,
    unused=STABLE_DIFFUSION.unused,
    options=STABLE_DIFFUSION.options,
    recommended=ProcessSettings(sampler=NATIVE, steps=4, guidance=8.5),
    advice="use a text-to-image latent consistency model",
)

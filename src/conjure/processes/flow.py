"""What the flow-matching families share: their own scheduler, and the velocity as currency.

At the same x and step, with x = (1 − σ)x₀ + σε and v = ε − x₀, two predictions differ by

    ε = x + (1 − σ)v    Δε = (1 − σ) Δv
    s = −ε/σ            Δs = −((1 − σ)/σ) Δv    the score of x's density

So a step at σ = 1, where most flow models start, adds exactly 0 to a difference of ε: x is ε there,
under any prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from torch import Tensor

from ..core.errors import InputError
from ..core.types import Conditioning
from .base import PipelineProcess
from .flow_samplers import FlowSampler
from .latents import native_shape
from .samplers import wide_dtype
from .settings import NATIVE, Choice
from .tokens import check_vocabulary


class FlowProcess(PipelineProcess):
    """A flow-matching model under its own scheduler; ``predict`` gives v.

    native_sides: latents of height and width where the network takes any: 1024 pixels, which is
                  what the pipelines take by default
    """

    denoiser = "transformer"
    native_sides = (128, 128)

    # ------------------------------------------------------------------ what a family says

    def scheduler_arguments(self, steps: int) -> Mapping[str, Any]:
        """What the pipeline gives ``set_timesteps`` besides the number of steps."""
        return {}

    def latents_unit(self) -> int | None:
        """The side of a patch, where the network takes any size."""
        return 2

    def velocity(self, out: Tensor) -> Tensor:
        """What the network predicts → v; a family whose network predicts −v turns the sign."""
        return out

    # ------------------------------------------------------------------ what they share

    def prepare(self) -> None:
        """Refuse tokens that have no embedding; a family goes on from here."""
        for part in ("tokenizer", "tokenizer_2", "tokenizer_3"):
            tokenizer = getattr(self.pipeline, part, None)
            if tokenizer is not None:
                encoder = getattr(self.pipeline, part.replace("tokenizer", "text_encoder"))
                check_vocabulary(self.name, tokenizer, encoder)

    def make_sampler(self, choice: Choice) -> FlowSampler:
        """The model's own scheduler; InputError for any other sampler."""
        if choice.sampler != NATIVE:
            raise InputError(
                f"{self.name} is a flow-matching model, which keeps its own scheduler:"
                f" {choice.sampler} does not fit it; leave sampler and preset out, or set sampler"
                f" to {NATIVE}"
            )
        arguments = self.scheduler_arguments(choice.steps)
        return FlowSampler(self.pipeline.scheduler, choice.steps, **arguments)

    def find_prediction(self) -> str:
        """A velocity; the scheduler is checked where it is set up."""
        return "flow_prediction"

    @torch.inference_mode()
    def predict(self, x: Tensor, step: Tensor, conditioning: Conditioning) -> Tensor:
        """The network's v at x_j, unguided; see ``core.process.GenerativeProcess.predict``."""
        j = step.to(self.device)
        out = self._ask(x.to(self.latent_dtype), self._timesteps[j], conditioning.tensors)
        return self.velocity(out.to(self.latent_dtype))

    def denoised(self, x: Tensor, step: int, prediction: Tensor) -> Tensor:
        """x̂₀ = x − σv, what a prediction at x_j says of the end; see ``PipelineProcess``."""
        wide = x.to(wide_dtype(x))
        return (wide - self._sampler.alpha_sigma[step][1] * prediction.to(wide)).to(
            self.latent_dtype
        )

    def unscale(self, latents: Tensor) -> Tensor:
        """x_0 → what the VAE decodes."""
        config = self.pipeline.vae.config
        return latents / config.scaling_factor + (config.get("shift_factor") or 0)


def square_latents(name: str, config: Any, patch: int) -> tuple[int, ...]:
    """(channels, height, width) of a network's configuration, in whole patches."""
    shape = native_shape(name, config, FlowProcess.denoiser)
    if any(side % patch for side in shape[1:]):
        raise InputError(
            f"{name} has latents of {shape[1:]}, which are not whole patches of {patch}"
        )
    return shape


def image_shift(
    config: Mapping[str, Any], latent_shape: tuple[int, ...], patch: int, max_shift: float = 1.15
) -> float:
    """``mu``, which grows with the number of patches, as the pipelines take it.

    config: that of the scheduler; max_shift: where it says none
    """
    _, height, width = latent_shape
    mu: float = calculate_shift(
        (height // patch) * (width // patch),
        config.get("base_image_seq_len", 256),
        config.get("max_image_seq_len", 4096),
        config.get("base_shift", 0.5),
        config.get("max_shift", max_shift),
    )
    return mu

"""Stable Diffusion 1.x, 2.x and fine-tunes of them, the bundled process among them.

Texts are encoded as ``StableDiffusionPipeline.encode_prompt`` does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import torch
import transformers
from torch import Tensor

from ..core.types import Conditioning
from .base import PipelineProcess
from .family import Family, Part
from .latents import unet_shape, unet_unit
from .tokens import TextReader, check_vocabulary, padded_tokens, settle_limit


class StableDiffusion(PipelineProcess):
    """A Stable Diffusion model with its sampler, steps and guidance.

    A prompt is ``encoder_hidden_states`` (tokens, width). Guidance subtracts the empty prompt's.
    """

    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of the network's native size."""
        return unet_shape(self.name, self.network.config, self.denoiser)

    def latents_unit(self) -> int | None:
        """Whole pixels at the UNet's coarsest level."""
        return unet_unit(self.network.config)

    def prepare(self) -> None:
        """Settle how many tokens are read; refuse tokens that have no embedding."""
        tokenizer, encoder = self.pipeline.tokenizer, self.pipeline.text_encoder
        if self.device.type == "cuda":  # the layout that its convolutions run fastest in
            self.network.to(memory_format=torch.channels_last)
        settle_limit(self.name, tokenizer, encoder)
        self._reader = TextReader(self.name, tokenizer)
        check_vocabulary(self.name, tokenizer, encoder)

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which the tokenizer knows no token → why."""
        return self._reader.unreadable(texts)

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """A PromptTruncatedWarning for cut texts, an UnknownTokensWarning for unknown parts.

        Each text counts once.
        """
        return self._reader.remarks(texts)

    @torch.inference_mode()
    def encode(self, prompts: list[str]) -> Conditioning:
        """Prompts → ``encoder_hidden_states`` (n, tokens, width), padded to the model's limit."""
        encoder = self.pipeline.text_encoder
        tokens = padded_tokens(self.pipeline.tokenizer, prompts).to(self.device)
        masked = getattr(encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask if masked else None
        states = encoder(tokens.input_ids, attention_mask=mask)[0]
        return Conditioning({"encoder_hidden_states": states.to(self.network.dtype)})

    def run_network(
        self, network: Any, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]
    ) -> Tensor:
        """The UNet's prediction."""
        states = cond["encoder_hidden_states"]
        return network(x, timesteps, encoder_hidden_states=states, return_dict=False)[0]


FAMILY = Family(
    pipeline=diffusers.StableDiffusionPipeline,
    parts={
        "unet": Part(diffusers, (diffusers.UNet2DConditionModel,)),
        "vae": Part(
            diffusers,
            (
                diffusers.AutoencoderKL,
                diffusers.AutoencoderTiny,
                diffusers.AsymmetricAutoencoderKL,
                diffusers.ConsistencyDecoderVAE,
            ),
        ),
        "text_encoder": Part(transformers, (transformers.PreTrainedModel,)),
        "tokenizer": Part(transformers, (transformers.PreTrainedTokenizerBase,), network=False),
        "scheduler": Part(diffusers, (diffusers.SchedulerMixin,), network=False),
    },
    process=StableDiffusion,
    unused=("safety_checker", "feature_extractor", "image_encoder"),
    options=lambda index: {"requires_safety_checker": False},
    advice="use a plain text-to-image model of Stable Diffusion 1.x or 2.x",
)

"""PixArt-α and PixArt-Σ: a diffusion transformer over Stable Diffusion's latents, told by T5.

Texts are encoded by the pipeline's own ``encode_prompt``: lower-cased, padded to a fixed length,
with a mask that the network is given too. Captions are not cleaned of addresses and markup
(``clean_caption``): that would depend on what else is installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import torch
import transformers
from torch import Tensor

from ..core.errors import InputError
from ..core.spec import Fact
from ..core.types import Conditioning
from .base import PipelineProcess
from .family import Family, Part
from .latents import native_shape
from .quiet import quiet
from .settings import ProcessSettings
from .several_readers import SeveralReaders
from .tokens import check_vocabulary

_TOLD_SIZES = 128  # a network of this size is told resolution and aspect, as the pipeline does it


class PixArt(PipelineProcess):
    """A PixArt model with its sampler, steps and guidance.

    A prompt is ``encoder_hidden_states`` (tokens, width) and ``encoder_attention_mask`` (tokens).
    Guidance subtracts the empty or negative prompt's. A size is drawn as it is asked for; the
    pipeline would draw the nearest of a list and resize (``use_resolution_binning``).
    """

    denoiser = "transformer"
    tokens = 300  # ``max_sequence_length``, the pipeline's default
    told_sizes = False

    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of the network's native size."""
        if not isinstance(self.network, diffusers.PixArtTransformer2DModel):
            raise InputError(f"{self.name} has a transformer that is not PixArt's")
        config = self.network.config
        if config.out_channels not in (config.in_channels, 2 * config.in_channels):
            raise InputError(f"{self.name} takes more than latents")
        return native_shape(self.name, config, self.denoiser)

    def latents_unit(self) -> int | None:
        """The side of a patch."""
        return int(self.network.config.patch_size)

    def facts(self) -> Mapping[str, Fact]:
        """How many tokens T5 reads; that captions are not cleaned."""
        return {"max_sequence_length": self.tokens, "clean_caption": False}

    def prepare(self) -> None:
        """Settle how many tokens are read."""
        tokenizer = self.pipeline.tokenizer
        check_vocabulary(self.name, tokenizer, self.pipeline.text_encoder)
        tokenizer.model_max_length = self.tokens
        self._reader = SeveralReaders(self.name, {"tokenizer": tokenizer}, self.as_read)

    def as_read(self, text: str) -> str:
        """In small letters, without blanks around it, as the pipeline does it."""
        return text.lower().strip()

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which the tokenizer knows no token → why."""
        return self._reader.unreadable(texts)

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are cut or known in part."""
        return self._reader.remarks(texts)

    @torch.inference_mode()
    def encode(self, prompts: list[str]) -> Conditioning:
        """Prompts → their states and mask, each of ``tokens`` rows."""
        with quiet():
            states, mask, _, _ = self.pipeline.encode_prompt(
                prompts,
                do_classifier_free_guidance=False,
                device=self.device,
                clean_caption=False,
                max_sequence_length=self.tokens,
            )
        return Conditioning(
            {
                "encoder_hidden_states": states.to(self.network.dtype),
                "encoder_attention_mask": mask,
            }
        )

    def run_network(
        self, network: Any, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]
    ) -> Tensor:
        """The transformer's prediction, without the variance that it may have learnt."""
        told: dict[str, Tensor | None] = {"resolution": None, "aspect_ratio": None}
        if self.told_sizes and self.network.config.sample_size == _TOLD_SIZES:
            factor = self.pixels_per_latent()
            height, width = (side * factor for side in self.latent_shape[1:])
            told = {
                "resolution": x.new_tensor([[height, width]]).repeat(len(x), 1),
                "aspect_ratio": x.new_tensor([[height / width]]).repeat(len(x), 1),
            }
        out = network(x, timestep=timesteps, **cond, added_cond_kwargs=told, return_dict=False)[0]
        return out[:, : x.shape[1]]


class PixArtAlpha(PixArt):
    """PixArt-α: it reads 120 tokens, and at 1024 pixels is told resolution and aspect."""

    tokens = 120
    told_sizes = True


def _family(pipeline: Any, process: Any) -> Family:
    return Family(
        pipeline=pipeline,
        parts={
            # older folders name the class that it was split from
            "transformer": Part(
                diffusers, (diffusers.PixArtTransformer2DModel, diffusers.Transformer2DModel)
            ),
            "vae": Part(diffusers, (diffusers.AutoencoderKL,)),
            "text_encoder": Part(transformers, (transformers.T5EncoderModel,)),
            "tokenizer": Part(transformers, (transformers.PreTrainedTokenizerBase,), network=False),
            "scheduler": Part(diffusers, (diffusers.SchedulerMixin,), network=False),
        },
        process=process,
        recommended=ProcessSettings(guidance=4.5),
        advice="use a plain text-to-image model of PixArt-α or PixArt-Σ",
    )


ALPHA = _family(diffusers.PixArtAlphaPipeline, PixArtAlpha)
SIGMA = _family(diffusers.PixArtSigmaPipeline, PixArt)

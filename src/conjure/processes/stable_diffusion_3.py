"""Stable Diffusion 3 and 3.5: flow matching, two CLIP encoders and a T5 that may be absent.

Texts are encoded by ``StableDiffusion3Pipeline.encode_prompt`` itself. Skip-layer guidance, which
takes a third prediction a step, is not offered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import diffusers
import torch
import transformers
from torch import Tensor

from ..core.errors import InputError
from ..core.spec import Fact
from ..core.types import Conditioning
from .family import Family, Part
from .flow import FlowProcess, image_shift, square_latents
from .quiet import quiet
from .settings import NATIVE, Choice, ProcessSettings
from .several_readers import SeveralReaders
from .tokens import settle_limit

T5_TOKENS = 256  # ``max_sequence_length``, the pipeline's default


class StableDiffusion3(FlowProcess):
    """A Stable Diffusion 3 model under its own scheduler.

    A prompt is ``encoder_hidden_states`` (CLIP's tokens + 256, width) and ``pooled_projections``
    (width). Without a T5 encoder its 256 rows are zeros. Guidance subtracts the empty prompt's.
    """

    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of the network's native size."""
        config = self.network.config
        shape = square_latents(self.name, config, config.patch_size)
        if config.out_channels not in (None, config.in_channels):
            raise InputError(f"{self.name} takes more than latents (an inpainting model, say)")
        return shape

    def latents_unit(self) -> int | None:
        """The side of a patch."""
        return int(self.network.config.patch_size)

    def _sized(self, choice: Choice) -> tuple[int, ...]:
        """As ``PipelineProcess``; InputError where there are not enough positions."""
        shape, config = super()._sized(choice), self.network.config
        most = config.pos_embed_max_size * config.patch_size
        if max(shape[1:]) > most:
            pixels = most * self.pixels_per_latent()
            raise InputError(f"{self.name} takes no sides of more than {pixels} pixels")
        return shape

    def facts(self) -> Mapping[str, Fact]:
        """How many tokens T5 reads."""
        return {"max_sequence_length": T5_TOKENS}

    def prepare(self) -> None:
        """Settle how many tokens each encoder reads."""
        pipeline, tokenizers = self.pipeline, {}
        if (pipeline.text_encoder_3 is None) != (pipeline.tokenizer_3 is None):
            raise InputError(f"{self.name} does not fit together: T5 is one of two parts, or none")
        super().prepare()
        for part in ("tokenizer", "tokenizer_2"):
            tokenizers[part] = getattr(pipeline, part)
            encoder = getattr(pipeline, part.replace("tokenizer", "text_encoder"))
            settle_limit(self.name, tokenizers[part], encoder)
        limits = {tokenizer.model_max_length for tokenizer in tokenizers.values()}
        if len(limits) > 1:
            raise InputError(f"{self.name} does not fit together: its CLIPs read {limits} tokens")
        pipeline.tokenizer_max_length = limits.pop()
        if pipeline.text_encoder_3 is not None:
            tokenizers["tokenizer_3"] = pipeline.tokenizer_3
            pipeline.tokenizer_3.model_max_length = T5_TOKENS
        self._reader = SeveralReaders(self.name, tokenizers)

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which no tokenizer knows a token → why."""
        return self._reader.unreadable(texts)

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are cut or known in part, by tokenizer."""
        return self._reader.remarks(texts)

    def scheduler_arguments(self, steps: int) -> Mapping[str, Any]:
        """``mu``, where the scheduler shifts by image size."""
        config = self.pipeline.scheduler.config
        if not config.get("use_dynamic_shifting"):
            return {}
        patch = self.network.config.patch_size
        return {"mu": image_shift(config, self.latent_shape, patch, max_shift=1.16)}

    @torch.inference_mode()
    def encode(self, prompts: list[str]) -> Conditioning:
        """Prompts → ``encoder_hidden_states`` and ``pooled_projections``."""
        with quiet():
            states, _, pooled, _ = self.pipeline.encode_prompt(
                prompts,
                None,
                None,
                device=self.device,
                do_classifier_free_guidance=False,
                max_sequence_length=T5_TOKENS,
            )
        kind = self.network.dtype
        return Conditioning(
            {"encoder_hidden_states": states.to(kind), "pooled_projections": pooled.to(kind)}
        )

    def run_network(
        self, network: Any, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]
    ) -> Tensor:
        """The transformer's velocity."""
        return network(hidden_states=x, timestep=timesteps, **cond, return_dict=False)[0]


_TOKENIZER = Part(transformers, (transformers.PreTrainedTokenizerBase,), network=False)
_CLIP = Part(transformers, (transformers.CLIPTextModelWithProjection,))

FAMILY = Family(
    pipeline=diffusers.StableDiffusion3Pipeline,
    parts={
        "transformer": Part(diffusers, (diffusers.SD3Transformer2DModel,)),
        "vae": Part(diffusers, (diffusers.AutoencoderKL, diffusers.AutoencoderTiny)),
        "text_encoder": _CLIP,
        "tokenizer": _TOKENIZER,
        "text_encoder_2": _CLIP,
        "tokenizer_2": _TOKENIZER,
        "text_encoder_3": Part(transformers, (transformers.T5EncoderModel,), optional=True),
        "tokenizer_3": replace(_TOKENIZER, optional=True),
        "scheduler": Part(diffusers, (diffusers.SchedulerMixin,), network=False),
    },
    process=StableDiffusion3,
    unused=("image_encoder", "feature_extractor"),
    recommended=ProcessSettings(sampler=NATIVE, steps=28, guidance=7.0),
    advice="use a plain text-to-image model of Stable Diffusion 3 or 3.5",
)

"""Flux.1: dev, whose network is told the guidance, and schnell, which has none.

Texts are encoded by ``FluxPipeline.encode_prompt`` itself. CLIP's pooled vector and T5's states
condition the network; padding is not masked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy
import torch
import transformers
from torch import Tensor

from ..core.errors import InputError
from ..core.process import GuidanceMode
from ..core.spec import Fact
from ..core.types import Conditioning
from .family import Family, Part
from .flow import FlowProcess, image_shift
from .folders import read_object
from .quiet import quiet
from .settings import NATIVE, Choice, ProcessSettings
from .several_readers import SeveralReaders
from .tokens import settle_limit

# ``max_sequence_length``: what the pipeline takes by default, and the most that schnell was given.
DEV_TOKENS, SCHNELL_TOKENS = 512, 256


class Flux(FlowProcess):
    """A Flux.1 model under its own scheduler.

    A prompt is ``encoder_hidden_states`` (tokens, width) of T5 and ``pooled_projections`` (width)
    of CLIP. Latents are (channels, height, width); the network gets them packed, 2 × 2 a token.
    With ``true_cfg_scale`` above 1, guidance subtracts the empty or negative prompt's as well.
    """

    takes_true_cfg = True

    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, height, width), unpacked; the network itself takes any size."""
        config = self.network.config
        if config.in_channels % 4 or config.out_channels not in (None, config.in_channels):
            raise InputError(f"{self.name} takes more than latents (a fill or depth model, say)")
        return (config.in_channels // 4, *self.native_sides)

    def facts(self) -> Mapping[str, Fact]:
        """How many tokens T5 reads, and what the network is told under true guidance."""
        facts: dict[str, Fact] = {"max_sequence_length": self._tokens}
        if self.guidance_mode == "classifier-free" and self._distilled:
            facts["told_guidance"] = self.told_guidance
        return facts

    def prepare(self) -> None:
        """Settle how many tokens each encoder reads."""
        super().prepare()
        pipeline = self.pipeline
        self._distilled = bool(self.network.config.guidance_embeds)
        self._tokens = DEV_TOKENS if self._distilled else SCHNELL_TOKENS
        settle_limit(self.name, pipeline.tokenizer, pipeline.text_encoder)
        pipeline.tokenizer_max_length = pipeline.tokenizer.model_max_length
        pipeline.tokenizer_2.model_max_length = self._tokens
        names = ("tokenizer", "tokenizer_2")
        self._reader = SeveralReaders(self.name, {n: getattr(pipeline, n) for n in names})

    def _settle(self, choice: Choice) -> None:
        """The kind of guidance is also the user's choice, by ``true_cfg_scale``."""
        self._true = float(choice.true_cfg_scale)
        told: GuidanceMode = "distilled" if self._distilled else "none"
        self.guidance_mode = "classifier-free" if self._true > 1 else told
        super()._settle(choice)

    def guidance_weight(self, told: float) -> float:
        """w of the guidance with a prompt to subtract, where there is one; else what is told."""
        if not self._distilled and told != 1:
            raise InputError(f"{self.name} has no guidance: leave guidance out, or set it to 1")
        return self._true if self.guidance_mode == "classifier-free" else told

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which no tokenizer knows a token → why."""
        return self._reader.unreadable(texts)

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are cut or known in part, by tokenizer."""
        return self._reader.remarks(texts)

    def scheduler_arguments(self, steps: int) -> Mapping[str, Any]:
        """``mu`` by image size, and σ from 1 to 1/T."""
        config = self.pipeline.scheduler.config
        mu = image_shift(config, self.latent_shape, patch=2)
        if config.get("use_flow_sigmas"):
            return {"mu": mu}
        return {"mu": mu, "sigmas": numpy.linspace(1.0, 1 / steps, steps)}

    @torch.inference_mode()
    def encode(self, prompts: list[str]) -> Conditioning:
        """Prompts → ``encoder_hidden_states`` and ``pooled_projections``."""
        with quiet():
            states, pooled, _ = self.pipeline.encode_prompt(
                prompts, device=self.device, max_sequence_length=self._tokens
            )
        kind = self.network.dtype
        return Conditioning(
            {"encoder_hidden_states": states.to(kind), "pooled_projections": pooled.to(kind)}
        )

    def run_network(
        self, network: Any, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]
    ) -> Tensor:
        """The transformer's velocity. Time stays float32 until the network rounds it."""
        rows, channels, height, width = x.shape
        pipeline, scale = self.pipeline, self.pipeline.vae_scale_factor
        told = None
        if self._distilled:
            told = torch.full((rows,), self.told_guidance, device=x.device, dtype=torch.float32)
        tokens = cond["encoder_hidden_states"].shape[1]
        out = network(
            hidden_states=pipeline._pack_latents(x, rows, channels, height, width),
            timestep=timesteps / 1000,
            guidance=told,
            txt_ids=torch.zeros(tokens, 3, device=x.device, dtype=x.dtype),
            img_ids=pipeline._prepare_latent_image_ids(
                rows, height // 2, width // 2, x.device, x.dtype
            ),
            **cond,
            return_dict=False,
        )[0]
        return pipeline._unpack_latents(out, height * scale, width * scale, scale)


def recommended(folder: Path) -> ProcessSettings:
    """What the models' cards say: dev is told a guidance of 3.5, schnell takes four steps."""
    if read_object(folder / "transformer" / "config.json").get("guidance_embeds"):
        return ProcessSettings(sampler=NATIVE, steps=28, guidance=3.5)
    return ProcessSettings(sampler=NATIVE, steps=4, guidance=1.0)


_TOKENIZER = Part(transformers, (transformers.PreTrainedTokenizerBase,), network=False)

FAMILY = Family(
    pipeline=diffusers.FluxPipeline,
    parts={
        "transformer": Part(diffusers, (diffusers.FluxTransformer2DModel,)),
        "vae": Part(diffusers, (diffusers.AutoencoderKL, diffusers.AutoencoderTiny)),
        "text_encoder": Part(transformers, (transformers.CLIPTextModel,)),
        "tokenizer": _TOKENIZER,
        "text_encoder_2": Part(transformers, (transformers.T5EncoderModel,)),
        "tokenizer_2": _TOKENIZER,
        "scheduler": Part(diffusers, (diffusers.SchedulerMixin,), network=False),
    },
    process=Flux,
    unused=("image_encoder", "feature_extractor"),
    recommended=recommended,
    advice="use a plain text-to-image model of Flux.1",
)

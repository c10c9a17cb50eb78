"""Qwen-Image: a double-stream transformer, told by Qwen2.5-VL's states.

Texts are encoded by ``QwenImagePipeline.encode_prompt`` itself, inside its own template.

Its pipeline renormalises guided predictions: each token of v_∅ + w (v_y − v_∅) is scaled to the
length of v_y. So two guided predictions at the same x do not differ by w (v_a − v_b). ``predict``
therefore gives the guided prediction itself, of two network rows, and the core compares that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import numpy
import torch
import transformers
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..core.errors import InputError
from ..core.process import GuidanceMode
from ..core.spec import Fact
from ..core.types import Conditioning
from .family import Family, Part
from .flow import FlowProcess, image_shift
from .quiet import quiet
from .settings import NATIVE, ProcessSettings
from .several_readers import SeveralReaders

TOKENS = 512  # ``max_sequence_length``, the default of the pipeline's call


class QwenImage(FlowProcess):
    """A Qwen-Image model under its own scheduler; ``predict`` gives the guided v.

    A prompt is ``encoder_hidden_states`` (512, width) and ``encoder_hidden_states_mask`` (512).
    Latents are (channels, height, width); the network gets them packed, 2 × 2 a token. What
    guidance subtracts is a space, as on the model's card, or the negative prompt.
    """

    guidance_mode: GuidanceMode = "internal"
    blank_negative = " "

    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, height, width), unpacked; the network itself takes any size."""
        config = self.network.config
        if config.in_channels % 4 or 4 * config.out_channels != config.in_channels:
            raise InputError(f"{self.name} takes more than latents")
        if config.guidance_embeds:
            raise InputError(f"{self.name} is told its guidance, which is not known here")
        return (config.in_channels // 4, *self.native_sides)

    def guidance_weight(self, told: float) -> float:
        """w, at least 1: below, the pipeline does not guide."""
        if told < 1:
            raise InputError(
                f"{self.name} is not guided below 1, which is no guidance: set guidance to 1 or"
                f" more, not {told:g}"
            )
        return told

    def encode_unconditional(self) -> Conditioning:
        """The row of the negative prompt, or of a space."""
        text = self.blank_negative if self.negative_prompt is None else self.negative_prompt
        return self.embed([text])

    def predict(self, x: Tensor, step: Tensor, conditioning: Conditioning) -> Tensor:
        """The guided v at x_j, each token as long as the unguided one; it takes two network rows.

        At w = 1 it is the network's own.
        """
        told = super().predict(x, step, conditioning)
        if self.guidance == 1:
            return told
        null = super().predict(x, step, self._unconditional.rows([0] * len(x)))
        guided = null + self.guidance * (told - null)
        return guided * (self._lengths(told) / self._lengths(guided))

    def _lengths(self, v: Tensor) -> Tensor:
        """The length of each token, 2 × 2 of all channels, at each of its places: (n, 1, h, w)."""
        squares = v.square().sum(dim=1, keepdim=True)
        return (4 * avg_pool2d(squares, 2)).sqrt().repeat_interleave(2, -1).repeat_interleave(2, -2)

    def facts(self) -> Mapping[str, Fact]:
        """How many tokens are read."""
        return {"max_sequence_length": TOKENS}

    def prepare(self) -> None:
        """Settle how many tokens of a text are read, inside the pipeline's template."""
        super().prepare()
        pipeline, tokenizer = self.pipeline, self.pipeline.tokenizer
        before, _, _ = pipeline.prompt_template_encode.partition("{}")
        kept = len(tokenizer(before).input_ids) - pipeline.prompt_template_encode_start_idx
        marks = tokenizer.num_special_tokens_to_add()
        limit = TOKENS - max(kept, 0) + marks
        if limit <= marks:
            raise InputError(f"{self.name} reads {TOKENS} tokens, and its template takes them all")
        tokenizer.model_max_length = limit
        self._reader = SeveralReaders(self.name, {"tokenizer": tokenizer})

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which the tokenizer knows no token → why."""
        return self._reader.unreadable(texts)

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are cut or known in part."""
        return self._reader.remarks(texts)

    def scheduler_arguments(self, steps: int) -> Mapping[str, Any]:
        """``mu`` by image size, and σ from 1 to 1/T."""
        mu = image_shift(self.pipeline.scheduler.config, self.latent_shape, patch=2)
        return {"mu": mu, "sigmas": numpy.linspace(1.0, 1 / steps, steps)}

    @torch.inference_mode()
    def encode(self, prompts: list[str]) -> Conditioning:
        """Prompts → their states and mask, padded to 512 rows: the pipeline pads to the longest."""
        with quiet():
            found, given = self.pipeline.encode_prompt(
                prompts, device=self.device, max_sequence_length=TOKENS
            )
        rows, length, width = found.shape
        states = found.new_zeros(rows, TOKENS, width, dtype=self.network.dtype)
        mask = torch.zeros(rows, TOKENS, dtype=torch.bool, device=self.device)
        states[:, :length] = found
        mask[:, :length] = True if given is None else given.bool()
        return Conditioning({"encoder_hidden_states": states, "encoder_hidden_states_mask": mask})

    def run_network(
        self, network: Any, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]
    ) -> Tensor:
        """The transformer's velocity. Time stays float32 until the network rounds it."""
        rows, channels, height, width = x.shape
        pipeline, scale = self.pipeline, self.pipeline.vae_scale_factor
        out = network(
            hidden_states=pipeline._pack_latents(x, rows, channels, height, width),
            timestep=timesteps / 1000,
            img_shapes=[[(1, height // 2, width // 2)]] * rows,
            **cond,
            return_dict=False,
        )[0]
        return pipeline._unpack_latents(out, height * scale, width * scale, scale).squeeze(2)

    def unscale(self, latents: Tensor) -> Tensor:
        """x_0 → what the VAE decodes: one frame, the normalisation undone."""
        config = self.pipeline.vae.config
        mean, deviation = (
            latents.new_tensor(each).view(1, -1, 1, 1)
            for each in (config.latents_mean, config.latents_std)
        )
        return (latents * deviation + mean).unsqueeze(2)

    def decode(self, latents: Tensor) -> Tensor:
        """x_0 → pictures; see ``PipelineProcess``. The VAE gives videos of one frame."""
        return super().decode(latents).squeeze(2)


FAMILY = Family(
    pipeline=diffusers.QwenImagePipeline,
    parts={
        "transformer": Part(diffusers, (diffusers.QwenImageTransformer2DModel,)),
        "vae": Part(diffusers, (diffusers.AutoencoderKLQwenImage,)),
        "text_encoder": Part(transformers, (transformers.Qwen2_5_VLForConditionalGeneration,)),
        "tokenizer": Part(transformers, (transformers.PreTrainedTokenizerBase,), network=False),
        "scheduler": Part(diffusers, (diffusers.SchedulerMixin,), network=False),
    },
    process=QwenImage,
    recommended=ProcessSettings(sampler=NATIVE, steps=50, guidance=4.0),
    advice="use a plain text-to-image model of Qwen-Image",
)

"""Sana: a linear transformer over strongly compressed latents, told by Gemma's states.

Texts are encoded by ``SanaPipeline.encode_prompt`` itself: lower-cased, and a prompt follows the
pipeline's own instruction to enhance it, which the text that guidance subtracts does not.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import torch
import transformers
from torch import Tensor

from ..core.errors import InputError
from ..core.spec import Fact
from ..core.types import Conditioning
from .family import Family, Part
from .flow import FlowProcess, square_latents
from .quiet import quiet
from .settings import NATIVE, ProcessSettings
from .several_readers import SeveralReaders

TOKENS = 300  # ``max_sequence_length``, the pipeline's default
_CALL = inspect.signature(diffusers.SanaPipeline.__call__).parameters
INSTRUCTION: list[str] = _CALL["complex_human_instruction"].default
_DIGEST = hashlib.sha256("\n".join(INSTRUCTION).encode()).hexdigest()[:12]


class Sana(FlowProcess):
    """A Sana model under its own scheduler.

    A prompt is ``encoder_hidden_states`` (300, width) and ``encoder_attention_mask`` (300).
    Guidance subtracts the empty or negative prompt's, without the instruction.
    """

    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of the network's native size."""
        config = self.network.config
        if config.guidance_embeds:
            raise InputError(f"{self.name} is told its guidance (Sana-Sprint), not known here")
        if config.out_channels not in (config.in_channels, 2 * config.in_channels):
            raise InputError(f"{self.name} takes more than latents")
        return square_latents(self.name, config, config.patch_size)

    def latents_unit(self) -> int | None:
        """The side of a patch."""
        return int(self.network.config.patch_size)

    def facts(self) -> Mapping[str, Fact]:
        """How many tokens are read, and which instruction a prompt follows."""
        return {"max_sequence_length": TOKENS, "instruction": f"sha256-{_DIGEST}"}

    def prepare(self) -> None:
        """Settle how many tokens of a text are read, after those of the instruction."""
        super().prepare()
        tokenizer = self.pipeline.tokenizer
        tokenizer.model_max_length = TOKENS - 2 + tokenizer.num_special_tokens_to_add()
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

    def encode(self, prompts: list[str]) -> Conditioning:
        """Prompts, after the instruction → their states and mask."""
        return self._encode(prompts, INSTRUCTION)

    def encode_unconditional(self) -> Conditioning:
        """The row of the negative prompt, or of the empty one, without the instruction."""
        text = self.negative_prompt or ""
        self.read([text])
        return self._encode([text], [])

    @torch.inference_mode()
    def _encode(self, prompts: list[str], instruction: list[str]) -> Conditioning:
        with quiet():
            states, mask, _, _ = self.pipeline.encode_prompt(
                prompts,
                do_classifier_free_guidance=False,
                device=self.device,
                max_sequence_length=TOKENS,
                complex_human_instruction=instruction,
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
        """The transformer's velocity; a learned variance is dropped."""
        scale = self.network.config.timestep_scale
        out = network(x, timestep=timesteps * scale, **cond, return_dict=False)[0]
        return out[:, : x.shape[1]]


FAMILY = Family(
    pipeline=diffusers.SanaPipeline,
    parts={
        "transformer": Part(diffusers, (diffusers.SanaTransformer2DModel,)),
        "vae": Part(diffusers, (diffusers.AutoencoderDC,)),
        "text_encoder": Part(transformers, (transformers.Gemma2PreTrainedModel,)),
        "tokenizer": Part(transformers, (transformers.PreTrainedTokenizerBase,), network=False),
        "scheduler": Part(diffusers, (diffusers.SchedulerMixin,), network=False),
    },
    process=Sana,
    recommended=ProcessSettings(sampler=NATIVE, steps=20, guidance=4.5),
    advice="use a plain text-to-image model of Sana",
)

"""Z-Image and Z-Image-Turbo: one stream of image and text, told by Qwen3's states.

Texts are encoded by ``ZImagePipeline`` itself, in the chat template of its tokenizer. Its network
predicts −v, and gets 1 − t/1000 as time. Its guidance is pos + g (pos − neg), which is
ε_∅ + w (ε_y − ε_∅) with w = 1 + g. A user gives g, as to the pipeline: 0 for Turbo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import torch
import transformers
from torch import Tensor

from ..core.spec import Fact
from ..core.types import Conditioning
from .family import Family, Part
from .flow import FlowProcess, image_shift
from .quiet import quiet
from .settings import NATIVE, ProcessSettings
from .several_readers import SeveralReaders, chat_limit

TOKENS = 512  # ``max_sequence_length``, the pipeline's default


class ZImage(FlowProcess):
    """A Z-Image model under its own scheduler.

    A prompt is ``states`` (512, width) and ``mask`` (512), of which the network gets the masked
    rows. Guidance subtracts the empty prompt's.
    """

    def guidance_weight(self, told: float) -> float:
        """g → w = 1 + g."""
        return 1 + told

    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, height, width): 1024 pixels; the network itself takes any size."""
        return (self.network.in_channels, *self.native_sides)

    def facts(self) -> Mapping[str, Fact]:
        """The pipeline's own g beside w, which the signature calls guidance_scale."""
        return {"max_sequence_length": TOKENS, "pipeline_guidance_scale": self.told_guidance}

    def prepare(self) -> None:
        """Settle how many tokens of a text are read, inside the chat template."""
        super().prepare()
        tokenizer = self.pipeline.tokenizer
        tokenizer.model_max_length = chat_limit(self.name, tokenizer, TOKENS, enable_thinking=True)
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
        return {"mu": mu, "sigmas": torch.linspace(1.0, 1 / steps, steps).tolist()}

    @torch.inference_mode()
    def encode(self, prompts: list[str]) -> Conditioning:
        """Prompts → ``states`` and ``mask``, padded to 512 rows."""
        with quiet():
            rows, _ = self.pipeline.encode_prompt(
                list(prompts),  # which it overwrites
                device=self.device,
                do_classifier_free_guidance=False,
                max_sequence_length=TOKENS,
            )
        states = rows[0].new_zeros(len(rows), TOKENS, rows[0].shape[1], dtype=self.network.dtype)
        mask = torch.zeros(len(rows), TOKENS, dtype=torch.bool, device=self.device)
        for place, row in enumerate(rows):
            states[place, : len(row)] = row
            mask[place, : len(row)] = True
        return Conditioning({"states": states, "mask": mask})

    def run_network(
        self, network: Any, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]
    ) -> Tensor:
        """The transformer's −v, at 1 − t/1000; latents have an axis of one frame."""
        texts = [row[kept] for row, kept in zip(cond["states"], cond["mask"], strict=True)]
        images = list(x.unsqueeze(2).unbind())
        out = network(images, (1000 - timesteps) / 1000, texts, return_dict=False)[0]
        return torch.stack(list(out)).squeeze(2)

    def velocity(self, out: Tensor) -> Tensor:
        """−v → v."""
        return -out


FAMILY = Family(
    pipeline=diffusers.ZImagePipeline,
    parts={
        "transformer": Part(diffusers, (diffusers.ZImageTransformer2DModel,)),
        "vae": Part(diffusers, (diffusers.AutoencoderKL, diffusers.AutoencoderTiny)),
        "text_encoder": Part(transformers, (transformers.PreTrainedModel,)),
        "tokenizer": Part(transformers, (transformers.PreTrainedTokenizerBase,), network=False),
        "scheduler": Part(diffusers, (diffusers.SchedulerMixin,), network=False),
    },
    process=ZImage,
    recommended=ProcessSettings(sampler=NATIVE, steps=9, guidance=0.0),
    advice="use a plain text-to-image model of Z-Image",
)

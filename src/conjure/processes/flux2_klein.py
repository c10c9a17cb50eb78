"""Flux.2 klein: the base models, which are guided, and the distilled ones, which are not.

Texts are encoded by ``Flux2KleinPipeline.encode_prompt`` itself, in the chat template of its
tokenizer: three layers of Qwen3, side by side. Padding is not masked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy
import torch
import transformers
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from torch import Tensor

from ..core.errors import InputError
from ..core.spec import Fact
from ..core.types import Conditioning
from .family import Family, Part
from .flow import FlowProcess
from .folders import read_object
from .quiet import quiet
from .settings import NATIVE, ProcessSettings
from .several_readers import SeveralReaders, chat_limit

TOKENS = 512  # ``max_sequence_length``, the pipeline's default


class Flux2Klein(FlowProcess):
    """A Flux.2 klein model under its own scheduler.

    A prompt is ``encoder_hidden_states`` (512, 3 · width). Latents are (channels, height, width) of
    the network's tokens: 2 × 2 of the VAE's, normalised. Guidance subtracts the empty prompt's.
    """

    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of tokens; the network itself takes any size."""
        config = self.network.config
        if config.out_channels not in (None, config.in_channels) or config.in_channels % 4:
            raise InputError(f"{self.name} takes more than latents")
        height, width = self.native_sides
        return (config.in_channels, height // 2, width // 2)

    def latents_unit(self) -> int | None:
        """A token is a patch already."""
        return 1

    def pixels_per_latent(self) -> int:
        """Those of a token, 2 × 2 of the VAE's latents."""
        return 2 * super().pixels_per_latent()

    def facts(self) -> Mapping[str, Fact]:
        """How many tokens are read."""
        return {"max_sequence_length": TOKENS}

    def prepare(self) -> None:
        """Settle the kind of guidance, and how many tokens of a text are read."""
        super().prepare()
        self.guidance_mode = "none" if self.pipeline.config.is_distilled else "classifier-free"
        tokenizer = self.pipeline.tokenizer
        tokenizer.model_max_length = chat_limit(self.name, tokenizer, TOKENS, enable_thinking=False)
        self._reader = SeveralReaders(self.name, {"tokenizer": tokenizer})

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which the tokenizer knows no token → why."""
        return self._reader.unreadable(texts)

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are cut or known in part."""
        return self._reader.remarks(texts)

    def scheduler_arguments(self, steps: int) -> Mapping[str, Any]:
        """``mu`` by image size and T, and σ from 1 to 1/T."""
        _, height, width = self.latent_shape
        mu = compute_empirical_mu(image_seq_len=height * width, num_steps=steps)
        if self.pipeline.scheduler.config.get("use_flow_sigmas"):
            return {"mu": mu}
        return {"mu": mu, "sigmas": numpy.linspace(1.0, 1 / steps, steps)}

    @torch.inference_mode()
    def encode(self, prompts: list[str]) -> Conditioning:
        """Prompts → ``encoder_hidden_states``."""
        with quiet():
            states, _ = self.pipeline.encode_prompt(
                prompts, device=self.device, max_sequence_length=TOKENS
            )
        return Conditioning({"encoder_hidden_states": states.to(self.network.dtype)})

    def run_network(
        self, network: Any, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]
    ) -> Tensor:
        """The transformer's velocity. Time stays float32 until the network rounds it."""
        pipeline, states = self.pipeline, cond["encoder_hidden_states"]
        out = network(
            hidden_states=pipeline._pack_latents(x),
            timestep=timesteps / 1000,
            guidance=None,
            encoder_hidden_states=states,
            txt_ids=pipeline._prepare_text_ids(states[:1]).to(x.device),
            img_ids=pipeline._prepare_latent_ids(x[:1]).to(x.device),
            return_dict=False,
        )[0]
        return out.permute(0, 2, 1).reshape(x.shape)

    def unscale(self, latents: Tensor) -> Tensor:
        """x_0 → what the VAE decodes: the normalisation undone, tokens unfolded."""
        vae = self.pipeline.vae
        variance = vae.bn.running_var + vae.config.batch_norm_eps
        mean, deviation = (
            each.view(1, -1, 1, 1).to(latents) for each in (vae.bn.running_mean, variance.sqrt())
        )
        unfolded: Tensor = self.pipeline._unpatchify_latents(latents * deviation + mean)
        return unfolded


def recommended(folder: Path) -> ProcessSettings:
    """What the models' cards say: four steps if distilled, else 50 and a guidance of 4."""
    if read_object(folder / "model_index.json").get("is_distilled"):
        return ProcessSettings(sampler=NATIVE, steps=4, guidance=1.0)
    return ProcessSettings(sampler=NATIVE, steps=50, guidance=4.0)


FAMILY = Family(
    pipeline=diffusers.Flux2KleinPipeline,
    parts={
        "transformer": Part(diffusers, (diffusers.Flux2Transformer2DModel,)),
        "vae": Part(diffusers, (diffusers.AutoencoderKLFlux2,)),
        "text_encoder": Part(transformers, (transformers.Qwen3ForCausalLM,)),
        "tokenizer": Part(transformers, (transformers.PreTrainedTokenizerBase,), network=False),
        "scheduler": Part(diffusers, (diffusers.SchedulerMixin,), network=False),
    },
    process=Flux2Klein,
    options=lambda index: {"is_distilled": index.get("is_distilled") is True},
    recommended=recommended,
    advice="use a text-to-image model of Flux.2 klein",
)

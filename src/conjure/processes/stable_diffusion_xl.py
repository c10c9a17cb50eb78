"""Stable Diffusion XL, SDXL Turbo and Lightning, and fine-tunes of them.

Texts are encoded by ``StableDiffusionXLPipeline.encode_prompt`` itself: the last states but one of
two CLIP encoders, and the pooled state of the second. The network is also told three sizes.
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
from .latents import pixels_per_latent, unet_shape, unet_unit
from .quiet import quiet
from .several_readers import SeveralReaders
from .tokens import check_vocabulary, settle_limit


class StableDiffusionXL(PipelineProcess):
    """An SDXL model with its sampler, steps and guidance.

    A prompt is ``encoder_hidden_states`` (tokens, width) and ``text_embeds`` (pooled width).
    Guidance subtracts zeros, where ``force_zeros_for_empty_prompt`` says so and there is no
    negative prompt; else the negative prompt's states. The empty prompt is not zeros (diffusers
    issue 7920), so ``negative_prompt=""`` is another process.

    Every picture is said to have been of the size that is drawn, and not cropped, as the pipeline
    says by default.
    """

    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of the network's native size."""
        return unet_shape(self.name, self.network.config, self.denoiser)

    def latents_unit(self) -> int | None:
        """Whole pixels at the UNet's coarsest level."""
        return unet_unit(self.network.config)

    def facts(self) -> Mapping[str, Fact]:
        """The three sizes that the network is told, each height and width in pixels."""
        original, crop, target = (f"{h}x{w}" for h, w in self._told_sizes())
        return {"original_size": original, "crop": crop, "target_size": target}

    def prepare(self) -> None:
        """Settle how many tokens are read, and keep the VAE out of half precision's range."""
        pipeline, tokenizers = self.pipeline, {}
        self.blank_negative = None if pipeline.config.force_zeros_for_empty_prompt else ""
        if self.device.type == "cuda":  # the layout that its convolutions run fastest in
            self.network.to(memory_format=torch.channels_last)
        for part in ("tokenizer", "tokenizer_2"):
            tokenizers[part] = getattr(pipeline, part)
            encoder = getattr(pipeline, part.replace("tokenizer", "text_encoder"))
            settle_limit(self.name, tokenizers[part], encoder)
            check_vocabulary(self.name, tokenizers[part], encoder)
        limits = {tokenizer.model_max_length for tokenizer in tokenizers.values()}
        if len(limits) > 1:
            raise InputError(f"{self.name} does not fit together: its CLIPs read {limits} tokens")
        if pipeline.vae.dtype == torch.float16 and pipeline.vae.config.get("force_upcast"):
            pipeline.vae.to(torch.float32)  # it overflows
        self._reader = SeveralReaders(self.name, tokenizers)

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which no tokenizer knows a token → why."""
        return self._reader.unreadable(texts)

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are cut or known in part, by tokenizer."""
        return self._reader.remarks(texts)

    @torch.inference_mode()
    def encode(self, prompts: list[str]) -> Conditioning:
        """Prompts → ``encoder_hidden_states`` and ``text_embeds``."""
        with quiet():
            states, _, pooled, _ = self.pipeline.encode_prompt(
                prompts, device=self.device, do_classifier_free_guidance=False
            )
        kind = self.network.dtype
        return Conditioning(
            {"encoder_hidden_states": states.to(kind), "text_embeds": pooled.to(kind)}
        )

    def encode_unconditional(self) -> Conditioning:
        """Zeros, or what the negative prompt is encoded as."""
        text = self.blank_negative if self.negative_prompt is None else self.negative_prompt
        found = self.embed([text or ""])
        if text is not None:
            return found
        return Conditioning({name: torch.zeros_like(t) for name, t in found.tensors.items()})

    def run_network(
        self, network: Any, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]
    ) -> Tensor:
        """The UNet's prediction, told the pooled states and the sizes."""
        numbers = [number for pair in self._told_sizes() for number in pair]
        time_ids = torch.tensor([numbers], dtype=x.dtype, device=x.device).repeat(len(x), 1)
        added = {"text_embeds": cond["text_embeds"], "time_ids": time_ids}
        states = cond["encoder_hidden_states"]
        return network(
            x,
            timesteps,
            encoder_hidden_states=states,
            added_cond_kwargs=added,
            return_dict=False,
        )[0]

    def unscale(self, latents: Tensor) -> Tensor:
        """x_0 → what the VAE decodes; some fine-tunes state a mean and a spread of latents."""
        config = self.pipeline.vae.config
        mean, spread = config.get("latents_mean"), config.get("latents_std")
        if mean is None or spread is None:
            return latents / config.scaling_factor
        mean, spread = (latents.new_tensor(v).reshape(1, -1, 1, 1) for v in (mean, spread))
        return latents * spread / config.scaling_factor + mean

    def _told_sizes(self) -> tuple[tuple[int, int], ...]:
        """Original size, corner of the crop, target size: (height, width) in pixels each."""
        factor = pixels_per_latent(self.pipeline)
        _, height, width = self.latent_shape
        size = (height * factor, width * factor)
        return size, (0, 0), size


def _options(index: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pipeline's options; InputError for the refiner, which starts from a finished picture."""
    if index.get("requires_aesthetics_score"):
        raise InputError(
            "this is SDXL's refiner, which starts from a finished picture and an aesthetic score:"
            " use the base model"
        )
    zeros = index.get("force_zeros_for_empty_prompt", True)
    return {"force_zeros_for_empty_prompt": bool(zeros), "add_watermarker": False}


_TOKENIZER = Part(transformers, (transformers.PreTrainedTokenizerBase,), network=False)

FAMILY = Family(
    pipeline=diffusers.StableDiffusionXLPipeline,
    parts={
        "unet": Part(diffusers, (diffusers.UNet2DConditionModel,)),
        "vae": Part(diffusers, (diffusers.AutoencoderKL, diffusers.AutoencoderTiny)),
        "text_encoder": Part(transformers, (transformers.CLIPTextModel,)),
        "tokenizer": _TOKENIZER,
        "text_encoder_2": Part(transformers, (transformers.CLIPTextModelWithProjection,)),
        "tokenizer_2": _TOKENIZER,
        "scheduler": Part(diffusers, (diffusers.SchedulerMixin,), network=False),
    },
    process=StableDiffusionXL,
    unused=("image_encoder", "feature_extractor"),
    options=_options,
    advice="use a text-to-image model of SDXL, such as its base or Turbo; the refiner, which has"
    " one text encoder and starts from a finished picture, is none",
)

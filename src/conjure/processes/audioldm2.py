"""AudioLDM2: sounds in place of pictures. Its latents stand for a mel spectrogram.

Texts are encoded by ``AudioLDM2Pipeline.encode_prompt`` itself, one at a time: it pads T5's states
to the longest text of a batch, and its language model goes on from the padding, so a text's states
would depend on its company. Alone, they are those of a call with one prompt. Then T5's states are
padded to one length, which the mask hides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import torch
import transformers
from diffusers.pipelines import audioldm2
from torch import Tensor
from torch.nn.functional import pad

from ..core.errors import InputError
from ..core.spec import Fact
from ..core.types import Conditioning
from .base import PipelineProcess
from .family import Family, Part
from .quiet import quiet
from .settings import ProcessSettings
from .several_readers import SeveralReaders
from .tokens import settle_limit

_MOST_TOKENS = 512  # of T5; what Flan-T5's tokenizer states
# log mel drawn black and white: ln 1e-5, where the mel is cut, and ln 10
_QUIET, _LOUD = -11.513, 2.303


class AudioLDM2(PipelineProcess):
    """An AudioLDM2 model with its sampler, steps and guidance.

    A prompt is ``generated`` (8, width), the language model's states, with ``states`` (tokens,
    width) and ``mask`` (tokens) of T5. Guidance subtracts the empty or negative prompt's, encoded
    alone. (The pipeline pads it to the length of the prompt, so what it subtracts depends on the
    prompt.) Latents are (channels, time, frequency), of the length that the network was made for.
    """

    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, time, frequency) of the network's native length."""
        config, vocoder = self.network.config, self.pipeline.vocoder.config
        if config.in_channels != config.out_channels:
            raise InputError(f"{self.name} takes more than latents")
        frequency = vocoder.model_in_dim // self.pixels_per_latent()
        if not isinstance(config.sample_size, int) or config.sample_size < 1 or frequency < 1:
            raise InputError(f"{self.name} does not say how long its sounds are")
        return config.in_channels, config.sample_size, frequency

    def facts(self) -> Mapping[str, Fact]:
        """How many tokens T5 reads."""
        return {"max_sequence_length": self.pipeline.tokenizer_2.model_max_length}

    def prepare(self) -> None:
        """Settle how many tokens are read."""
        pipeline = self.pipeline
        settle_limit(self.name, pipeline.tokenizer, pipeline.text_encoder.text_model)
        stated = pipeline.tokenizer_2.model_max_length
        pipeline.tokenizer_2.model_max_length = min(stated, _MOST_TOKENS)
        tokenizers = {name: getattr(pipeline, name) for name in ("tokenizer", "tokenizer_2")}
        self._reader = SeveralReaders(self.name, tokenizers)

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which no tokenizer knows a token → why."""
        return self._reader.unreadable(texts)

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are cut or known in part, by tokenizer."""
        return self._reader.remarks(texts)

    def encode(self, prompts: list[str]) -> Conditioning:
        """Prompts, each by itself → ``generated``, ``states`` and ``mask``."""
        return Conditioning.join([self._encode(prompt) for prompt in prompts])

    @torch.inference_mode()
    def _encode(self, prompt: str) -> Conditioning:
        with quiet():
            states, mask, generated = self.pipeline.encode_prompt(prompt, self.device, 1, False)
        short = self.pipeline.tokenizer_2.model_max_length - states.shape[1]
        kind = self.network.dtype
        return Conditioning(
            {
                "generated": generated.to(kind),
                "states": pad(states, (0, 0, 0, short)).to(kind),
                "mask": pad(mask, (0, short)),
            }
        )

    def run_network(
        self, network: Any, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]
    ) -> Tensor:
        """The UNet's prediction."""
        return network(
            x,
            timesteps,
            encoder_hidden_states=cond["generated"],
            encoder_hidden_states_1=cond["states"],
            encoder_attention_mask_1=cond["mask"],
            return_dict=False,
        )[0]

    def picture_order(self, maps: Tensor) -> Tensor:
        """(…, time, frequency) of latent positions → (…, frequency, time), as ``decode``."""
        return maps.transpose(-2, -1).flip(-2)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """x_0 (n, *latent_shape) → mel spectrograms as pictures (n, 3, time, frequency), 0 … 1.

        Time runs downwards and frequency to the right, as in the latents, so that maps of latents
        lie on the pictures. Black is a log mel of ln 1e-5, white of ln 10, for every picture.
        """
        vae = self.pipeline.vae
        scaled = self.unscale(latents).to(self.device, vae.dtype)
        parts = [
            vae.decode(scaled[i : i + self.batch_size], return_dict=False)[0].float()
            for i in range(0, len(scaled), self.batch_size)
        ]
        mel = torch.cat(parts)  # (n, 1, time, frequency)
        return ((mel - _QUIET) / (_LOUD - _QUIET)).clamp(0, 1).repeat(1, 3, 1, 1)


FAMILY = Family(
    pipeline=diffusers.AudioLDM2Pipeline,
    parts={
        "unet": Part(audioldm2, (audioldm2.AudioLDM2UNet2DConditionModel,)),
        "vae": Part(diffusers, (diffusers.AutoencoderKL,)),
        "text_encoder": Part(transformers, (transformers.ClapModel,)),
        "tokenizer": Part(
            transformers,
            (transformers.RobertaTokenizer, transformers.RobertaTokenizerFast),
            network=False,
        ),
        "text_encoder_2": Part(transformers, (transformers.T5EncoderModel,)),
        "tokenizer_2": Part(
            transformers, (transformers.T5Tokenizer, transformers.T5TokenizerFast), network=False
        ),
        "projection_model": Part(audioldm2, (audioldm2.AudioLDM2ProjectionModel,)),
        "language_model": Part(
            transformers,
            (transformers.GPT2LMHeadModel, transformers.GPT2Model),
            # older folders name the model without its head, which lacks what the pipeline calls
            read_by=transformers.GPT2LMHeadModel,
        ),
        "vocoder": Part(transformers, (transformers.SpeechT5HifiGan,)),
        "scheduler": Part(diffusers, (diffusers.SchedulerMixin,), network=False),
    },
    process=AudioLDM2,
    unused=("feature_extractor",),
    recommended=ProcessSettings(guidance=3.5),
    advice="use AudioLDM2 for sounds or music; the one for speech, which reads phonemes, is not"
    " known here",
)

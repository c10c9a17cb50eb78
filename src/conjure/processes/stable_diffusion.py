"""Any StableDiffusionPipeline as the core's ``GenerativeProcess``: SD 1.x, 2.x, fine-tunes, emoji.

The text goes the way ``StableDiffusionPipeline.encode_prompt`` takes it; the network's ε, v or x₀
becomes ε; half precision stays inside the networks, everything between them is ``latent_dtype``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.process import GuidanceMode
from ..core.reading import tell
from ..core.types import Conditioning
from .hub import Opened
from .parts import first_line
from .samplers import Sampler, SchedulerSolver, to_epsilon, wide_dtype
from .settings import Choice, ProcessSettings, shown
from .tokens import TextReader, settle_limit

_PREDICTIONS = ("epsilon", "v_prediction", "sample")


class StableDiffusion:
    """A Stable Diffusion model with its sampler, steps and guidance; see ``processes.load``.

    The attributes are those of ``core.process.GenerativeProcess``; and
    pipeline: the diffusers pipeline, for pictures
    """

    def __init__(self, opened: Opened, device: torch.device, settings: ProcessSettings) -> None:
        """Raises InputError where the network is none that text alone conditions."""
        choice, unet = opened.choice, opened.pipeline.unet
        self.name = opened.name
        self.revision = opened.revision
        self.dtype = choice.dtype
        self.device = device
        self.latent_dtype = torch.float64 if choice.dtype == "float64" else torch.float32
        self.latent_shape = _latent_shape(self.name, unet.config)
        self.batch_size = settings.batch_size or default_batch_size(device, self.latent_shape)
        self.pipeline = opened.pipeline.to(device)
        if device.type == "cuda":  # the layout that its convolutions run fastest in
            self.pipeline.unet.to(memory_format=torch.channels_last)
        # One shape, so that one compilation serves: smaller batches are padded to it.
        self._compiled = torch.compile(unet, dynamic=False) if settings.compile else None

        self._prediction = self.pipeline.scheduler.config.get("prediction_type", "epsilon")
        if self._prediction not in _PREDICTIONS:
            raise InputError(f"{self.name} predicts {self._prediction!r}, which is not known here")
        settle_limit(self.name, self.pipeline.tokenizer, self.pipeline.text_encoder)
        self._reader = TextReader(self.name, self.pipeline.tokenizer)
        self._settle(choice)
        self._try_out()

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.name!r} ({self.revision}): {self.sampler},"
            f" T={len(self.schedule)}, w={self.guidance:.12g}, {self.dtype} on {self.device}>"
        )

    def with_settings(
        self, *, sampler: str | None = None, steps: int | None = None, guidance: float | None = None
    ) -> StableDiffusion:
        """The same model as another process; both share the weights. None leaves what it is.

        Raises InputError as ``processes.load`` does.
        """
        asked = ProcessSettings(sampler=sampler, steps=steps, guidance=guidance)
        own = ProcessSettings(self.sampler, len(self.schedule), self.guidance, dtype=self.dtype)
        other = copy.copy(self)
        other._settle(asked.over(own))
        return other

    def _settle(self, choice: Choice) -> None:
        """Take on sampler, steps and guidance, which make a process of the model."""
        self.sampler = choice.sampler
        self.guidance = float(choice.guidance)
        try:
            self._sampler = Sampler(choice.sampler, choice.steps, self.pipeline.scheduler.config)
        except InputError:
            raise
        except Exception as error:  # what diffusers makes of numbers that nobody checked
            raise InputError(
                f"{self.name}'s scheduler cannot be used: {first_line(error)}"
            ) from error
        self.schedule = self._sampler.schedule
        self._timesteps = self._table(self.schedule.timesteps)
        factors = (self._sampler.input_scale, *zip(*self._sampler.alpha_sigma, strict=True))
        self._input_scale, self._alpha, self._sigma = (
            torch.tensor(values, dtype=wide_dtype(self._timesteps), device=self.device)
            for values in factors
        )

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        """n prompts → ``encoder_hidden_states`` (n, tokens, width) in the network's dtype.

        A prompt of more tokens than the encoder reads is cut, and what its tokenizer does not know
        does not count: a PromptTruncatedWarning and an UnknownTokensWarning say so, once for each
        prompt. Raises InputError for a prompt of which nothing is read.
        """
        for reason in self.unreadable(prompts).values():
            raise InputError(reason)
        for warning in self.remarks(prompts):
            tell(warning)
        parts = [
            self._encode(list(prompts[i : i + self.batch_size]))
            for i in range(0, len(prompts), self.batch_size)
        ]
        return Conditioning({"encoder_hidden_states": torch.cat(parts)})

    guidance_mode: GuidanceMode = "classifier-free"

    def unconditional(self) -> Conditioning | None:
        """The empty prompt's, which ``StableDiffusionPipeline`` subtracts; None at w = 1."""
        return None if self.guidance == 1 else self.embed([""])

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which nothing is read → why; see ``core.reading.ReadsTexts``."""
        return self._reader.unreadable(texts)

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are cut or known in part; each text is told of once."""
        return self._reader.remarks(texts)

    @torch.inference_mode()
    def predict(self, x: Tensor, step: Tensor, conditioning: Conditioning) -> Tensor:
        """The network's ε at x_j, unguided; see ``core.process.GenerativeProcess.predict``.

        A v or x₀ is converted in float64, and stays in it for the solver to find it again.
        """
        j = step.to(self.device)
        x = x * _column(self._input_scale[j], x)  # now αx₀ + σε, whatever the solver's scale
        states = conditioning.tensors["encoder_hidden_states"]
        out = self._ask(x.to(self.latent_dtype), self._timesteps[j], states)
        if self._prediction == "epsilon":
            return out.to(self.latent_dtype)
        alpha, sigma = _column(self._alpha[j], x), _column(self._sigma[j], x)
        return to_epsilon(out.to(x.dtype), x, alpha, sigma, self._prediction)

    def solver(self) -> SchedulerSolver:
        """A fresh solver, for one batch of trajectories in lockstep."""
        return self._sampler.solver()

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """x_0 (n, *latent_shape) → pictures (n, 3, height, width), float32 in 0 … 1."""
        vae = self.pipeline.vae
        scaled = (latents / vae.config.scaling_factor).to(self.device, vae.dtype)
        parts = [
            vae.decode(part, return_dict=False)[0].float() for part in scaled.split(self.batch_size)
        ]
        return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)

    def _ask(self, x: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
        """What the network itself predicts, ε, v or x₀, in its own dtype."""
        rows, x = len(x), x.to(self.pipeline.unet.dtype)
        network = self.pipeline.unet
        if self._compiled is not None:
            network = self._compiled
            x, timesteps, states = (_padded(t, self.batch_size) for t in (x, timesteps, states))
        return network(x, timesteps, encoder_hidden_states=states, return_dict=False)[0][:rows]

    @torch.inference_mode()
    def _encode(self, prompts: list[str]) -> Tensor:
        tokenizer, encoder = self.pipeline.tokenizer, self.pipeline.text_encoder
        tokens = padded_tokens(tokenizer, prompts).to(self.device)
        masked = getattr(encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask if masked else None
        states = encoder(tokens.input_ids, attention_mask=mask)[0]
        return states.to(self.pipeline.unet.dtype)

    @torch.inference_mode()
    def _try_out(self) -> None:
        """One row through all parts, of a small picture; InputError where they do not fit together.

        Tokens without an embedding, states of a width that the network does not take, a network
        that wants more than text: better now than after the first hour.
        """
        vocabulary = max(self.pipeline.tokenizer.get_vocab().values(), default=-1)
        try:
            embeddings = self.pipeline.text_encoder.get_input_embeddings().weight
            if vocabulary >= len(embeddings):
                raise InputError(
                    f"{self.name} does not fit together: its tokenizer knows {vocabulary + 1}"
                    f" tokens, its text encoder {len(embeddings)}"
                )
            channels, *size = self.latent_shape
            x = torch.zeros(1, channels, *(min(n, 8) for n in size), dtype=self.latent_dtype)
            self.pipeline.unet(
                x.to(self.device, self.pipeline.unet.dtype),
                self._timesteps[:1],
                encoder_hidden_states=self._encode([""]),
            )
        except InputError:
            raise
        except Exception as error:  # whatever the libraries make of it
            raise InputError(f"{self.name} does not run: {first_line(error)}") from error

    def _table(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=self.latent_dtype, device=self.device)


def padded_tokens(tokenizer: Any, prompts: list[str]) -> Any:
    """``input_ids`` and ``attention_mask`` (n, tokens), each padded or cut to what is read."""
    return tokenizer(
        prompts,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )


def find_device(name: str | None, dtype: str | None) -> torch.device:
    """The device of that name, tried out; None: "cuda" where there is one, else "cpu".

    Raises InputError where it cannot be used, or not with that dtype.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.ones(1, dtype=getattr(torch, dtype or "float32"), device=device).sum().item()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        have = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        have += ["mps"] if torch.backends.mps.is_available() else []
        with_dtype = f" with {dtype}" if dtype else ""
        raise InputError(
            f"device {name!r} cannot be used here{with_dtype}; there is {', '.join(['cpu', *have])}"
        ) from error
    return device


def default_batch_size(device: torch.device, latent_shape: tuple[int, ...]) -> int:
    """Rows that keep the device busy and still fit: fewer, the larger the pictures.

    Work and memory of a row grow with its latent positions. A GPU is busy from about 2¹⁶ of them:
    16 rows of SD 1.4's 64×64, in fp16 within 8 GB. A CPU is busy with far less, 32 rows of 8×8;
    beyond that a batch costs memory and gains nothing.
    """
    positions = latent_shape[-2] * latent_shape[-1]
    if device.type == "cpu":
        return min(max(2048 // positions, 4), 32)
    return min(max(65536 // positions, 4), 256)


def _latent_shape(name: str, config: Any) -> tuple[int, ...]:
    """(channels, height, width) of the network's native size."""
    if config.in_channels != config.out_channels:
        raise InputError(f"{name} takes more than latents (an inpainting or depth model, say)")
    if config.time_cond_proj_dim is not None:
        raise InputError(
            f"{name} is told its guidance (a distilled model), which is not known here"
        )
    size = config.sample_size
    sides = list(size) if isinstance(size, list | tuple) else [size, size]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise InputError(
            f"{name} does not say how large its pictures are: sample_size is {shown(size)} in"
            " unet/config.json"
        )
    return (config.in_channels, *sides)


def _padded(rows: Tensor, count: int) -> Tensor:
    """(n, …) → (count, …), the last row repeated."""
    return torch.cat([rows, rows[-1:].expand(count - len(rows), *rows.shape[1:])])


def _column(values: Tensor, like: Tensor) -> Tensor:
    """(n,) → (n, 1, …, 1), to scale the rows of ``like``."""
    return values.reshape(-1, *[1] * (like.dim() - 1))

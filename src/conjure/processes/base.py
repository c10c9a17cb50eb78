"""What the processes of all families share: a diffusers pipeline as a ``GenerativeProcess``.

A family's class says how texts become conditioning (``encode``), how its network is called
(``run_network``) and how large its latents are (``find_latent_shape``). The rest is here: device,
dtype and batches, the sampler and its tables, conversion to ε, compilation, pictures.

Half precision stays inside the networks; everything between them is ``latent_dtype``.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.process import GuidanceMode
from ..core.reading import tell
from ..core.spec import Fact
from ..core.text import first_line
from ..core.types import Conditioning
from .devices import default_batch_size
from .family import Opened
from .latents import column, padded
from .quiet import quiet
from .samplers import Sampler, SchedulerSolver, to_epsilon, wide_dtype
from .settings import Choice, ProcessSettings

_PREDICTIONS = ("epsilon", "v_prediction", "sample")


class PipelineProcess(ABC):
    """One model with its sampler, steps and guidance; see ``processes.load``.

    The attributes are those of ``core.process.GenerativeProcess``, and

    pipeline:   the diffusers pipeline
    denoiser:   the name of the part that predicts
    trial_size: the longest side of the latents on which the parts are tried out together; None
                for a network that takes its own size alone
    settings:   further facts that determine a number, for the signature's key: a negative prompt,
                an adapter. Their names must not be those of ``core.spec.process_key``
    """

    denoiser = "unet"
    trial_size: int | None = 8
    guidance_mode: GuidanceMode = "classifier-free"
    settings: Mapping[str, Fact] = MappingProxyType({})

    def __init__(self, opened: Opened, device: torch.device, settings: ProcessSettings) -> None:
        """Raises InputError where the parts do not fit together."""
        choice = opened.choice
        self.name = opened.name
        self.revision = opened.revision
        self.dtype = choice.dtype
        self.device = device
        self.latent_dtype = torch.float64 if choice.dtype == "float64" else torch.float32
        self.pipeline = opened.pipeline
        self.latent_shape = self.find_latent_shape()
        self.batch_size = settings.batch_size or default_batch_size(device, self.latent_shape)
        with quiet():  # it remarks on half precision on a CPU; ``devices`` warned already
            self.pipeline = self.pipeline.to(device)
        # One shape, so that one compilation serves: smaller batches are padded to it.
        self._compiled = torch.compile(self.network, dynamic=False) if settings.compile else None
        self.prepare()
        self._settle(choice)
        self._try_out()

    # ------------------------------------------------------------------ what a family says

    @abstractmethod
    def find_latent_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of one picture's latents; InputError for a wrong network."""

    @abstractmethod
    def encode(self, prompts: list[str]) -> Conditioning:
        """At most ``batch_size`` prompts → their rows, in the dtype of the network."""

    @abstractmethod
    def run_network(
        self, network: Any, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]
    ) -> Tensor:
        """What the network predicts: ε, v or x₀, (n, *latent_shape).

        network: the denoiser or its compiled form; x: (n, *latent_shape) in its dtype, αx₀ + σε;
        timesteps: (n,); cond: tensors of n rows
        """

    def encode_unconditional(self) -> Conditioning:
        """The one row that guidance subtracts; by default the empty prompt's."""
        return self.embed([""])

    def make_sampler(self, choice: Choice) -> Sampler:
        """The sampler of that name on the model's noise schedule."""
        return Sampler(choice.sampler, choice.steps, self.pipeline.scheduler.config)

    def unscale(self, latents: Tensor) -> Tensor:
        """x_0 → what the VAE decodes."""
        return latents / self.pipeline.vae.config.scaling_factor

    def prepare(self) -> None:  # noqa: B027
        """Make the parts ready, and raise InputError where a trial run would not show a fault."""

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which nothing is read → why; see ``core.reading.ReadsTexts``."""
        return {}

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are read in part, each text once."""
        return []

    # ------------------------------------------------------------------ what all share

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.name!r} ({self.revision}): {self.sampler},"
            f" T={len(self.schedule)}, w={self.guidance:.12g}, {self.dtype} on {self.device}>"
        )

    @property
    def network(self) -> Any:
        """The network that predicts."""
        return getattr(self.pipeline, self.denoiser)

    def with_settings(
        self,
        *,
        sampler: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        compare: str | None = None,
    ) -> Self:
        """The same model as another process; both share the weights. None keeps a setting.

        Raises InputError as ``processes.load`` does.
        """
        asked = ProcessSettings(sampler, steps, guidance, compare)
        own = ProcessSettings(
            self.sampler, len(self.schedule), self.guidance, self.compare, dtype=self.dtype
        )
        other = copy.copy(self)
        other._settle(asked.over(own))
        return other

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        """n prompts → n rows of conditioning, in the network's dtype.

        A text that is read in part warns once. Raises InputError for a text of which nothing is
        read.
        """
        for reason in self.unreadable(prompts).values():
            raise InputError(reason)
        for warning in self.remarks(prompts):
            tell(warning)
        starts = range(0, len(prompts), self.batch_size)
        return Conditioning.join(
            [self.encode(list(prompts[i : i + self.batch_size])) for i in starts]
        )

    def unconditional(self) -> Conditioning | None:
        """The row that guidance subtracts; None where the network is not asked for ε_∅."""
        if self.guidance == 1 or self.guidance_mode != "classifier-free":
            return None
        return self._unconditional

    @torch.inference_mode()
    def predict(self, x: Tensor, step: Tensor, conditioning: Conditioning) -> Tensor:
        """The network's ε at x_j, unguided; see ``core.process.GenerativeProcess.predict``.

        v and x₀ are converted in float64, and the result stays in it: the solver recovers v and x₀.
        """
        j = step.to(self.device)
        x = x * column(self._input_scale[j], x)  # now αx₀ + σε, whatever the solver's scale
        out = self._ask(x.to(self.latent_dtype), self._timesteps[j], conditioning.tensors)
        if self._prediction == "epsilon":
            return out.to(self.latent_dtype)
        alpha, sigma = column(self._alpha[j], x), column(self._sigma[j], x)
        return to_epsilon(out.to(x.dtype), x, alpha, sigma, self._prediction)

    def solver(self) -> SchedulerSolver:
        """A fresh solver, for one batch of trajectories in lockstep."""
        return self._sampler.solver()

    def denoised(self, x: Tensor, step: int, prediction: Tensor) -> Tensor:
        """x̂₀, what a prediction at x_j says of the end: (n, *latent_shape), as ``decode`` takes it.

        x:          (n, *latent_shape), x_j in the solver's scale
        prediction: (n, *latent_shape), guided or not, as ``predict`` gives it
        """
        alpha, sigma = self._sampler.alpha_sigma[step]
        wide = x.to(wide_dtype(x)) * self._sampler.input_scale[step]
        return ((wide - sigma * prediction.to(wide)) / alpha).to(self.latent_dtype)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """x_0 (n, *latent_shape) → pictures (n, 3, height, width), float32 in 0 … 1."""
        vae = self.pipeline.vae
        scaled: Tensor = self.unscale(latents).to(self.device, vae.dtype)
        parts = [
            vae.decode(scaled[i : i + self.batch_size], return_dict=False)[0].float()
            for i in range(0, len(scaled), self.batch_size)
        ]
        return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)

    # ------------------------------------------------------------------ inside

    def _settle(self, choice: Choice) -> None:
        """Take on sampler, steps, guidance and currency, which make a process of the model."""
        self.sampler = choice.sampler
        self.guidance = float(choice.guidance)
        if self.guidance_mode == "none" and self.guidance != 1:
            raise InputError(f"{self.name} has no guidance: leave guidance out, or set it to 1")
        config = self.pipeline.scheduler.config
        self._prediction = config.get("prediction_type", "epsilon")
        if self._prediction not in _PREDICTIONS:
            raise InputError(f"{self.name} predicts {self._prediction!r}, which is not known here")
        try:
            self._sampler = self.make_sampler(choice)
        except InputError:
            raise
        except Exception as error:  # what diffusers makes of numbers that nobody checked
            raise InputError(
                f"{self.name}'s scheduler cannot be used: {first_line(error)}"
            ) from error
        self.schedule = self._sampler.schedule
        self.compare = choice.compare
        factors = self._sampler.comparison_factors(self._prediction, choice.compare)
        self.comparison_scale, self.comparison_shift = zip(*factors, strict=True)
        self._timesteps = torch.tensor(
            self.schedule.timesteps, dtype=self.latent_dtype, device=self.device
        )
        tables = (self._sampler.input_scale, *zip(*self._sampler.alpha_sigma, strict=True))
        self._input_scale, self._alpha, self._sigma = (
            torch.tensor(values, dtype=wide_dtype(self._timesteps), device=self.device)
            for values in tables
        )

    @cached_property
    def _unconditional(self) -> Conditioning:
        return self.encode_unconditional()

    def _ask(self, x: Tensor, timesteps: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        """What the network itself predicts, in its own dtype."""
        rows, network = len(x), self.network
        x = x.to(network.dtype)
        if self._compiled is not None:
            network, most = self._compiled, self.batch_size
            x, timesteps = padded(x, most), padded(timesteps, most)
            cond = {name: padded(tensor, most) for name, tensor in cond.items()}
        return self.run_network(network, x, timesteps, cond)[:rows]

    @torch.inference_mode()
    def _try_out(self) -> None:
        """One row through text encoder and network; InputError where they do not fit together.

        States of a width that the network does not take, a network that wants more than text:
        better now than after the first hour.
        """
        channels, *size = self.latent_shape
        sides = [min(side, self.trial_size or side) for side in size]
        try:
            cond = self._unconditional.tensors
            x = torch.zeros(1, channels, *sides, device=self.device, dtype=self.network.dtype)
            self.run_network(self.network, x, self._timesteps[:1], cond)
        except InputError:
            raise
        except Exception as error:  # whatever the libraries make of it
            raise InputError(f"{self.name} does not run: {first_line(error)}") from error

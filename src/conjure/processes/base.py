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
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self, TypedDict, Unpack

import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.process import GuidanceMode, Solver
from ..core.reading import tell
from ..core.spec import Fact
from ..core.text import first_line
from ..core.types import Conditioning
from .devices import default_batch_size
from .family import Opened
from .latents import column, padded, pixels_per_latent, resized
from .native import NativeSampler
from .quiet import quiet
from .samplers import AnySampler, Sampler, to_epsilon, wide_dtype
from .settings import NATIVE, Choice, ProcessSettings
from .watch import WeightWatch

_PREDICTIONS = ("epsilon", "v_prediction", "sample")


class Changes(TypedDict, total=False):
    """What may be changed of a loaded process; the names are those of ``ProcessSettings``."""

    sampler: str | None
    steps: int | None
    guidance: float | None
    negative_prompt: str | None
    size: tuple[int, int] | str | int | None
    true_cfg_scale: float | None
    eta: float | None
    compare: str | None


class PipelineProcess(ABC):
    """One model with its sampler, steps and guidance; see ``processes.load``.

    The attributes are those of ``core.process.GenerativeProcess``, and

    pipeline:   the diffusers pipeline
    denoiser:   the name of the part that predicts
    trial_size: the longest side of the latents on which the parts are tried out together; None
                for a network that takes its own size alone
    settings:   further facts that determine a number, for the signature's key: those of ``facts``,
                a negative prompt, η. Their names must not be those of ``core.spec.process_key``
    blank_negative: the negative prompt that is subtracted when none is given; None for zeros or
                anything else that is no text
    takes_true_cfg: whether ``true_cfg_scale`` guides besides the guidance that is told
    """

    denoiser = "unet"
    trial_size: int | None = 8
    guidance_mode: GuidanceMode = "classifier-free"
    settings: Mapping[str, Fact] = MappingProxyType({})
    blank_negative: str | None = ""
    takes_true_cfg = False

    def __init__(self, opened: Opened, device: torch.device, settings: ProcessSettings) -> None:
        """Raises InputError where the parts do not fit together."""
        choice = opened.choice
        self.name = opened.name
        self.revision = opened.revision
        self.dtype = choice.dtype
        self.device = device
        self.latent_dtype = torch.float64 if choice.dtype == "float64" else torch.float32
        self.pipeline = opened.pipeline
        shape = self._sized(choice)
        self.batch_size = settings.batch_size or default_batch_size(device, shape)
        with quiet():  # it remarks on half precision on a CPU; ``devices`` warned already
            if settings.offload:  # each part moves there for its own calls
                self.pipeline.enable_model_cpu_offload(device=device)
            else:
                self.pipeline = self.pipeline.to(device)
        # One shape, so that one compilation serves: smaller batches are padded to it.
        self._compiled = torch.compile(self.network, dynamic=False) if settings.compile else None
        self.prepare()
        self._settle(choice)
        if choice.negative_prompt is not None and self.guidance == 1:
            raise InputError(
                f"guidance {self.told_guidance:g} subtracts nothing, so a negative prompt changes"
                " nothing: leave one out"
            )
        self._try_out()
        networks = {part: getattr(self.pipeline, part) for part in opened.family.networks}
        self._watch, self._edit = WeightWatch(networks), ""

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
        """The one row that guidance subtracts: of the negative prompt, by default the empty one."""
        return self.embed([self.negative_prompt or ""])

    def latents_unit(self) -> int | None:
        """What the sides of latents must be a multiple of; None for a network of one size."""
        return None

    def pixels_per_latent(self) -> int:
        """The pixels of a picture for each of its latents, along a side."""
        return pixels_per_latent(self.pipeline)

    def facts(self) -> Mapping[str, Fact]:
        """Further facts that determine a number, for the signature's key; see ``settings``."""
        return {}

    def make_sampler(self, choice: Choice) -> AnySampler:
        """The sampler of that name on the model's noise schedule, or the pipeline's own."""
        scheduler = self.pipeline.scheduler
        if choice.sampler == NATIVE:
            return NativeSampler(scheduler, choice.steps, choice.eta)
        return Sampler(choice.sampler, choice.steps, scheduler.config, choice.eta)

    def find_prediction(self) -> str:
        """What the network predicts: "epsilon", "v_prediction" or "sample"; else InputError."""
        found = self.pipeline.scheduler.config.get("prediction_type", "epsilon")
        if found not in _PREDICTIONS:
            raise InputError(f"{self.name} predicts {found!r}, which is not known here")
        return str(found)

    def guidance_weight(self, told: float) -> float:
        """The number that a user gives → w of ε_∅ + w (ε_y − ε_∅); most pipelines take w itself."""
        return told

    def unscale(self, latents: Tensor) -> Tensor:
        """x_0 → what the VAE decodes."""
        return latents / self.pipeline.vae.config.scaling_factor

    def prepare(self) -> None:  # noqa: B027
        """Make the parts ready, and raise InputError where a trial run would not show a fault."""

    def as_read(self, text: str) -> str:
        """What a text becomes before it is tokenised: small letters, say."""
        return text

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

    def with_settings(self, **changes: Unpack[Changes]) -> Self:
        """The same model as another process; both share the weights. None keeps a setting.

        changes: those that make a process of a model (``Changes``), as ``processes.load`` takes
        them; η goes with the sampler that it was given for. Raises InputError as it does.
        """
        if unknown := sorted({*changes} - {*Changes.__annotations__}):
            raise InputError(f"a loaded process has no setting {unknown[0]!r:.80} to change")
        asked, own = ProcessSettings(**changes), self._chosen
        if asked.sampler is not None and asked.eta is None:
            own = replace(own, eta=0.0)
        other = copy.copy(self)
        other._settle(asked.over(own))
        return other

    def refresh(self) -> None:
        """Say in ``revision`` what was changed by hand since loading; every run begins with it."""
        edit = self._watch.edit()
        if edit != self._edit:
            self.revision = self.revision.removesuffix(self._edit) + edit
            self._edit = edit
            self.__dict__.pop("_unconditional", None)  # of the weights before

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        """n prompts → n rows of conditioning, in the network's dtype.

        A text that is read in part warns once. Raises InputError for a text of which nothing is
        read.
        """
        self.read(prompts)
        starts = range(0, len(prompts), self.batch_size)
        return Conditioning.join(
            [self.encode(list(prompts[i : i + self.batch_size])) for i in starts]
        )

    def read(self, prompts: Sequence[str]) -> None:
        """Warn of texts that are read in part; InputError for one of which nothing is read."""
        for reason in self.unreadable(prompts).values():
            raise InputError(reason)
        for warning in self.remarks(prompts):
            tell(warning)

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

    def solver(self) -> Solver:
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
        """Take on what makes a process of the model: sampler, steps, guidance and the others."""
        self._chosen = choice
        self.latent_shape = self._sized(choice)
        self.sampler = choice.sampler
        self.told_guidance = float(choice.guidance)
        self.guidance = self.guidance_weight(self.told_guidance)
        if choice.true_cfg_scale != 1 and not self.takes_true_cfg:
            raise InputError(
                f"{self.name} takes no true_cfg_scale: its guidance is set by guidance"
            )
        if self.guidance_mode == "none" and self.guidance != 1:
            raise InputError(f"{self.name} has no guidance: leave guidance out, or set it to 1")
        if choice.negative_prompt is not None and self.guidance_mode in ("distilled", "none"):
            raise InputError(
                f"{self.name} subtracts nothing ({self.guidance_mode} guidance), so it takes no"
                " negative prompt: leave negative_prompt out"
            )
        if getattr(self, "negative_prompt", None) != choice.negative_prompt:
            vars(self).pop("_unconditional", None)  # which was embedded for another one
        self.negative_prompt = choice.negative_prompt
        self._prediction = self.find_prediction()
        try:
            self._sampler = self.make_sampler(choice)
        except InputError:
            raise
        except Exception as error:  # what diffusers makes of numbers that nobody checked
            raise InputError(
                f"{self.name}'s scheduler cannot be used: {first_line(error)}"
            ) from error
        if choice.eta and not getattr(self._sampler, "step_options", {}):
            raise InputError(f"eta goes with the sampler ddim, and {self.name} takes none")
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
        self.settings = MappingProxyType({**self.facts(), **self._further(choice)})

    def _further(self, choice: Choice) -> dict[str, Fact]:
        """What the user chose and determines a number, where it is not the family's default."""
        found: dict[str, Fact] = {}
        if self.sampler == NATIVE:
            found["scheduler"] = type(self.pipeline.scheduler).__name__
        text = self.negative_prompt
        if text is not None and text != self.blank_negative and self.guidance != 1:
            found["negative_prompt"] = text
        if choice.eta:
            found["eta"] = float(choice.eta)
        return found

    def _sized(self, choice: Choice) -> tuple[int, ...]:
        """The shape of latents, in the size that was asked for; InputError where it cannot be."""
        native = self.find_latent_shape()
        if choice.size is None:
            return native
        factor = self.pixels_per_latent()
        return resized(self.name, native, choice.size, factor, self.latents_unit())

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

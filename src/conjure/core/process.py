"""The contract between the estimator and whatever generates pictures, stated once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from .schedule import Schedule
from .types import Conditioning

GuidanceMode = Literal["classifier-free", "distilled", "none"]


class Solver(Protocol):
    """Takes one batch of trajectories from step to step, and holds their history."""

    def step(
        self, x: Tensor, prediction: Tensor, step: int, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """x_j and the guided ε at x_j, both (n, *latent_shape) → x_{j+1}, the same shape.

        Called once for each step 0, 1, …, in order, with the same n rows. ``generators`` holds one
        CPU generator a row. Only a stochastic solver draws from them.
        """
        ...


@runtime_checkable
class GenerativeProcess(Protocol):
    """A text-conditioned diffusion model together with its sampler, steps, guidance and prior.

    Any object with these attributes will do; nothing needs to be inherited. An object may also
    have ``settings``, a mapping of further facts that determine its numbers (a negative prompt, an
    adapter): they become part of the signature's key. It may say how much it reads of a text, as
    ``core.reading.ReadsTexts``.
    """

    name: str  # for people: "emoji", "CompVis/stable-diffusion-v1-4"
    revision: str  # which weights exactly: a commit or a content hash; "" where there is neither
    sampler: str  # "lms", "ddim", …
    guidance: float  # the guidance scale w, see guidance_mode
    guidance_mode: GuidanceMode
    # "classifier-free": the prediction is ε_∅ + w (ε_y − ε_∅), and w = 1 means unguided
    # "distilled": the network is told w and gives the guided prediction itself
    # "none": the model knows no guidance; w is 1
    schedule: Schedule
    latent_shape: tuple[int, ...]  # of one picture, without the batch axis
    latent_dtype: torch.dtype  # float32 or float64: of x and of x_T
    dtype: str  # the arithmetic inside the network: "float32", "float16", …
    device: torch.device
    batch_size: int  # most rows the network is given at once; halved when memory runs out

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        """n prompts → n rows of conditioning.

        A row's shape does not depend on the prompt or on the other prompts: rows of several calls
        share the network's batches.
        """
        ...

    def unconditional(self) -> Conditioning | None:
        """One row: the conditioning of ε_∅, which guidance subtracts.

        The process decides what that is: the empty prompt, zeros, a negative prompt. None where
        the network is not asked for ε_∅: without guidance, at w = 1, and where guidance is
        distilled. The prediction is then the conditional one, and no factor w applies.
        """
        ...

    def predict(self, x: Tensor, step: Tensor, conditioning: Conditioning) -> Tensor:
        """The network's ε, unguided, one row for each row of x.

        x:            (n, *latent_shape) in the solver's scale, in ``latent_dtype``
        step:         (n,) integers into the schedule; they may differ from row to row
        conditioning: n rows
        →             (n, *latent_shape), in ``latent_dtype`` or wider

        v-, x₀- and flow-predictions are converted to ε here, best in float64: near pure noise they
        change only its last digits.
        """
        ...

    def solver(self) -> Solver:
        """A fresh solver, for one batch of trajectories."""
        ...

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
    """Walks one batch of trajectories down the schedule in lockstep; holds their history."""

    def step(
        self, x: Tensor, prediction: Tensor, step: int, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """x_j and the guided ε at x_j, both (n, *latent_shape) → x_{j+1}, the same shape.

        ``generators`` has one CPU generator a row; only a stochastic solver draws from them.
        Called once for each step 0, 1, …, in order, with the same n rows.
        """
        ...


@runtime_checkable
class GenerativeProcess(Protocol):
    """A text-conditioned diffusion model together with its sampler, steps, guidance and prior.

    Any object with these attributes will do; nothing needs to be inherited.
    """

    name: str  # what a reader calls it: "emoji", "CompVis/stable-diffusion-v1-4"
    revision: str  # which weights exactly: a commit or a content hash, "" where there is none
    sampler: str  # "lms", "ddim", …
    guidance: float  # the guidance scale w, see guidance_mode
    guidance_mode: GuidanceMode
    # "classifier-free": the prediction is ε_∅ + w (ε_y − ε_∅), and w = 1 means unguided
    # "distilled": w is told to the network, which gives the guided prediction at once
    # "none": the model knows no guidance; w is 1
    schedule: Schedule
    latent_shape: tuple[int, ...]  # of one picture, without the batch axis
    latent_dtype: torch.dtype  # float32 or float64; what x and every prediction have
    dtype: str  # the arithmetic inside the network: "float32", "float16", …
    device: torch.device
    batch_size: int  # most rows the network is given at once; halved when memory runs out

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        """n prompts → n rows of conditioning.

        A row's shape does not depend on the prompt or its company: rows of several calls share
        the network's batches.
        """
        ...

    def unconditional(self) -> Conditioning | None:
        """One row: the conditioning of ε_∅, which guidance subtracts.

        It is what the process wants it to be: the empty prompt's, zeros, a negative prompt's.
        None where the network is not asked for ε_∅: without guidance, at w = 1, and where
        guidance is distilled. The prediction then is the conditional one, as it comes.
        """
        ...

    def predict(self, x: Tensor, step: Tensor, conditioning: Conditioning) -> Tensor:
        """The network's ε, unguided, one row for each row of x.

        x: (n, *latent_shape) in the solver's scale; step: (n,) integers into the schedule, which
        may differ from row to row; conditioning: n rows → (n, *latent_shape) in ``latent_dtype``,
        or wider. v-, x₀- and flow-predictions are converted to ε here: best in float64, for near
        pure noise they differ in its last digits alone.
        """
        ...

    def solver(self) -> Solver:
        """A fresh solver, for one batch of trajectories."""
        ...

"""The contract of a generative process: all that the estimator needs of it, stated once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from .schedule import Schedule
from .types import Conditioning

GuidanceMode = Literal["classifier-free", "distilled", "internal", "none"]


class Solver(Protocol):
    """The sampler's update for one batch of trajectories in lockstep; it holds their history."""

    def step(
        self, x: Tensor, prediction: Tensor, step: int, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """x_j and the guided prediction at x_j, both (n, *latent_shape) → x_{j+1}, the same shape.

        generators: one CPU generator a row; only a stochastic solver draws from them

        Called once for each step 0, 1, …, in order, with the same n rows.
        """
        ...


@runtime_checkable
class GenerativeProcess(Protocol):
    """A text-conditioned diffusion model together with its sampler, steps, guidance and prior.

    Any object with these attributes will do; nothing needs to be inherited. An object may also
    have ``settings``, a mapping of further facts that determine its numbers (a negative prompt, an
    adapter): they become part of the signature's key. It may have ``refresh()``, which is called
    before each run: it brings ``revision`` up to date where weights can change. It may say how
    much it reads of a text, as ``core.reading.ReadsTexts``. And it may say what is compared
    (``core/currency.py``):

    compare:          "epsilon" (the default), "score", "velocity" or "output". Any other than the
                      default is part of the key
    comparison_scale: T factors c_j ≥ 0. The squared differences of step j are multiplied by c_j².
                      Without it, predictions are compared as they are
    comparison_shift: T factors d_j of x_j, which matter to ``coupled`` alone: there two predictions
                      at different x are compared
    """

    name: str  # for people: "emoji", "CompVis/stable-diffusion-v1-4"
    revision: str  # which weights exactly: a commit or a content hash; "" where there is neither
    sampler: str  # "lms", "ddim", …
    guidance: float  # the guidance scale w, see guidance_mode
    guidance_mode: GuidanceMode
    # "classifier-free": the prediction is ε_∅ + w (ε_y − ε_∅), and w = 1 means unguided
    # "distilled": w is an input of the network, which predicts the guided ε itself
    # "internal": ``predict`` gives the guided prediction itself, put together in a way of its own
    # "none": the model has no guidance; w is 1
    schedule: Schedule
    latent_shape: tuple[int, ...]  # of one picture, without the batch axis
    latent_dtype: torch.dtype  # of x and of every prediction: float32 or float64
    dtype: str  # the arithmetic inside the network: "float32", "float16", …
    device: torch.device
    batch_size: int  # the maximum rows in one batch; halved when memory runs out

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        """n prompts → n rows of conditioning.

        A row's shape does not depend on the prompt or on the other prompts, since rows of several
        calls share the network's batches.
        """
        ...

    def unconditional(self) -> Conditioning | None:
        """The conditioning of ε_∅, which guidance subtracts: one row.

        The process chooses it: the empty prompt, zeros, or a negative prompt. None if the network
        does not predict ε_∅: without guidance, at w = 1, and if guidance is distilled. Then the
        conditional prediction is used unchanged, and no factor w applies.
        """
        ...

    def predict(self, x: Tensor, step: Tensor, conditioning: Conditioning) -> Tensor:
        """The network's unguided prediction, one row for each row of x.

        x:            (n, *latent_shape), in the solver's scale
        step:         (n,), integers into the schedule; they may differ from row to row
        conditioning: n rows
        returns:      (n, *latent_shape), in ``latent_dtype`` or wider

        The prediction is in the solver's currency: ε for ε-, v- and x₀-models, the velocity for
        flow models, from which ε = x + (1 − σ)v could not be turned back at σ = 1. v- and
        x₀-predictions are converted here, in float64: near pure noise ε and x differ in the last
        digits only.
        """
        ...

    def solver(self) -> Solver:
        """A new solver, for one batch of trajectories."""
        ...

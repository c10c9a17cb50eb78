"""The frozen records that the rooms pass to each other. (``Schedule`` has its own module.)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from .schedule import Schedule

Pair = tuple[str, str]


@dataclass(frozen=True)
class Conditioning:
    """The network's text input for n prompts: named tensors with n rows each.

    The process chooses the names (``encoder_hidden_states``, ``attention_mask``, pooled vectors …).
    The core only selects, repeats and joins rows.
    """

    tensors: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in self.tensors.values())

    def rows(self, index: Sequence[int] | Tensor) -> Conditioning:
        """The rows at ``index``, (m,) integers with repeats allowed → m rows."""
        chosen = torch.as_tensor(index, dtype=torch.long)
        return Conditioning({name: t[chosen.to(t.device)] for name, t in self.tensors.items()})

    @classmethod
    def join(cls, parts: Sequence[Conditioning]) -> Conditioning:
        """The rows of all parts, in order. Rows must have the same shape in all parts."""
        names = parts[0].tensors
        return cls({name: torch.cat([part.tensors[name] for part in parts]) for name in names})


@dataclass(frozen=True)
class TrajectoryStep:
    """All trajectories at step j: n prompts, k samples; every prediction is unguided.

    step:       j, from 0 (pure noise) to T − 1
    x:          (n, k, *latent_shape), x_j in the solver's scale
    eps_cond:   (n, k, *latent_shape), ε(x_j | the trajectory's own prompt)
    eps_uncond: (n, k, *latent_shape), ε_∅(x_j), or None if nothing needs it
    x_next:     (n, k, *latent_shape), x_{j+1}, or None if the walk ends at x_j
    """

    step: int
    x: Tensor
    eps_cond: Tensor
    eps_uncond: Tensor | None
    x_next: Tensor | None


@dataclass(frozen=True)
class Trajectory:
    """The kept trajectories of one prompt: T steps, k samples; every prediction is unguided.

    x:          (T, k, *latent_shape), x_j in the solver's scale
    eps_cond:   (T, k, *latent_shape), ε(x_j | the prompt)
    eps_uncond: (T, k, *latent_shape), ε_∅(x_j), or None if it is not recorded
    x_0:        (k, *latent_shape), or None if it is not recorded
    cond:       one row, the prompt's conditioning
    """

    x: Tensor
    eps_cond: Tensor
    eps_uncond: Tensor | None
    x_0: Tensor | None
    cond: Conditioning


@dataclass(frozen=True)
class Comparison:
    """n points of a pair's trajectories with both predictions, for an observer.

    Axis 1 is the trajectory: first a's, then b's. Predictions are unguided, in the solver's
    currency.

    pair:       (a, b)
    seed, step: (n,) integers, the noise and the step j of each point
    x:          (n, 2, *latent_shape), x_j in the solver's scale
    eps_own:    (n, 2, *latent_shape), ε(x_j | the trajectory's own prompt)
    eps_cross:  (n, 2, *latent_shape), ε(x_j | the other prompt)
    eps_uncond: (n, 2, *latent_shape), ε_∅(x_j); None without guidance, or if neither
                "unconditional" nor "coupled" is recorded
    squares:    (n, 2, *latent_shape) float64, the squared differences of the guided predictions in
                the currency of the process (``comparison_scale`` included). Their sums over the
                latent are ``Terms.forward`` and ``Terms.backward``
    """

    pair: Pair
    seed: Tensor
    step: Tensor
    x: Tensor
    eps_own: Tensor
    eps_cross: Tensor
    eps_uncond: Tensor | None
    squares: Tensor


class Observer(Protocol):
    """Receives the steps and comparisons of ``divergence.measure``; costs no network row."""

    def on_step(self, prompts: Sequence[str], seeds: Sequence[int], step: TrajectoryStep) -> None:
        """One step of trajectories: axis 0 is ``prompts``, axis 1 is ``seeds``.

        If a trajectory is walked again for lack of memory, its steps come again, with the same
        numbers up to rounding.
        """
        ...

    def on_comparison(self, comparison: Comparison) -> None:
        """Some points of one pair. Every point of every pair comes exactly once, in any order."""
        ...


@dataclass(frozen=True)
class Terms:
    """The terms of one pair (a, b): squared differences of guided predictions, not yet reduced.

    forward:  (samples, steps) float64, ‖ε(x_j|a) − ε(x_j|b)‖² on a's trajectory
    backward: (samples, steps) float64, the same on b's trajectory
    schedule: the steps of the sampler
    output:   (samples,) float64, ‖x_0 − x̃_0‖², or None if it is not recorded
    coupled:  (samples, steps) float64, ‖ε(x_j|a) − ε(x̃_j|b)‖² + ‖ε(x̃_j|a) − ε(x_j|b)‖², or None
    weights:  (samples, steps) float64, the weight of each term if ``cross_steps`` leaves steps out;
              at those, weight and terms are 0. None if all steps are measured
    compare:  the currency of the predictions, ε unless the process has another (``currency.py``);
              ``output`` compares latents, in every currency

    ‖·‖² is the sum over all latent entries.
    """

    forward: Tensor
    backward: Tensor
    schedule: Schedule
    output: Tensor | None = None
    coupled: Tensor | None = None
    weights: Tensor | None = None
    compare: str = "epsilon"

    def swapped(self) -> Terms:
        """The terms of (b, a)."""
        return replace(self, forward=self.backward, backward=self.forward)

    @classmethod
    def join(cls, parts: Sequence[Terms]) -> Terms:
        """The samples of all parts, in order. All parts must have the same records."""

        def column(name: str) -> Tensor | None:
            values = [getattr(part, name) for part in parts]
            return None if values[0] is None else torch.cat(values)

        return cls(
            torch.cat([part.forward for part in parts]),
            torch.cat([part.backward for part in parts]),
            parts[0].schedule,
            column("output"),
            column("coupled"),
            column("weights"),
            parts[0].compare,
        )


class Keeper(Protocol):
    """Keeps trajectories outside the run, so that one that is stopped does not walk them again."""

    def load(self, prompt: str, seeds: Sequence[int], cond: Conditioning) -> Trajectory | None:
        """What was saved for a prompt and these seeds, on the device of the process, or None."""
        ...

    def save(self, prompt: str, seeds: Sequence[int], trajectory: Trajectory) -> None:
        """Keep a trajectory that later pairs need. It is no error if it cannot be kept."""
        ...

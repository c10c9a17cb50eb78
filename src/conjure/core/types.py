"""The frozen records that travel from room to room."""

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
    """What a network is told about n prompts: named tensors with n rows each.

    The names are the process's own affair (``encoder_hidden_states``, ``attention_mask``, pooled
    vectors …); the core only selects, repeats and joins rows.
    """

    tensors: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in self.tensors.values())

    def rows(self, index: Sequence[int] | Tensor) -> Conditioning:
        """The rows that ``index`` names, repeats included: (m,) integers → m rows."""
        chosen = torch.as_tensor(index, dtype=torch.long)
        return Conditioning({name: t[chosen.to(t.device)] for name, t in self.tensors.items()})

    @classmethod
    def join(cls, parts: Sequence[Conditioning]) -> Conditioning:
        """The rows of all parts, one after the other; a prompt's row has one shape in all."""
        names = parts[0].tensors
        return cls({name: torch.cat([part.tensors[name] for part in parts]) for name in names})


@dataclass(frozen=True)
class TrajectoryStep:
    """All trajectories at step j: n prompts, k samples; every prediction is unguided.

    step:       j, from 0 (pure noise) to T − 1
    x:          (n, k, *latent_shape), x_j in the solver's scale
    eps_cond:   (n, k, *latent_shape), ε(x_j | the trajectory's own prompt)
    eps_uncond: (n, k, *latent_shape), ε_∅(x_j), or None where nothing needs it
    x_next:     (n, k, *latent_shape), x_{j+1}, or None where the walk ends before it
    """

    step: int
    x: Tensor
    eps_cond: Tensor
    eps_uncond: Tensor | None
    x_next: Tensor | None


@dataclass(frozen=True)
class Trajectory:
    """One prompt's trajectories, kept: T steps, k samples; every prediction is unguided.

    x:          (T, k, *latent_shape), x_j in the solver's scale
    eps_cond:   (T, k, *latent_shape), ε(x_j | the prompt)
    eps_uncond: (T, k, *latent_shape), ε_∅(x_j), or None where it was not asked for
    x_0:        (k, *latent_shape), or None where it was not asked for
    cond:       the prompt's row of conditioning
    """

    x: Tensor
    eps_cond: Tensor
    eps_uncond: Tensor | None
    x_0: Tensor | None
    cond: Conditioning


@dataclass(frozen=True)
class Comparison:
    """n points of a pair's trajectories with both predictions: what an observer is shown.

    Axis 1 is the trajectory: first a's, then b's. Predictions are unguided.

    pair:       (a, b)
    seed, step: (n,) integers, which noise and which step j each point is of
    x:          (n, 2, *latent_shape), x_j in the solver's scale
    eps_own:    (n, 2, *latent_shape), ε(x_j | the trajectory's own prompt)
    eps_cross:  (n, 2, *latent_shape), ε(x_j | the other prompt)
    eps_uncond: (n, 2, *latent_shape), ε_∅(x_j); None without guidance, or where
                "unconditional" was not recorded
    squares:    (n, 2, *latent_shape) float64, the squared differences of the guided predictions:
                summed over the latent they are ``Terms.forward`` and ``Terms.backward``
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
    """Sees the work as it is done; see ``divergence.measure``. Nothing is computed twice for it."""

    def on_step(self, prompts: Sequence[str], seeds: Sequence[int], step: TrajectoryStep) -> None:
        """One step of trajectories: axis 0 is ``prompts``, axis 1 ``seeds``.

        Where memory makes a trajectory walk again, its steps come again, with the same numbers.
        """
        ...

    def on_comparison(self, comparison: Comparison) -> None:
        """Some points of one pair. Each point of each pair comes exactly once, in any order."""
        ...


@dataclass(frozen=True)
class Terms:
    """Squared differences of the guided predictions, before any reduction: one pair of prompts.

    forward:  (samples, steps) float64, ‖ε(x_j|a) − ε(x_j|b)‖² on a's trajectory
    backward: (samples, steps) float64, the same on b's trajectory
    schedule: the steps they were taken at
    output:   (samples,) float64, ‖x_0 − x̃_0‖², or None where it was not asked for
    coupled:  (samples, steps) float64, ‖ε(x_j|a) − ε(x̃_j|b)‖² + ‖ε(x̃_j|a) − ε(x_j|b)‖², or None
    weights:  (samples, steps) float64, how often a term counts where only some steps were measured
              (``cross_steps``): 0 at the others, whose terms are 0; None where all were

    ‖·‖² is the sum over all latent entries.
    """

    forward: Tensor
    backward: Tensor
    schedule: Schedule
    output: Tensor | None = None
    coupled: Tensor | None = None
    weights: Tensor | None = None

    def swapped(self) -> Terms:
        """The same for (b, a)."""
        return replace(self, forward=self.backward, backward=self.forward)

    @classmethod
    def join(cls, parts: Sequence[Terms]) -> Terms:
        """The samples of all parts, one after the other; recorded alike in all."""

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
        )

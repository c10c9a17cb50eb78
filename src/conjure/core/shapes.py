"""The frozen records that travel from room to room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .schedule import Schedule


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
class Record:
    """What a run is to record besides ``forward`` and ``backward``, and at how many steps.

    output, coupled: either one takes the last step too, a row more a prompt and sample
    cross_steps:     m, of the steps behind the first, drawn for each pair and sample; None is all
    """

    output: bool = False
    coupled: bool = False
    cross_steps: int | None = None

    @property
    def finish(self) -> bool:
        """Whether trajectories are walked to their end."""
        return self.output or self.coupled


TERMS_ONLY = Record()


@dataclass(frozen=True)
class Trajectory:
    """One prompt's walk, kept: T steps, k samples; every prediction is unguided.

    x:    (T, k, *latent_shape), x_j in the solver's scale
    own:  (T, k, *latent_shape), ε(x_j | the prompt)
    null: (T, k, *latent_shape), ε(x_j | ""), or None where it was not asked for
    end:  (k, *latent_shape), x_0, or None where it was not asked for
    told: the prompt's row of conditioning
    """

    x: Tensor
    own: Tensor
    null: Tensor | None
    end: Tensor | None
    told: Conditioning


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

    def turned(self) -> Terms:
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

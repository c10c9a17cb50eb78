"""The frozen records that travel from room to room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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

    def rows(self, index: Sequence[int] | Tensor) -> Conditioning:
        """The rows that ``index`` names, repeats included: (m,) integers → m rows."""
        chosen = torch.as_tensor(index, dtype=torch.long)
        return Conditioning({name: t[chosen.to(t.device)] for name, t in self.tensors.items()})


@dataclass(frozen=True)
class Terms:
    """Squared differences of the guided predictions, before any reduction: one pair of prompts.

    forward:  (samples, steps) float64, ‖ε(x_j|a) − ε(x_j|b)‖² on a's trajectory
    backward: (samples, steps) float64, the same on b's trajectory
    schedule: the steps they were taken at
    output:   (samples,) float64, ‖x_0 − x̃_0‖², or None where it was not asked for
    coupled:  (samples, steps) float64, ‖ε(x_j|a) − ε(x̃_j|b)‖² + ‖ε(x̃_j|a) − ε(x_j|b)‖², or None

    ‖·‖² is the sum over all latent entries.
    """

    forward: Tensor
    backward: Tensor
    schedule: Schedule
    output: Tensor | None = None
    coupled: Tensor | None = None

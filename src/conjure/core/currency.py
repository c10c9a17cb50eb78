"""In which currency two predictions are compared: ε, unless a process says otherwise.

A process predicts in its solver's currency. Another currency is q = c_j · prediction + d_j · x_j
with one pair (c_j, d_j) a step, for ε, score, velocity and x̂₀ are all linear in x and each other.
At the same x the second term cancels, so the squared difference of step j is multiplied by c_j².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .text import brief

if TYPE_CHECKING:
    from torch import Tensor

    from .process import GenerativeProcess

# ε; the score of x's density, −ε/σ; v of v-prediction or of flow matching; what the network gives
CURRENCIES = ("epsilon", "score", "velocity", "output")


def currency(process: GenerativeProcess) -> str:
    """The name of what is compared: the attribute ``compare``, or "epsilon" without one."""
    return str(getattr(process, "compare", CURRENCIES[0]))


@dataclass(frozen=True)
class Comparing:
    """The factors of a process: c_j and d_j, (T,) float64 each. None stands for all 1, all 0."""

    scale: Tensor | None
    shift: Tensor | None

    @classmethod
    def of(cls, process: GenerativeProcess) -> Comparing:
        """``comparison_scale`` and ``comparison_shift``, where the process has them."""
        import torch

        found = (getattr(process, f"comparison_{name}", None) for name in ("scale", "shift"))
        tensors = [None if f is None else torch.tensor(f, dtype=torch.float64) for f in found]
        return cls(*tensors)

    def squared(self, step: Tensor, like: Tensor) -> Tensor | float:
        """c_j² of the rows' steps (n,), shaped to multiply the rows of ``like``; 1 without any."""
        if self.scale is None:
            return 1.0
        return _column(self.scale.square(), step, like)

    def convert(self, prediction: Tensor, x: Tensor, step: Tensor) -> Tensor:
        """q = c_j · prediction + d_j · x_j, for rows at steps (n,)."""
        if self.scale is not None:
            prediction = _column(self.scale, step, prediction) * prediction
        if self.shift is not None:
            prediction = prediction + _column(self.shift, step, x) * x
        return prediction


def _column(values: Tensor, step: Tensor, like: Tensor) -> Tensor:
    kind = values.dtype if like.device.type != "mps" else like.dtype  # which has no float64
    return values[step.cpu()].to(like.device, kind).reshape(-1, *[1] * (like.dim() - 1))


def comparison_fault(process: GenerativeProcess) -> str | None:
    """What is wrong with what a process says of its comparison; None where nothing is."""
    found = getattr(process, "compare", CURRENCIES[0])
    if found not in CURRENCIES:
        return f"compare must be one of {', '.join(CURRENCIES)}, not {brief(found)}"
    steps = len(process.schedule)
    for name, lowest in (("comparison_scale", 0.0), ("comparison_shift", -math.inf)):
        values = getattr(process, name, None)
        if values is not None and not _are_factors(values, steps, lowest):
            what = "finite numbers" if lowest else "finite numbers of at least 0"
            return f"{name} must be {steps} {what}, one a step, not {brief(values)}"
    return None


def _are_factors(values: Any, steps: int, lowest: float) -> bool:
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != steps:
        return False
    try:
        return all(math.isfinite(value) and value >= lowest for value in values)
    except TypeError:
        return False

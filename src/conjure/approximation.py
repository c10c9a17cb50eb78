"""Fewer network rows for an estimate: nothing here is ever done unless it is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .core.errors import InputError

if TYPE_CHECKING:
    from .core.uncertainty import Estimate


@dataclass(frozen=True)
class Approximation:
    """Opt-in shortcuts: a result estimates what it would be without, and its signature says so.

    cross_steps:  ask for the other prompt's prediction at m of the T − 1 steps behind the first
                  only, drawn anew for each pair and sample: 2m rows a pair and sample, not
                  2(T − 1). Without bias, for estimands that add over steps; ``terms.weights``
                  says which steps were drawn
    tolerance:    adaptive k: begin with ``samples`` and double them until the 95 % interval
                  reaches at most ``tolerance`` × the value to either side. What is returned is
                  the mean of all samples; as it is looked at more than once, its interval covers
                  somewhat less than 95 %
    most_samples: or until k is this
    """

    cross_steps: int | None = None
    tolerance: float | None = None
    most_samples: int = 64

    def enough(self, found: Estimate, samples: int) -> bool:
        """Whether to stop at so many samples."""
        if self.tolerance is None or found.interval is None or samples >= self.most_samples:
            return True
        return found.interval[1] - found.value <= self.tolerance * abs(found.value)

    def next_samples(self, samples: int) -> int:
        """How many to take where so many were not enough."""
        return min(2 * samples, self.most_samples)

    def check(self, steps: int, samples: int, estimand: str) -> None:
        """Raise InputError for settings that make no sense, or not together, at T ``steps``."""
        from .checks import whole
        from .core.estimands import SUMS  # with torch, which the command line loads late

        if self.cross_steps is not None:
            others = steps - 1
            if whole("cross_steps", self.cross_steps, least=1) > others:
                raise InputError(
                    f"cross_steps must be at most {others}, the steps behind the first, "
                    f"not {self.cross_steps}"
                )
            if estimand.partition(":")[0] not in SUMS:
                raise InputError(
                    f"estimand {estimand!r} needs every step: "
                    f"cross_steps goes with {', '.join(SUMS)}"
                )
        if self.tolerance is not None:
            if not 0 < self.tolerance < math.inf:
                raise InputError(f"tolerance must be a positive number, not {self.tolerance!r}")
            if samples < 2:
                raise InputError(
                    "a tolerance needs an interval to begin with: samples of 2 or more"
                )
            whole("most_samples", self.most_samples, least=samples)


EXACT = Approximation()

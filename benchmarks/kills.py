"""What it costs in network rows to be killed: with trajectories that are kept, and without.

Before each call of the network, what is finished is written, and a run that goes on from the folder
is planned. (In a real run the units of the last moments are not written yet; docs/reliability.md
says how long.) Plans give the rows of a run exactly; the tests hold that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from conjure.core.gaussian import GaussianProcess
from conjure.core.spec import Spec
from conjure.core.types import Conditioning, Pair
from conjure.runs.terms import TermStore
from conjure.runs.trajectories import KeptTrajectories

MOST_KILLS = 500  # in a row
_APART = 500  # rows between two moments that are looked at; fewer at the start


class _Killed(BaseException):
    """Not an Exception, so that nothing handles it."""


class _Process(GaussianProcess):
    """Gaussians that count network rows; ``before`` is called before each call."""

    rows = 0
    before: Callable[[int], object] | None = None

    def predict(
        self, x: torch.Tensor, step: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        if self.before is not None:
            self.before(len(x))
        self.rows += len(x)
        return super().predict(x, step, conditioning)


@dataclass(frozen=True)
class Cost:
    """Network rows.

    whole: of an undisturbed run
    most:  that one kill costs, of all moments; mean: over them
    often: of all runs together if each is killed after ``every`` rows; None if it does not end
    """

    name: str
    kept: bool
    whole: int
    most: int
    mean: float
    often: int | None


def pairs_of(name: str, count: int) -> list[Pair]:
    """``count`` texts: each with each ("matrix"), or two by two ("pairs")."""
    texts = [f"text {n}" for n in range(count)]
    if name == "matrix":
        return list(combinations(texts, 2))
    return list(zip(texts[::2], texts[1::2], strict=True))


def measure(name: str, count: int, *, steps: int, batch_size: int, every: int, kept: bool) -> Cost:
    """The cost of kills. kept: whether trajectories are."""
    pairs = pairs_of(name, count)
    process = _process(count, steps, batch_size)
    if not kept:
        with (
            patch.object(KeptTrajectories, "save", lambda *_: None),
            patch.object(KeptTrajectories, "has", lambda *_: False),
        ):
            return _cost(f"{name} of {count} texts", process, pairs, every, kept=False)
    return _cost(f"{name} of {count} texts", process, pairs, every, kept=True)


def _process(count: int, steps: int, batch_size: int) -> Any:
    draw = torch.Generator().manual_seed(0)
    eye = torch.eye(2, dtype=torch.float64)
    named = {
        text: (torch.randn(2, generator=draw, dtype=torch.float64), eye)
        for text in ["", *(f"text {n}" for n in range(count))]
    }
    return _Process(named, steps=steps, guidance=2.0, batch_size=batch_size)


def _cost(name: str, process: Any, pairs: Sequence[Pair], every: int, *, kept: bool) -> Cost:
    left: list[tuple[int, int]] = []  # rows so far, and rows of a run that goes on
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        with TermStore(run, process) as store:

            def look(_: int) -> None:
                if not left or process.rows - left[-1][0] >= min(_APART, process.rows / 10):
                    store.store.flush()
                    there = TermStore(run, process)
                    left.append((process.rows, there.plan(process, pairs, [0], Spec()).rows))

            process.rows, process.before = 0, look
            _finish(store, process, pairs)
    whole = process.rows
    costs = [done + more - whole for done, more in left]
    return Cost(
        name, kept, whole, max(costs), sum(costs) / len(costs), _often(process, pairs, every)
    )


def _finish(store: TermStore, process: Any, pairs: Sequence[Pair]) -> None:
    for _ in store.measure(process, pairs, [0], Spec()):
        pass


def _often(process: Any, pairs: Sequence[Pair], every: int) -> int | None:
    """The rows of all runs, each killed after so many; None if there is no end."""
    begun = 0

    def kill(rows: int) -> None:
        if process.rows + rows - begun > every:
            raise _Killed

    process.rows, process.before = 0, kill
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(MOST_KILLS):
            begun = process.rows
            try:
                with TermStore(Path(folder) / "run", process) as store:
                    _finish(store, process, pairs)
                return int(process.rows)
            except _Killed:
                continue
    return None

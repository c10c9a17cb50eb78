"""Distances of the baselines, kept on disk as they come, so that a second run loads no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from ..baselines import Baseline
from ..core.spec import Signature
from ..core.types import Pair
from .journal import Journal

CHUNK = 1000  # most pairs at once
SECONDS = 10.0  # what a chunk should take: about what is lost where a run is stopped
_GROWTH = 4


class BaselineDistances:
    """Distances by baselines, one file for each signature; close it when done."""

    def __init__(
        self,
        folder: Path,
        *,
        say: Callable[[str], object] = lambda line: None,
        bar: bool = False,
    ) -> None:
        self.folder = folder
        self._say, self._bar = say, bar
        self._journals: dict[Signature, Journal] = {}
        self._known: dict[Signature, dict[Pair, float]] = {}

    def close(self) -> None:
        while self._journals:
            self._journals.popitem()[1].close()

    def measure(self, baseline: Baseline, pairs: Sequence[Pair]) -> list[float]:
        """The distance of each pair, in the order given; only missing ones are measured."""
        from tqdm import tqdm

        journal, known = self._open(baseline)
        missing = list(dict.fromkeys(pair for pair in pairs if pair not in known))
        if missing:
            count = baseline.cost(missing)
            self._say(f"{baseline.name}: {len(missing):,} pairs, {count:,} texts or continuations")
            with tqdm(total=len(missing), unit="pair", disable=None if self._bar else True) as bar:
                start, size = 0, 1
                while chunk := missing[start : start + size]:
                    began = monotonic()
                    for pair, distance in zip(chunk, baseline.distances(chunk), strict=True):
                        journal.add({"texts": pair, "distance": distance})
                        known[pair] = distance
                    bar.update(len(chunk))
                    start += size
                    size = next_size(size, monotonic() - began)
        return [known[pair] for pair in pairs]

    def _open(self, baseline: Baseline) -> tuple[Journal, dict[Pair, float]]:
        line = baseline.signature
        if line not in self._journals:
            journal = Journal(self.folder, line)
            try:
                self._known[line] = {
                    (record["texts"][0], record["texts"][1]): float(record["distance"])
                    for record in journal.records
                }
            except (ValueError, LookupError, TypeError) as error:
                raise journal.refusal() from error
            self._journals[line] = journal
        return self._journals[line], self._known[line]


def next_size(size: int, seconds: float) -> int:
    """How many pairs to measure at once after ``size`` of them took so long.

    A single pair comes first: nobody knows how long one of a model takes, from a millisecond to a
    minute. Larger chunks share texts and fill batches.

    >>> next_size(1, 0.1), next_size(64, 5.0), next_size(64, 40.0), next_size(1, 100.0)
    (4, 128, 16, 1)
    """
    wanted = size * min(SECONDS / max(seconds, 1e-6), _GROWTH)
    return max(1, min(int(wanted), CHUNK))

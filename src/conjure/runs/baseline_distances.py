"""Distances by baselines: measured in chunks, and kept on disk as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic

from ..baselines import Baseline
from ..core.spec import Signature
from ..core.types import Pair
from .journal import Journal
from .progress import progress_bar, work_line
from .scorers import distance_of

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
        journal, known = self._open(baseline)
        wanted = list(dict.fromkeys(pairs))
        missing = [pair for pair in wanted if pair not in known]
        if missing:
            done = len(wanted) - len(missing)
            self._say(work_of(baseline, missing, done))
            with progress_bar(len(wanted), done=done, shown=self._bar) as bar:
                for place, distance in in_chunks(baseline, missing):
                    pair = missing[place]
                    journal.add({"texts": pair, "distance": distance})
                    known[pair] = distance
                    bar.update()
        return [known[pair] for pair in pairs]

    def _open(self, baseline: Baseline) -> tuple[Journal, dict[Pair, float]]:
        line = baseline.signature
        if line not in self._journals:
            journal = Journal(self.folder, line)
            try:
                self._known[line] = {
                    (record["texts"][0], record["texts"][1]): distance_of(record["distance"])
                    for record in journal.records
                }
            except (ValueError, LookupError, TypeError) as error:
                raise journal.refusal() from error
            self._journals[line] = journal
        return self._journals[line], self._known[line]


def work_of(baseline: Baseline, pairs: Sequence[Pair], done: int = 0) -> str:
    """What measuring the pairs takes; ``done`` others were finished earlier."""
    work = f"{baseline.cost(pairs):,} texts or continuations"
    return f"{baseline.name}: {work_line(len(pairs) + done, work, done=done)}"


def in_chunks(baseline: Baseline, pairs: Sequence[Pair]) -> Iterator[tuple[int, float]]:
    """Yield (place in ``pairs``, distance), measured in chunks of about SECONDS each."""
    start, size = 0, 1
    while chunk := pairs[start : start + size]:
        began = monotonic()
        yield from enumerate(baseline.distances(chunk), start)
        start += size
        size = next_size(size, monotonic() - began)


def next_size(size: int, seconds: float) -> int:
    """How many pairs to measure at once after ``size`` of them took so long.

    A single pair comes first, since it may take from a millisecond to a minute. Larger chunks share
    texts and fill batches.

    >>> next_size(1, 0.1), next_size(64, 5.0), next_size(64, 40.0), next_size(1, 100.0)
    (4, 128, 16, 1)
    """
    wanted = size * min(SECONDS / max(seconds, 1e-6), _GROWTH)
    return max(1, min(int(wanted), CHUNK))

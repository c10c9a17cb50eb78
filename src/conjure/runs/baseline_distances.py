"""Distances by baselines: measured in chunks, and kept on disk as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..baselines import Baseline
from ..core.errors import ConjureError
from ..core.spec import Signature
from ..core.types import Pair
from .failing import MOST_FAILURES
from .parts import PartFinished
from .progress import progress_bar, work_line
from .stopping import check_stop

if TYPE_CHECKING:
    from .parts import Part

CHUNK = 1000  # most pairs at once
SECONDS = 10.0  # what a chunk should take: about what is lost where a run is stopped
_GROWTH = 4


class DistanceStore:
    """The distances of one baseline in one run folder; a context manager.

    part, fresh, facts, failures: as in ``TermStore``
    """

    def __init__(
        self,
        folder: Path,
        baseline: Baseline,
        *,
        part: Part | None = None,
        fresh: bool = False,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        from .distances import DISTANCES  # pyarrow: only when something is kept
        from .store import Store

        self.baseline = baseline
        self.store = Store(folder, DISTANCES, baseline.signature, part=part, fresh=fresh)
        self.failures: dict[Pair, str] = {}
        self._part, self._facts = part, dict(facts or {})
        self.known: dict[Pair, float] = {}
        for table in self.store.tables():
            self._read(table)

    def __enter__(self) -> DistanceStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.store.close()

    def missing(self, pairs: Sequence[Pair]) -> list[Pair]:
        """The pairs that are to be measured, each once. Failed ones are not tried again."""
        wanted = list(dict.fromkeys(pairs))
        if self._part is not None:
            from .parts import of_part

            mine = of_part(wanted, (0,), self._part)
            wanted = [pair for pair in wanted if pair in mine]
        return [p for p in wanted if p not in self.known and p not in self.failures]

    def stream(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, float]]:
        """Yield (place, distance) as pairs are finished; what fails is in ``failures``.

        Raises the baseline's error if very many pairs fail one after the other.
        """
        missing = self.missing(pairs)
        if missing:
            for table in self.store.begin(self._begun(pairs, missing), len(missing)):
                self._read(table)
            missing = self.missing(pairs)
        places: dict[Pair, list[int]] = {}
        for place, pair in enumerate(pairs):
            places.setdefault(pair, []).append(place)
        lacking = {*missing}
        for pair, where in places.items():
            if pair in self.known and pair not in lacking:
                yield from ((place, self.known[pair]) for place in where)
        for pair, value in self._compute(missing):
            yield from ((place, value) for place in places[pair])
            check_stop()

    def _compute(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, float]]:
        for place, value in in_chunks(self.baseline, pairs, self._fail):
            pair = pairs[place]
            self.known[pair] = value
            self.store.add([{"text1": pair[0], "text2": pair[1], "distance": value}])
            yield pair, value

    def _fail(self, pair: Pair, why: str) -> None:
        self.failures[pair] = why
        self.store.add([{"text1": pair[0], "text2": pair[1], "failed": why}])

    def _begun(self, pairs: Sequence[Pair], missing: Sequence[Pair]) -> dict[str, Any]:
        progress = {
            "pairs": len({*pairs}),
            "missing_units": len(missing),
            "stored_units": self.store.contents.units,
        }
        return {
            "progress": progress,
            "versions": dict(self.baseline.signature.provenance),
            **self._facts,
        }

    def _read(self, table: Any) -> None:
        for row in table.to_pylist():
            pair = row["text1"], row["text2"]
            if row["failed"] is not None:
                self.failures[pair] = row["failed"]
            else:
                self.known[pair] = row["distance"]


class BaselineDistances:
    """Distances by baselines, a run folder for each signature; close it when done."""

    def __init__(
        self,
        folder: Path,
        *,
        say: Callable[[str], object] = lambda line: None,
        bar: bool = False,
        part: Part | None = None,
    ) -> None:
        self.folder = folder
        self._say, self._bar, self._part = say, bar, part
        self._stores: dict[Signature, DistanceStore] = {}

    def close(self) -> None:
        with ExitStack() as all_of_them:  # one that fails leaves no other open
            while self._stores:
                all_of_them.callback(self._stores.popitem()[1].close)

    def measure(self, baseline: Baseline, pairs: Sequence[Pair]) -> list[float]:
        """The distance of each pair, in the order given; only missing ones are measured.

        Raises ConjureError if one fails, after all others are measured and kept, and PartFinished
        if other parts of the work are missing.
        """
        line = baseline.signature
        if line not in self._stores:
            folder = self.folder / line.digest
            self._stores[line] = DistanceStore(folder, baseline, part=self._part)
        kept = self._stores[line]
        kept.baseline = baseline
        missing = kept.missing(pairs)
        done = len({*pairs}) - len(missing)
        if missing:
            self._say(work_of(baseline, missing, done))
        found: dict[int, float] = {}
        with progress_bar(len({*pairs}), done=done, shown=self._bar and bool(missing)) as bar:
            pending = {*missing}
            for place, distance in kept.stream(pairs):
                found[place] = distance
                if pairs[place] in pending:
                    pending.discard(pairs[place])
                    bar.update()
        kept.store.flush()  # what is reported is on the disk
        for pair in pairs:
            if pair in kept.failures:
                raise ConjureError(kept.failures[pair])
        if len(found) < len(pairs) and self._part is not None:
            raise PartFinished(self._part)
        return [found[place] for place in range(len(pairs))]


def work_of(baseline: Baseline, pairs: Sequence[Pair], done: int = 0) -> str:
    """What measuring the pairs takes; ``done`` others were finished earlier."""
    count = baseline.cost(pairs)
    work = "1 text or continuation" if count == 1 else f"{count:,} texts or continuations"
    return f"{baseline.name}: {work_line(len(pairs) + done, work, done=done)}"


def in_chunks(
    baseline: Baseline, pairs: Sequence[Pair], fail: Callable[[Pair, str], object]
) -> Iterator[tuple[int, float]]:
    """Yield (place in ``pairs``, distance), measured in chunks of about SECONDS each.

    fail: given a pair that fails and the reason; the others go on

    Raises the baseline's error if very many pairs fail one after the other.
    """
    start, size, in_a_row = 0, 1, 0
    while chunk := pairs[start : start + size]:
        began = monotonic()
        try:
            values = baseline.distances(chunk)
        except ConjureError as error:
            if len(chunk) > 1:  # find the pair that fails
                size = 1
                continue
            fail(chunk[0], str(error))
            in_a_row += 1
            if in_a_row >= MOST_FAILURES:
                raise
            start += 1
        else:
            in_a_row = 0
            yield from enumerate(values, start)
            start += len(chunk)
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

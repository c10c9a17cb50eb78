"""A table of pairs → a table of distances, such that finished rows are never lost.

Each row is written to ``OUT.partial`` (JSON lines: the signature, then one line a row) as soon as
it is finished; the output itself appears at the end, whole. The same command run again
takes up what the partial file holds, provided that the signature is the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from .approximation import EXACT, Approximation
from .core.errors import InputError
from .tables import PairTable, check_writable, extension, write_rows

if TYPE_CHECKING:
    from .core.plan import Plan
    from .core.process import GenerativeProcess
    from .similarity import Distance

Key = tuple[int, str, str]  # line, text1, text2: where a row stands and what it says

RESULT_COLUMNS = ("value", "standard_error", "interval_low", "interval_high", "signature")


@dataclass(frozen=True)
class Measure:
    """What besides the process decides a number; the names are those of ``conjure.distance``."""

    samples: int = 1
    seed: int = 0
    estimand: str = "jeffreys"
    approximation: Approximation = EXACT

    def check(self, process: GenerativeProcess) -> None:
        """Raise InputError now for what a run would refuse, before any file is made."""
        from .similarity import stream

        stream([], process=process, **vars(self))

    def check_alone(self, steps: int | None) -> None:
        """Raise InputError for what no process can measure; T ``steps``, where it is known."""
        from .similarity import check_measure

        check_measure(**vars(self), steps=steps)

    def cost(
        self,
        pairs: Sequence[tuple[str, str]],
        process: GenerativeProcess,
        max_memory: int | None = None,
    ) -> Plan:
        """What the pairs will take: ``rows`` of the network, and how many are ``recomputed``.

        With a tolerance it is what they take at least.
        """
        from .similarity import cost

        return cost(
            pairs,
            process=process,
            samples=self.samples,
            estimand=self.estimand,
            approximation=self.approximation,
            max_memory=max_memory,
        )

    def signature(self, process: GenerativeProcess) -> str:
        from .similarity import signature

        return signature(process, **vars(self))


@dataclass(frozen=True)
class Result:
    """The numbers of one pair; error and interval are None for a single sample.

    per_sample: the (samples,) distances that ``value`` is the mean of; not a column of the output
    """

    value: float
    standard_error: float | None
    interval_low: float | None
    interval_high: float | None
    per_sample: tuple[float, ...]

    @classmethod
    def of(cls, distance: Distance) -> Result:
        from .core.estimands import per_sample

        low, high = distance.interval or (None, None)
        values = tuple(per_sample(distance.terms, distance.estimand).tolist())
        return cls(distance.value, distance.standard_error, low, high, values)

    @classmethod
    def read(cls, record: dict[str, Any]) -> Result:
        """The result that ``asdict`` made a JSON object of."""
        return cls(**{**record, "per_sample": tuple(record["per_sample"])})


class Partial:
    """The finished rows of one output, on disk; use as a context manager.

    Raises InputError on entering where the file was begun with another signature.
    """

    def __init__(self, out: Path, signature: str, *, overwrite: bool = False) -> None:
        self.path = partial_path(out)
        self.signature = signature
        self.done: dict[Key, Result] = {}
        self._overwrite = overwrite
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Partial:
        begun = self.path.read_bytes() if self.path.exists() else b""
        whole = begun[: begun.rfind(b"\n") + 1]  # a crash may have torn the last line
        if whole and self._take_up(whole):
            self._file = self.path.open("r+b")
            self._file.truncate(len(whole))
            self._file.seek(len(whole))
        else:
            self._file = self.path.open("wb")
            self._write({"signature": self.signature})
        return self

    def _take_up(self, lines: bytes) -> bool:
        """Read what an earlier run finished; whether it was a run of these settings."""
        try:
            head, *records = map(json.loads, lines.splitlines())
            signature = head["signature"]
            done = {
                (record.pop("line"), record.pop("text1"), record.pop("text2")): Result.read(record)
                for record in records
            }
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise InputError(f"{self.path} is not a file of finished rows: remove it") from error
        if signature == self.signature:
            self.done = done
            return True
        if self._overwrite:
            return False
        raise InputError(
            f"{self.path} was begun with other settings ({signature}): "
            "repeat them to go on, or give --overwrite to start afresh"
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, key: Key, result: Result) -> None:
        """Keep one finished row: on disk when this returns."""
        line, text1, text2 = key
        self._write({"line": line, "text1": text1, "text2": text2, **asdict(result)})
        self.done[key] = result

    def _write(self, record: Mapping[str, Any]) -> None:
        assert self._file is not None, "used outside its with block"
        self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        self._file.flush()


def partial_path(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def check_out(out: Path, table: PairTable, *, overwrite: bool = False) -> None:
    """Refuse, before anything is computed, an output that could not be written at the end."""
    extension(out)
    if not out.parent.is_dir():
        raise InputError(f"no such folder: {out.parent}")
    if out.is_dir():
        raise InputError(f"{out} is a folder; --out names a file")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists already; give --overwrite to replace it")
    if taken := [name for name in RESULT_COLUMNS if name in table.columns]:
        raise InputError(f"the pairs have a column {taken[0]!r} already, which holds results here")
    check_writable(out, table.columns, [row.cells for row in table.rows])


def pending(table: PairTable, partial: Partial | None = None) -> list[Key]:
    """The rows of a table that ``partial`` does not hold yet: (line, text1, text2) each."""
    return [key for key in _keys(table) if partial is None or key not in partial.done]


def score(
    table: PairTable,
    process: GenerativeProcess,
    measure: Measure,
    *,
    partial: Partial | None = None,
    max_memory: int | None = None,
    progress: Callable[[int], object] = lambda rows: None,
) -> list[Result]:
    """One result for each row of the table, in its order; rows that ``partial`` holds are reused.

    max_memory: as in ``similarity.stream``
    progress:   called with the number of rows finished since its last call
    """
    from .similarity import stream

    missing = pending(table, partial)
    pairs = [(text1, text2) for _, text1, text2 in missing]
    results = dict(partial.done) if partial else {}
    found = stream(pairs, process=process, max_memory=max_memory, **vars(measure))
    for place, distance in found:
        key = missing[place]
        results[key] = Result.of(distance)
        if partial:
            partial.add(key, results[key])
        progress(1)
    return [results[key] for key in _keys(table)]


def samples_of(results: Sequence[Result]) -> list[list[float]]:
    """(k, n), a row a sample, to correlate; just their means where pairs took unlike many (1, n).

    The latter happens with a tolerance: there are no seeds then that all pairs share.
    """
    if len({len(result.per_sample) for result in results}) > 1:
        return [[result.value for result in results]]
    return [list(row) for row in zip(*(result.per_sample for result in results), strict=True)]


def _keys(table: PairTable) -> list[Key]:
    return [(row.line, *pair) for row, pair in zip(table.rows, table.pairs(), strict=True)]


def write_scores(out: Path, table: PairTable, results: list[Result], signature: str) -> None:
    """The table with its result columns, whole or not at all."""
    rows = [
        {**row.cells, **asdict(result), "signature": signature}
        for row, result in zip(table.rows, results, strict=True)
    ]
    write_rows(out, (*table.columns, *RESULT_COLUMNS), rows)

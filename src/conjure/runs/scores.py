"""A table of pairs → a table of distances; finished rows are never lost.

Each row is written to ``OUT.partial`` (JSON lines: the signature, then one line a row) as soon as
it is finished. The output itself appears at the end, whole. The same command, run again, uses the
rows of the partial file if its key is the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from ..core.errors import InputError
from ..datasets.files import check_output, is_same, read_bytes
from ..datasets.formats import extension
from ..datasets.tables import PairTable, check_writable, write_rows
from .scorers import Result as Result
from .scorers import Scorer

if TYPE_CHECKING:
    from ..core.spec import Signature

Key = tuple[int, str, str]  # line, text1, text2: where a row stands and what it says

_HEAD = b'{"signature": '
RESULT_COLUMNS = ("value", "standard_error", "interval_low", "interval_high", "signature")


class Partial:
    """The finished rows of one output, on disk; use as a context manager.

    Raises InputError on entering where the file was begun with another key.
    """

    def __init__(self, out: Path, signature: Signature, *, overwrite: bool = False) -> None:
        self.path = partial_path(out)
        self.signature = signature
        self.done: dict[Key, Result] = {}
        self._overwrite = overwrite
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Partial:
        begun = _read_partial(self.path)
        if begun.key == dict(self.signature.key):
            self.done = begun.done
            self._file = self.path.open("r+b")
            self._file.truncate(begun.whole)
            self._file.seek(begun.whole)
            return self
        if begun.whole and not self._overwrite:
            differences = _differences(begun.key, self.signature)
            raise InputError(
                f"{self.path} was begun with other settings ({differences}): "
                "repeat them to go on, or give --overwrite to begin again"
            )
        self._file = self.path.open("wb")
        self._write({"signature": self.signature.object()})
        return self

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
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()


@dataclass(frozen=True)
class _Begun:
    """What a partial file holds.

    key:   the key it was begun with; None where there is none
    whole: how many bytes are whole lines, since a crash may have torn the last one
    done:  the finished rows
    """

    key: Mapping[str, Any] | None = None
    whole: int = 0
    done: dict[Key, Result] = field(default_factory=dict)


def _read_partial(path: Path) -> _Begun:
    """Read what an earlier run finished.

    Raises InputError where the file is another one, or holds a number that no distance can have.
    """
    foreign = InputError(
        f"{path} is not a file of finished rows, or is damaged: move it away, or choose another"
        " --out"
    )
    if path.is_symlink() and not path.exists():
        raise foreign
    begun = read_bytes(path) if path.exists() else b""
    whole = begun.rfind(b"\n") + 1
    if not whole:
        if not _HEAD.startswith(begun[: len(_HEAD)]):  # else a crash tore the first line
            raise foreign
        return _Begun()
    try:
        head, *records = map(json.loads, begun[:whole].splitlines())
        done = {
            (record.pop("line"), record.pop("text1"), record.pop("text2")): Result.read(record)
            for record in records
        }
        signature = head["signature"]
        key = signature["key"] if isinstance(signature, dict) else {"signature": str(signature)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise foreign from error
    if not isinstance(key, dict):
        raise foreign
    return _Begun(key, whole, done)


def _differences(begun: Mapping[str, Any] | None, signature: Signature) -> str:
    """What differs between the key of a file and that of a run, in words."""
    old, new = dict(begun or {}), dict(signature.key)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {old.get(name)}, now {new.get(name)}" for name in names)


def partial_path(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def check_out(
    out: Path, table: PairTable, *, overwrite: bool = False, inputs: Sequence[Path] = ()
) -> None:
    """Refuse, before anything is computed, an output that could not be written at the end.

    inputs: the files that the table was read from; rows that were left out are only there
    """
    extension(out)
    if any(is_same(out, path) for path in inputs):
        raise InputError(f"{out} is the input itself, which would be lost: choose another --out")
    check_output(out, overwrite=overwrite)
    _read_partial(partial_path(out))
    check_columns(table)
    check_writable(out, table.columns, [row.cells for row in table.rows])


def check_columns(table: PairTable) -> None:
    """Refuse a table that has a column of the name of a result."""
    if taken := [name for name in RESULT_COLUMNS if name in table.columns]:
        raise InputError(f"the pairs have a column {taken[0]!r} already, which holds results here")


def pending(table: PairTable, partial: Partial | None = None) -> list[Key]:
    """The rows of a table that ``partial`` does not hold yet: (line, text1, text2) each."""
    return [key for key in _keys(table) if partial is None or key not in partial.done]


def score(
    table: PairTable,
    scorer: Scorer,
    *,
    partial: Partial | None = None,
    progress: Callable[[int], object] = lambda rows: None,
) -> list[Result]:
    """One result for each row of the table, in its order; rows that ``partial`` holds are reused.

    progress: called with the number of rows finished since its last call
    """
    missing = pending(table, partial)
    results = dict(partial.done) if partial else {}
    for place, result in scorer.results([(text1, text2) for _, text1, text2 in missing]):
        key = missing[place]
        results[key] = result
        if partial:
            partial.add(key, result)
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


def scored_rows(
    table: PairTable, results: Sequence[Result], signature: Signature
) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """The columns and rows of the output: those of the table, then the results."""
    rows = [
        {**row.cells, **asdict(result), "signature": str(signature)}
        for row, result in zip(table.rows, results, strict=True)
    ]
    return (*table.columns, *RESULT_COLUMNS), rows


def write_scores(
    out: Path, table: PairTable, results: Sequence[Result], signature: Signature
) -> None:
    """The table with its result columns, whole or not at all."""
    write_rows(out, *scored_rows(table, results, signature))

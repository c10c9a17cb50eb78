"""A table of pairs → a table of distances. Finished work is in a run folder beside the output.

The output itself appears at the end, whole. The same command, run again, goes on from what the
folder ``OUT.run`` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError
from ..datasets.files import check_output, is_same
from ..datasets.formats import BadRow, extension
from ..datasets.tables import PairTable, check_writable, write_rows
from .manifest import check_run_folder
from .scorers import Result as Result
from .scorers import Scorer

if TYPE_CHECKING:
    from ..core.spec import Signature
    from ..core.types import Pair

RESULT_COLUMNS = ("value", "standard_error", "interval_low", "interval_high", "signature")


def run_path(out: Path) -> Path:
    """The run folder of an output: beside it."""
    return out.with_name(out.name + ".run")


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
    check_run_folder(run_path(out))
    check_columns(table)
    check_writable(out, table.columns, [row.cells for row in table.rows])


def check_columns(table: PairTable) -> None:
    """Refuse a table that has a column of the name of a result."""
    if taken := [name for name in RESULT_COLUMNS if name in table.columns]:
        raise InputError(f"the pairs have a column {taken[0]!r} already, which holds results here")


@dataclass(frozen=True)
class Scored:
    """The rows of a table that have a result, and the results in their order.

    failed: the rows that failed, with the reason
    absent: how many rows are left to other parts of the work
    """

    table: PairTable
    results: list[Result]
    failed: tuple[BadRow, ...] = ()
    absent: int = 0

    @property
    def any_failed(self) -> bool:
        """Whether a pair has no result, because it failed or nothing of it is read."""
        return bool(self.failed or self.table.rejected)


def score(
    table: PairTable,
    scorer: Scorer,
    *,
    kept: Any = None,
    progress: Callable[[int], object] = lambda rows: None,
) -> Scored:
    """A result for each row of the table, in its order; what ``kept`` holds is not measured again.

    kept:     what ``scorer.keep`` opens; None keeps nothing
    progress: called with the number of rows finished since its last call, except those that were
              kept earlier
    """
    pairs = table.pairs()
    missing = scorer.missing(pairs, kept)
    results: dict[int, Result] = {}
    failures: dict[Pair, str] = {}
    for place, result in scorer.results(pairs, kept, failures):
        results[place] = result
        if kept is None or pairs[place] in missing or pairs[place][0] == pairs[place][1]:
            progress(1)
    rows = tuple(table.rows[place] for place in sorted(results))
    failures = _either_way(failures if kept is None else kept.failures)
    absent = [n for n in range(len(pairs)) if n not in results]
    failed = tuple(
        BadRow(table.rows[n].line, failures[pairs[n]]) for n in absent if pairs[n] in failures
    )
    return Scored(
        replace(table, rows=rows),
        [results[place] for place in sorted(results)],
        failed,
        len(absent) - len(failed),
    )


def _either_way(failures: Mapping[Pair, str]) -> dict[Pair, str]:
    """The failures in either direction of a pair."""
    return {(b, a): why for (a, b), why in failures.items()} | dict(failures)


def samples_of(results: Sequence[Result]) -> list[list[float]]:
    """(k, n), a row a sample, to correlate; just their means where pairs took unlike many (1, n).

    The latter happens with a tolerance: there are no seeds then that all pairs share.
    """
    if len({len(result.per_sample) for result in results}) > 1:
        return [[result.value for result in results]]
    return [list(row) for row in zip(*(result.per_sample for result in results), strict=True)]


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

"""Score a table from the command line: say what it costs, show progress, keep what is finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..core.text import brief, number_of
from ..datasets.formats import BadRow
from ..datasets.tables import PairTable, left_out, table_bytes, write_rows
from ..runs import scores
from ..runs.progress import progress_bar
from ..runs.scorers import ProcessScorer, Result, Scorer
from ..runs.scores import Scored
from .keeping import KeepFlags
from .streams import is_stream, write_stdout
from .wording import estimate_facts, tell

Arrange = Callable[[PairTable, list[Result]], tuple[PairTable, list[Result]]]


def check_out(
    out: Path | None,
    kind: str,
    table: PairTable,
    *,
    overwrite: bool,
    inputs: Sequence[Path] = (),
) -> None:
    """Refuse, before anything is computed, an output that could not be written at the end."""
    if out is None:
        return
    if not is_stream(out):
        scores.check_out(out, table, overwrite=overwrite, inputs=inputs)
        return
    scores.check_columns(table)
    table_bytes(kind, table.columns, [row.cells for row in table.rows])


def run(
    table: PairTable,
    scorer: Scorer,
    out: Path | None,
    kind: str = ".tsv",
    *,
    keep: KeepFlags = KeepFlags(),  # noqa: B008  (frozen)
    arrange: Arrange = lambda table, results: (table, results),
) -> Scored:
    """Score a table with a progress bar; into ``out`` where it is given, resumably if a file.

    kind:    the format of stdout, where ``out`` is -
    keep:    where finished work is kept, and how the run goes on
    arrange: puts the rows into the order in which they are written

    Rows that fail are reported at the end, and are not in what is returned.
    """
    with keep.work(out, scorer, table.pairs(), "finished row") as kept:
        if kept is not None:
            scorer.reject(table.rejected, kept)
        scored = _score_aloud(table, scorer, kept)
        if kept is not None:
            kept.close()  # everything is on the disk before the output is
        if not scored.absent:
            _write(out, kind, scored, scorer, arrange)
    report_failed(scored.failed, keep.folder(out), len(table.rejected))
    if scored.absent:
        tell(
            f"{number_of(scored.absent, 'pair')} of other shards are not finished: when they are, "
            "the same command without --shard writes the output"
        )
    elif not scored.any_failed:
        keep.remove(out)
    return scored


def _write(out: Path | None, kind: str, scored: Scored, scorer: Scorer, arrange: Arrange) -> None:
    if out is None:
        return
    rows = scores.scored_rows(*arrange(scored.table, scored.results), scorer.signature)
    if is_stream(out):
        write_stdout(kind, *rows)
    else:
        write_rows(out, *rows)


def report_failed(failed: Sequence[BadRow], folder: Path | None, rejected: int = 0) -> None:
    """Report the rows that failed: the first few, then how many in all, and where the reasons are.

    rejected: how many more failed, of which nothing is read; they were reported before
    """
    for line in left_out(failed):
        tell(line)
    if count := len(failed) + rejected:
        where = "" if folder is None else f"; {folder} has the reasons"
        tell(f"{number_of(count, 'pair')} failed and have no row in the output{where}")


def _score_aloud(table: PairTable, scorer: Scorer, kept: Any) -> Scored:
    """Say what it will cost, then score with a bar."""
    pairs = table.pairs()
    missing = scorer.missing(pairs, kept)
    done = sum(pair not in missing and pair[0] != pair[1] for pair in pairs)
    tell(scorer.cost_line(pairs, kept))
    if isinstance(scorer, ProcessScorer):
        for fact in estimate_facts(scorer.spec):
            tell(f"an estimate: {fact}")
    with progress_bar(len(pairs), done=done if kept is not None else 0) as bar:
        return scores.score(table, scorer, kept=kept, progress=bar.update)


def report_columns(table: PairTable) -> None:
    """Say which columns are compared where they were guessed."""
    if table.guessed:
        first, second = map(brief, table.texts)
        tell(f"compared are the first two columns, {first} and {second}; --columns names others")


def leave_unreadable(table: PairTable, scorer: Scorer) -> tuple[PairTable, list[int]]:
    """The table without the rows of which nothing is read, and the places of the others.

    Each row that is left out is reported, as a bad row, and its pair is in ``rejected``. Raises
    InputError where none is left.
    """
    pairs = table.pairs()
    reasons = scorer.unreadable([text for pair in pairs for text in pair])
    if not reasons:
        return table, list(range(len(pairs)))
    kept = [place for place, pair in enumerate(pairs) if not reasons.keys() & set(pair)]
    bad = _unreadable_rows(table, reasons)
    report_bad(replace(table, bad=bad))
    if not kept:
        raise InputError(f"there is no pair left: {bad[0].reason}")
    rows = tuple(table.rows[place] for place in kept)
    rejected = {
        pair: next(reasons[text] for text in pair if text in reasons)
        for pair in pairs
        if reasons.keys() & set(pair)
    }
    return replace(table, rows=rows, bad=(*table.bad, *bad), rejected=rejected), kept


def _unreadable_rows(table: PairTable, reasons: Mapping[str, str]) -> tuple[BadRow, ...]:
    return tuple(
        BadRow(row.line, next(reasons[text] for text in pair if text in reasons))
        for row, pair in zip(table.rows, table.pairs(), strict=True)
        if reasons.keys() & set(pair)
    )


def report_bad(table: PairTable) -> None:
    """Report the rows that were left out: the first few, then how many more."""
    for line in left_out(table.bad):
        tell(line)

"""Score a table from the command line: say what it costs, show progress, keep what is finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import ConjureError, InputError
from ..core.text import brief, number_of
from ..datasets.formats import BadRow
from ..datasets.tables import PairTable, left_out, table_bytes, write_rows
from ..runs import scores
from ..runs.progress import progress_bar
from ..runs.scorers import ProcessScorer, Result, Scorer
from ..runs.scores import Partial
from .streams import is_stream, write_stdout
from .wording import estimate_facts, tell

Rows = tuple[tuple[str, ...], list[dict[str, Any]]]
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
    overwrite: bool = False,
    arrange: Arrange = lambda table, results: (table, results),
) -> list[Result]:
    """Score a table with a progress bar; into ``out`` where it is given, resumably if a file.

    kind:    the format of stdout, where ``out`` is -
    arrange: puts the rows into the order in which they are written
    """
    if out is None or is_stream(out):
        results = _score_aloud(table, scorer, None)
        if out is not None:
            write_stdout(kind, *_rows(table, results, scorer, arrange))
        return results
    with Partial(out, scorer.signature, overwrite=overwrite) as partial:
        try:
            results = _score_aloud(table, scorer, partial)
            write_rows(out, *_rows(table, results, scorer, arrange))
        except (KeyboardInterrupt, ConjureError, OSError):
            if partial.done:
                count = number_of(len(partial.done), "finished row")
                tell(
                    f"{count} {'is' if len(partial.done) == 1 else 'are'} kept in {partial.path}; "
                    "the same command goes on from there"
                )
            raise
    partial.path.unlink()
    return results


def _rows(table: PairTable, results: list[Result], scorer: Scorer, arrange: Arrange) -> Rows:
    return scores.scored_rows(*arrange(table, results), scorer.signature)


def _score_aloud(table: PairTable, scorer: Scorer, partial: Partial | None) -> list[Result]:
    """Say what it will cost, then score with a bar."""
    pairs = [(text1, text2) for _, text1, text2 in scores.pending(table, partial)]
    total, done = len(table.rows), len(table.rows) - len(pairs)
    tell(scorer.cost_line(pairs, done))
    if isinstance(scorer, ProcessScorer):
        for fact in estimate_facts(scorer.spec):
            tell(f"an estimate: {fact}")
    with progress_bar(total, done=done) as bar:
        return scores.score(table, scorer, partial=partial, progress=bar.update)


def report_columns(table: PairTable) -> None:
    """Say which columns are compared where nobody has named them."""
    if table.guessed:
        first, second = map(brief, table.texts)
        tell(f"compared are the first two columns, {first} and {second}; --columns names others")


def leave_unreadable(table: PairTable, scorer: Scorer) -> tuple[PairTable, list[int]]:
    """The table without the rows of which nothing is read, and the places of the others.

    Each row that is left out is reported, as a bad row. Raises InputError where none is left.
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
    return replace(table, rows=rows, bad=(*table.bad, *bad)), kept


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

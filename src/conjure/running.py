"""Score a table from the command line: say what it costs, show progress, keep what is finished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import presentation, scoring
from .core.errors import ConjureError, InputError
from .formats import BadRow
from .scoring import Measure, Partial, Result
from .tables import PairTable

if TYPE_CHECKING:
    from .core.process import GenerativeProcess


def run(
    table: PairTable,
    process: GenerativeProcess,
    measure: Measure,
    out: Path | None,
    *,
    overwrite: bool,
    max_memory: int | None,
) -> list[Result]:
    """Score a table with a progress bar; into ``out``, resumably, where it is given."""
    from .core.memory import automatic_bound

    bound = automatic_bound(process.device) if max_memory is None else max_memory
    if out is None:
        return _score_aloud(table, process, measure, None, bound)
    signature = measure.signature(process)
    with Partial(out, signature, overwrite=overwrite) as partial:
        try:
            results = _score_aloud(table, process, measure, partial, bound)
        except (KeyboardInterrupt, ConjureError, OSError):
            if partial.done:
                click.echo(
                    f"conjure: {len(partial.done)} finished rows are kept in {partial.path}; "
                    "the same command goes on from there",
                    err=True,
                )
            raise
    scoring.write_scores(out, table, results, signature)
    partial.path.unlink()
    return results


def _score_aloud(
    table: PairTable,
    process: GenerativeProcess,
    measure: Measure,
    partial: Partial | None,
    bound: int,
) -> list[Result]:
    """Say what it will cost, then score; the bar is drawn on a terminal only."""
    from tqdm import tqdm

    pairs = [(text1, text2) for _, text1, text2 in scoring.pending(table, partial)]
    total, kept = len(table.rows), len(table.rows) - len(pairs)
    cost = measure.cost(pairs, process, bound)
    already = f", {kept} of them finished earlier" if kept else ""
    again = f", {cost.recomputed:,} of them again for want of memory" if cost.recomputed else ""
    least = "at least " if measure.approximation.tolerance is not None else ""
    click.echo(
        f"conjure: {total} pairs{already}: {least}{cost.rows:,} network rows to compute{again}",
        err=True,
    )
    for fact in presentation.estimate_facts(measure.approximation):
        click.echo(f"conjure: an estimate: {fact}", err=True)
    with tqdm(total=total, initial=kept, unit="pair", disable=None) as bar:
        return scoring.score(
            table, process, measure, partial=partial, max_memory=bound, progress=bar.update
        )


def leave_unreadable(table: PairTable, process: GenerativeProcess) -> tuple[PairTable, list[int]]:
    """The table without the rows of which the process reads nothing, and the places of the others.

    Each that is left out is reported, as a bad row. Raises InputError where none is left.
    """
    from .core.reading import unreadable

    pairs = table.pairs()
    reasons = unreadable(process, [text for pair in pairs for text in pair])
    if not reasons:
        return table, list(range(len(pairs)))
    kept = [place for place, pair in enumerate(pairs) if not reasons.keys() & set(pair)]
    bad = [
        BadRow(row.line, next(reasons[text] for text in pair if text in reasons))
        for row, pair in zip(table.rows, pairs, strict=True)
        if reasons.keys() & set(pair)
    ]
    report_bad(replace(table, bad=tuple(bad)))
    if not kept:
        raise InputError(f"there is no pair left: {bad[0].reason}")
    rows = tuple(table.rows[place] for place in kept)
    return replace(table, rows=rows, bad=(*table.bad, *bad)), kept


def report_bad(table: PairTable) -> None:
    for row in table.bad:
        click.echo(f"conjure: line {row.line} left out: {row.reason}", err=True)

"""Score a table from the command line: say what it costs, show progress, keep what is finished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ConjureError, InputError
from ..core.text import brief, number_of
from ..datasets.formats import BadRow
from ..datasets.tables import PairTable, left_out
from ..runs import scores as scoring
from ..runs.scores import Partial, Result
from .wording import estimate_facts, tell

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..core.spec import Spec


def run(
    table: PairTable,
    process: GenerativeProcess,
    spec: Spec,
    out: Path | None,
    *,
    overwrite: bool,
    max_memory: int | None,
) -> list[Result]:
    """Score a table with a progress bar; into ``out``, resumably, where it is given."""
    from ..core.memory import automatic_bound
    from ..core.spec import sign

    bound = automatic_bound(process.device) if max_memory is None else max_memory
    if out is None:
        return _score_aloud(table, process, spec, None, bound)
    with Partial(out, sign(process, spec), overwrite=overwrite) as partial:
        try:
            results = _score_aloud(table, process, spec, partial, bound)
            scoring.write_scores(out, table, results, sign(process, spec))
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


def _score_aloud(
    table: PairTable,
    process: GenerativeProcess,
    spec: Spec,
    partial: Partial | None,
    bound: int,
) -> list[Result]:
    """Say what it will cost, then score; the bar is drawn on a terminal only."""
    from tqdm import tqdm

    from ..similarity import cost

    pairs = [(text1, text2) for _, text1, text2 in scoring.pending(table, partial)]
    total, kept = len(table.rows), len(table.rows) - len(pairs)
    plan = cost(pairs, process, spec, max_memory=bound)
    already = f", {kept} of them finished earlier" if kept else ""
    again = f", {plan.recomputed:,} of them again for want of memory" if plan.recomputed else ""
    least = "at least " if spec.adaptive else ""
    tell(
        f"{number_of(total, 'pair')}{already}: {least}{plan.rows:,} network rows to compute{again}"
    )
    for fact in estimate_facts(spec):
        tell(f"an estimate: {fact}")
    with tqdm(total=total, initial=kept, unit="pair", disable=None) as bar:
        return scoring.score(
            table, process, spec, partial=partial, max_memory=bound, progress=bar.update
        )


def report_columns(table: PairTable) -> None:
    """Say which columns are compared where nobody has named them."""
    if table.guessed:
        first, second = map(brief, table.texts)
        tell(f"compared are the first two columns, {first} and {second}; --columns names others")


def leave_unreadable(table: PairTable, process: GenerativeProcess) -> tuple[PairTable, list[int]]:
    """The table without the rows of which the process reads nothing, and the places of the others.

    Each that is left out is reported, as a bad row. Raises InputError where none is left.
    """
    from ..core.reading import unreadable

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
    for line in left_out(table.bad):
        tell(line)

"""Score a table from the command line: say what it costs, show progress, keep what is finished."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import scoring
from .core.errors import ConjureError
from .core.text import brief, number_of
from .presentation import estimate_facts, tell
from .scoring import Measure, Partial, Result
from .tables import PairTable, left_out

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
            scoring.write_scores(out, table, results, signature)
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
    tell(
        f"{number_of(total, 'pair')}{already}: {least}{cost.rows:,} network rows to compute{again}"
    )
    for fact in estimate_facts(measure.approximation):
        tell(f"an estimate: {fact}")
    with tqdm(total=total, initial=kept, unit="pair", disable=None) as bar:
        return scoring.score(
            table, process, measure, partial=partial, max_memory=bound, progress=bar.update
        )


def report_columns(table: PairTable) -> None:
    """Say which columns are compared where nobody has named them."""
    if table.guessed:
        first, second = map(brief, table.texts)
        tell(f"compared are the first two columns, {first} and {second}; --columns names others")


def report_bad(table: PairTable) -> None:
    for line in left_out(table.bad):
        tell(line)

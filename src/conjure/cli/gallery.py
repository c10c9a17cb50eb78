"""``conjure explain --pairs FILE``: many pairs on one page."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError, NonFiniteError
from ..core.spec import Spec
from ..core.text import number_of
from ..datasets.formats import BadRow
from ..datasets.read import SCORE, score_number
from ..datasets.tables import PairTable, read_pairs
from ..runs.parts import PartFinished
from ..runs.scorers import ProcessScorer
from .choosing import choose, flag
from .keeping import KeepFlags
from .names import whole_command
from .running import leave_unreadable, report_bad, report_columns, report_failed
from .streams import is_stream
from .wording import tell

if TYPE_CHECKING:
    from ..explanation.record import Explanation
    from ..report.page.gallery import Card, RankedPair
    from ..runs.explanations import ExplanationStore
    from ..runs.terms import TermStore
    from ..similarity import Distance

PAGE = ".html"


@dataclass(frozen=True)
class Request:
    """What a gallery is made of. top: the number of cards; by: the order, see ``ranked``."""

    pairs: Path
    out: Path
    columns: tuple[str, str] | None
    top: int
    by: str
    overwrite: bool

    def check(self) -> None:
        """Raise InputError where the page could not be written."""
        from ..datasets.files import check_output, is_same
        from ..report.plots.style import check_matplotlib

        if self.out.suffix.lower() != PAGE:
            raise InputError(f"{self.out}: --pairs makes a page: let --out name a {PAGE} file")
        check_matplotlib()
        if is_same(self.pairs, self.out):
            raise InputError(f"{self.out} is the table that is read: let --out name another file")
        check_output(self.out, overwrite=self.overwrite)


def make_gallery(request: Request, keep: KeepFlags, flags: dict[str, Any]) -> int:
    """Measure every pair, explain the first ones, and write the page. 1 if some pairs failed."""
    from ..explanation.measuring import Parts, check_request

    if is_stream(request.pairs):
        raise InputError("--pairs names a file; stdin is not read")
    table = _read(request)
    request.check()
    names = ("samples", "seed", "estimand")
    measured = {name: flags[name] for name in names if flags[name] is not None}
    check_request(_unequal(table), Spec(**measured), Parts())
    report_columns(table)
    report_bad(table)
    process, spec = choose(flags)
    scorer = ProcessScorer(process, spec)
    table, _ = leave_unreadable(table, scorer)
    try:
        with keep.work(request.out, scorer, table.pairs()) as kept:
            scorer.reject(table.rejected, kept)
            failed = _make(request, table, scorer, kept, flags)
    except PartFinished as error:
        tell(str(error))
        return 1 if table.rejected else 0
    if failed or table.rejected:
        report_failed(failed, kept.store.folder, len(table.rejected))
        return 1
    keep.remove(request.out)
    return 0


def _make(
    request: Request,
    table: PairTable,
    scorer: ProcessScorer,
    kept: TermStore,
    flags: dict[str, Any],
) -> list[BadRow]:
    """Measure, explain and write. Returns the rows that failed, which the page lacks."""
    from ..report.page import render, save_page
    from ..report.page.gallery import gallery_context, ranked

    distances = _distances(table, request.top, scorer, kept)
    rows = [row for place, row in enumerate(table.rows) if place in distances]
    order = ranked(
        [row.line for row in rows],
        [distances[place] for place in sorted(distances)],
        [score_number(row) for row in rows],
        request.by,
    )
    cards = _cards(order[: request.top], len(order), scorer, kept, flags)
    kept.close()  # everything is on the disk before the page is
    context = gallery_context(
        order,
        cards,
        source=request.pairs.name,
        by=request.by,
        command=whole_command(),
    )
    save_page(render("gallery.html", **context), request.out)
    tell(f"{number_of(len(order), 'pair')}, {number_of(len(cards), 'card')}: {request.out}")
    return [
        BadRow(row.line, _why(kept, pair))
        for place, (row, pair) in enumerate(zip(table.rows, table.pairs(), strict=True))
        if place not in distances
    ]


def _why(kept: TermStore, pair: tuple[str, str]) -> str:
    return kept.failures[min(pair), max(pair)]


def _read(request: Request) -> PairTable:
    """The pairs; by disagreement, those whose score is a number."""
    table = read_pairs(request.pairs, request.columns)
    if request.by == "disagreement":
        if SCORE not in table.columns:
            raise InputError(
                f"{request.pairs} has no column {SCORE!r}, which --by disagreement compares with: "
                "leave --by out"
            )
        rows = tuple(row for row in table.rows if score_number(row) is not None)
        bad = tuple(
            BadRow(row.line, f"its {SCORE} is not a number")
            for row in table.rows
            if score_number(row) is None
        )
        table = replace(table, rows=rows, bad=(*table.bad, *bad))
    if not table.rows:
        report_bad(table)
        raise InputError(f"{request.pairs} has no pair of texts to show")
    return table


def _unequal(table: PairTable) -> tuple[str, str]:
    """A pair of two texts that differ. Raises InputError where there is none."""
    for pair in table.pairs():
        if pair[0] != pair[1]:
            return pair
    raise InputError("both texts of every pair are equal: there is nothing to show")


def _distances(
    table: PairTable, top: int, scorer: ProcessScorer, kept: TermStore
) -> dict[int, Distance]:
    """{place: distance} of all pairs but those that fail. What they and the cards cost is said.

    Raises PartFinished if other parts of the work are missing, NonFiniteError if all pairs fail.
    """
    from ..explanation.measuring import Parts, prepare
    from ..runs.progress import progress_bar
    from ..similarity import stream

    pairs = table.pairs()
    rows = prepare(_unequal(table), scorer.process, scorer.spec, Parts()).plan.rows  # of any two
    count = min(top, len(pairs))
    tell(scorer.cost_line(pairs, kept))
    tell(f"then {number_of(count, 'card')}: at most {number_of(count * rows, 'network row')} more")
    found: dict[int, Distance] = {}
    with progress_bar(len(pairs)) as bar:
        for place, one in stream(pairs, scorer.process, scorer.spec, measure=kept.measure):
            found[place] = one
            bar.update(1)
    failed = [pair for pair in pairs if (min(pair), max(pair)) in kept.failures]
    if len(found) + len(failed) < len(pairs) and kept.part is not None:
        raise PartFinished(kept.part)
    if not found:
        raise NonFiniteError(f"all pairs failed: {_why(kept, failed[0])}", failed[0])
    return found


def _cards(
    first: list[RankedPair],
    total: int,
    scorer: ProcessScorer,
    kept: TermStore,
    flags: dict[str, Any],
) -> list[Card]:
    """The cards of the first pairs, each drawn before the next one is measured."""
    from ..report.page.gallery import card
    from ..runs.explanations import ExplanationStore
    from ..runs.progress import progress_bar
    from ..runs.stopping import check_stop

    found, explanations = [], ExplanationStore(kept)
    with progress_bar(len(first), unit="card") as bar:
        for place, pair in enumerate(first, start=1):
            explained = None
            if pair.texts[0] != pair.texts[1]:
                explained = _explained(pair, scorer, explanations, flags)
            found.append(card(place, pair, total, explained))
            bar.update(1)
            check_stop()
    return found


def _explained(
    pair: RankedPair, scorer: ProcessScorer, kept: ExplanationStore, flags: dict[str, Any]
) -> Explanation:
    """Its explanation, with the command that makes the page of this pair alone."""
    from ..explanation.measuring import Parts, prepare

    given = [one for name, value in flags.items() for one in _arguments(name, value)]
    command = ["conjure", "explain", *given, "--out", "pair.html", "--", *pair.texts]
    prepared = prepare(pair.texts, scorer.process, scorer.spec, Parts())
    return prepared.run(command=shlex.join(command), kept=kept)


def _arguments(name: str, value: Any) -> list[str]:
    """A flag as it is written on a command line; nothing where it was not given.

    >>> _arguments("batch_size", 8), _arguments("lora", ("a", "b")), _arguments("compile", True)
    (['--batch-size', '8'], ['--lora', 'a', '--lora', 'b'], ['--compile'])
    >>> _arguments("steps", None)
    []
    """
    if value is None or value is False:
        return []
    if value is True:
        return [flag(name)]
    values = value if isinstance(value, tuple) else (value,)
    return [part for one in values for part in (flag(name), str(one))]

"""``conjure explain --pairs FILE``: many pairs on one page."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError
from ..core.spec import Spec
from ..core.text import number_of
from ..datasets.formats import BadRow
from ..datasets.read import SCORE, score_number
from ..datasets.tables import PairTable, read_pairs
from ..runs.scorers import ProcessScorer
from .choosing import choose, flag
from .names import whole_command
from .running import leave_unreadable, report_bad, report_columns
from .streams import is_stream
from .wording import tell

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..explanation.record import Explanation
    from ..report.page.gallery import Card, RankedPair
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


def make_gallery(request: Request, flags: dict[str, Any]) -> None:
    """Measure every pair, explain the first ones, and write the page."""
    from ..explanation.measuring import Parts, check_request
    from ..report.page import render, save_page
    from ..report.page.gallery import gallery_context, ranked

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
    table, _ = leave_unreadable(table, ProcessScorer(process, spec))
    distances = _distances(table, request.top, process, spec)
    order = ranked(
        [row.line for row in table.rows],
        distances,
        [score_number(row) for row in table.rows],
        request.by,
    )
    cards = _cards(order[: request.top], len(order), process, spec, flags)
    context = gallery_context(
        order,
        cards,
        source=request.pairs.name,
        by=request.by,
        command=whole_command(),
    )
    save_page(render("gallery.html", **context), request.out)
    tell(f"{number_of(len(order), 'pair')}, {number_of(len(cards), 'card')}: {request.out}")


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
    table: PairTable, top: int, process: GenerativeProcess, spec: Spec
) -> list[Distance]:
    """Every pair's distance, with a bar. What they and the cards cost is said before."""
    from ..explanation.measuring import Parts, prepare
    from ..runs.cost import cost_line
    from ..runs.progress import progress_bar
    from ..similarity import cost, stream

    pairs = table.pairs()
    unequal = _unequal(table)
    rows = prepare(unequal, process, spec, Parts()).plan.rows  # the same for any two texts
    count = min(top, len(pairs))
    tell(cost_line(process, cost(pairs, process, spec), unequal[0], len(pairs)))
    tell(f"then {number_of(count, 'card')}: at most {number_of(count * rows, 'network row')} more")
    found: dict[int, Distance] = {}
    with progress_bar(len(pairs)) as bar:
        for place, one in stream(pairs, process, spec):
            found[place] = one
            bar.update(1)
    return [found[place] for place in range(len(pairs))]


def _cards(
    first: list[RankedPair],
    total: int,
    process: GenerativeProcess,
    spec: Spec,
    flags: dict[str, Any],
) -> list[Card]:
    """The cards of the first pairs, each drawn before the next one is measured."""
    from ..report.page.gallery import card
    from ..runs.progress import progress_bar

    found = []
    with progress_bar(len(first), unit="card") as bar:
        for place, pair in enumerate(first, start=1):
            explained = None
            if pair.texts[0] != pair.texts[1]:
                explained = _explained(pair, process, spec, flags)
            found.append(card(place, pair, total, explained))
            bar.update(1)
    return found


def _explained(
    pair: RankedPair, process: GenerativeProcess, spec: Spec, flags: dict[str, Any]
) -> Explanation:
    """Its explanation, with the command that makes the page of this pair alone."""
    from ..explanation.measuring import Parts, prepare

    given = [one for name, value in flags.items() for one in _arguments(name, value)]
    command = ["conjure", "explain", *given, "--out", "pair.html", "--", *pair.texts]
    return prepare(pair.texts, process, spec, Parts()).run(command=shlex.join(command))


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

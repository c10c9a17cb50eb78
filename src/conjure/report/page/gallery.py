"""Many pairs on one page: a card for each of the first ones, and a table of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.text import number_of, printable, shown
from ...explanation.record import Explanation
from ...similarity import Distance
from .images import overlay_uri, picture_uri
from .parts import NONE, BarData, Bars, Table, bars, error_text, number, percent, signed

ORDERS = ("distance", "disagreement")
MOST = 5000  # rows of the table of all; a browser is slow beyond


@dataclass(frozen=True)
class RankedPair:
    """A pair with its ranks; rank 1 is the nearest, ties have the mean of their ranks.

    line:       its line in the file
    score:      the human score, or None
    rank:       by distance; human_rank: by score, the highest first, or None
    difference: rank − human_rank: above 0 if the process finds the pair farther than people do
    """

    line: int
    distance: Distance
    score: float | None
    rank: float
    human_rank: float | None

    @property
    def texts(self) -> tuple[str, str]:
        return self.distance.text1, self.distance.text2

    @property
    def difference(self) -> float | None:
        return None if self.human_rank is None else self.rank - self.human_rank


@dataclass(frozen=True)
class Card:
    """What the page shows of one pair; drawn at once, so that the explanation can go."""

    place: int
    texts: tuple[str, str]
    value: str
    facts: tuple[tuple[str, str], ...]
    pictures: tuple[str, str] | None
    maps: tuple[str, str] | None
    steps: Bars | None
    table: Table | None
    command: str
    note: str


def ranked(
    lines: Sequence[int],
    distances: Sequence[Distance],
    scores: Sequence[float | None],
    by: str,
) -> list[RankedPair]:
    """Pairs in the order of the page.

    by: "distance", the farthest first; or "disagreement", the largest difference of ranks first.
        Then every pair needs a score
    """
    from scipy.stats import rankdata

    places = rankdata([one.value for one in distances])
    scored = [i for i, score in enumerate(scores) if score is not None]
    # both ranks of a difference are among the same pairs
    humans = dict(zip(scored, rankdata([-float(scores[i] or 0) for i in scored]), strict=True))
    complete = len(scored) == len(scores)
    found = [
        RankedPair(
            lines[i],
            distances[i],
            scores[i],
            float(places[i]),
            float(humans[i]) if complete else None,
        )
        for i in range(len(distances))
    ]
    if by == "distance":
        return sorted(found, key=lambda one: -one.distance.value)
    return sorted(found, key=lambda one: -abs(one.difference or 0.0))


def card(place: int, pair: RankedPair, total: int, found: Explanation | None) -> Card:
    """The card of a pair. found: its explanation, or None if both texts are equal."""
    facts = [("rank by distance", f"{pair.rank:g} of {total}, 1 is the nearest")]
    if pair.score is not None:
        facts.append(("human score", number(pair.score)))
    if pair.human_rank is not None and pair.difference is not None:
        facts.append(("rank by people", f"{pair.human_rank:g} of {total}"))
        than = "farther" if pair.difference > 0 else "nearer"
        said = "as people do" if pair.difference == 0 else f"{than} than people do"
        facts.append(
            ("difference", f"{signed(pair.difference, True)}: the process finds them {said}")
        )
    facts.append(("line of the file", str(pair.line)))
    texts = (shown(pair.texts[0]), shown(pair.texts[1]))
    value = _value(pair.distance)
    if found is None:
        note = "Both texts are equal, so nothing differs."
        return Card(place, texts, value, tuple(facts), None, None, None, None, "", note)
    drawn, maps = None, None
    if (pictures := found.pictures) is not None:
        first, second = pictures.finals[pictures.sample]
        drawn = (picture_uri(first), picture_uri(second))
        highest = float(found.where.max())
        maps = (
            overlay_uri(first, found.where[0], highest),
            overlay_uri(second, found.where[1], highest),
        )
    steps, table = _steps(found)
    command = printable(found.command)
    note = " ".join(map(printable, found.notes))
    return Card(place, texts, value, tuple(facts), drawn, maps, steps, table, command, note)


def _steps(found: Explanation) -> tuple[Bars, Table]:
    """Each step's share, both directions together."""
    shares = found.shares.sum(axis=0)
    lines = [BarData(f"step {j + 1}", float(share)) for j, share in enumerate(shares)]
    top = int(np.argmax(shares))
    says = f"Share of each step; the largest is step {top + 1} with {percent(float(shares[top]))}."
    rows = tuple(
        (str(j + 1), percent(float(a)), percent(float(b)), percent(float(a + b)))
        for j, (a, b) in enumerate(found.shares.T)
    )
    head = ("step", "first text's way", "second text's way", "both")
    return (
        bars(lines, says, "share of the distance", as_percent=True),
        Table("share of each step", head, rows),
    )


def _value(distance: Distance) -> str:
    error = "" if distance.standard_error is None else f" ± {error_text(distance.standard_error)}"
    return f"{number(distance.value)}{error}"


def gallery_context(
    pairs: Sequence[RankedPair],
    cards: Sequence[Card],
    *,
    source: str,
    by: str,
    command: str,
) -> dict[str, Any]:
    """Everything that the template of a gallery uses. source: the file that the pairs are from."""
    rows = [
        (
            str(place + 1),
            printable(one.texts[0]),
            printable(one.texts[1]),
            number(one.distance.value),
            number(one.distance.standard_error),
            f"{one.rank:g}",
            number(one.score),
            NONE if one.human_rank is None else f"{one.human_rank:g}",
            NONE if one.difference is None else signed(one.difference, True),
        )
        for place, one in enumerate(pairs[:MOST])
    ]
    head = ("first text", "second text", "distance", "±", "rank", "human score", "human rank")
    return {
        "source": shown(source),
        "by": by,
        "count": number_of(len(pairs), "pair"),
        "cards": cards,
        "head": ("place", *head, "difference"),
        "rows": rows,
        "left_out": max(0, len(pairs) - MOST),
        "scored": any(one.score is not None for one in pairs),
        "compared": all(one.human_rank is not None for one in pairs),
        "signature": printable(str(pairs[0].distance.signature)),
        "command": printable(command),
    }

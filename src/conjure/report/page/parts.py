"""The parts of a page that the templates lay out: tables, bars, and words for numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.text import printable
from ...core.uncertainty import student_t
from .images import Array

NONE = "–"


@dataclass(frozen=True)
class Table:
    """The numbers behind a figure, as text; the first cell of a row names it.

    texts: the columns whose cells are foreign texts, from 0
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Bar:
    """One line of a bar chart: a label, a number with its error, and where the bar lies in percent.

    label: what it is of; a foreign text where ``foreign``
    value: the number as text
    start, width: the bar; low, high: its interval, or None
    kind:  "first", "second" or "" (neither)
    """

    label: str
    value: str
    start: float
    width: float
    low: float | None = None
    high: float | None = None
    kind: str = ""
    foreign: bool = False


@dataclass(frozen=True)
class Bars:
    """Bars on one scale. zero: where the number 0 lies, in percent."""

    lines: tuple[Bar, ...]
    says: str
    unit: str
    zero: float = 0.0


@dataclass(frozen=True)
class BarData:
    """What ``bars`` draws a line of: label, value, and the half width of its interval or None."""

    label: str
    value: float
    reach: float | None = None
    kind: str = ""
    foreign: bool = False


def bars(lines: Sequence[BarData], says: str, unit: str, *, as_percent: bool = False) -> Bars:
    """Lines → bars on one scale that holds 0 and every interval. NaN has no bar."""
    ends = [0.0]
    for line in lines:
        if np.isfinite(line.value):
            reach = line.reach or 0.0
            ends += [line.value - reach, line.value + reach]
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return 100 * (value - low) / span

    found = []
    for line in lines:
        value = line.value if np.isfinite(line.value) else 0.0
        start, end = sorted((place(0), place(value)))
        found.append(
            Bar(
                label=printable(line.label),
                value=percent(line.value) if as_percent else signed(line.value, low < 0),
                start=start,
                width=end - start,
                low=None if line.reach is None else place(value - line.reach),
                high=None if line.reach is None else place(value + line.reach),
                kind=line.kind,
                foreign=line.foreign,
            )
        )
    return Bars(tuple(found), says, unit, place(0))


def number(value: float | None) -> str:
    """Four significant digits; a dash for what there is none of.

    >>> number(213.9216), number(0.00012345), number(None), number(0.0)
    ('213.9', '0.0001234', '–', '0')
    """
    if value is None or not np.isfinite(value):
        return NONE
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def error_text(error: float) -> str:
    """A standard error: two significant digits, without an exponent where it is readable.

    >>> error_text(445.3), error_text(2.24), error_text(0.000123)
    ('450', '2.2', '0.00012')
    """
    rounded = float(f"{error:.2g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:.2g}"


def signed(value: float, sign: bool) -> str:
    """A number, with + or − where some of its kind are below 0."""
    if not np.isfinite(value):
        return NONE
    text = number(abs(value))
    if not sign or value == 0:
        return text
    return f"{'+' if value > 0 else '−'}{text}"


def percent(share: float | None) -> str:
    """A share with one decimal, a small one with two digits; blanks do not break.

    >>> percent(0.1234), percent(0.0), percent(0.000123), percent(float("nan"))
    ('12.3\\xa0%', '0.0\\xa0%', '0.012\\xa0%', '–')
    >>> percent(1e-9)
    'below\\xa00.001\\xa0%'
    """
    if share is None or not np.isfinite(share):
        return NONE
    if 0 < abs(share) < 1e-5:
        return "below\xa00.001\xa0%"
    digits = ".2g" if 0 < abs(share) < 0.0005 else ".1f"
    return f"{100 * share:{digits}}\xa0%"


def mean_reach(values: Array) -> tuple[float, float | None]:
    """A mean over samples, and half the width of its 95 % interval by Student's t.

    values: (samples,); one sample has no interval, and neither has a mean that is NaN
    """
    mean = float(np.mean(values))
    if len(values) < 2 or not np.isfinite(mean):
        return mean, None
    error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return mean, student_t(0.95, len(values) - 1) * error


def listed(items: Sequence[object]) -> str:
    """Items as people list them; runs of three or more whole numbers as ranges.

    >>> listed([1]), listed([1, 2]), listed([1, 2, 3, 5]), listed(["a", "b", "c"])
    ('1', '1 and 2', '1–3 and 5', 'a, b and c')
    """
    texts: list[str] = []
    run: list[int] = []

    def close() -> None:
        texts.extend(map(str, run) if len(run) < 3 else [f"{run[0]}–{run[-1]}"])
        run.clear()

    for item in items:
        if isinstance(item, int):
            if run and item != run[-1] + 1:
                close()
            run.append(item)
        else:
            texts.append(str(item))
    close()
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def steps_text(places: Sequence[int], total: int) -> str:
    """Steps, counted from 0, as people list them; many scattered ones by their number.

    >>> steps_text([7, 8, 9], 10), steps_text([2], 10), steps_text(range(0, 50, 2), 50)
    ('steps 8–10 of 10', 'step 3 of 10', '25 of 50 steps')
    """
    text = listed([place + 1 for place in places])
    if len(text) > 24:
        return f"{len(places)} of {total} steps"
    return f"step{'s' if len(places) > 1 else ''} {text} of {total}"


def fewest(shares: Array, part: float = 0.5) -> list[int]:
    """The fewest places, in order, that hold at least ``part`` of all; none where all are 0.

    >>> fewest(np.array([0.1, 0.4, 0.2, 0.3]))
    [1, 3]
    """
    flat = np.asarray(shares, dtype=np.float64).ravel()
    total = flat.sum()
    if not total > 0:
        return []
    order = np.argsort(-flat, kind="stable")
    held = np.cumsum(flat[order]) / total
    count = int(np.searchsorted(held, part - 1e-12)) + 1
    return sorted(int(n) for n in order[:count])


def edges(size: int, most: int = 8) -> list[int]:
    """Where ``size`` cells are divided into at most ``most`` blocks: 0, …, size.

    >>> edges(64), edges(3)
    ([0, 8, 16, 24, 32, 40, 48, 56, 64], [0, 1, 2, 3])
    """
    count = min(size, most)
    return [n * size // count for n in range(count + 1)]


def blocks(shares: Array) -> Array:
    """A map as sums over the blocks between ``edges``: at most 8 × 8, with the same sum."""
    for axis in (0, 1):
        shares = np.add.reduceat(shares, edges(shares.shape[axis])[:-1], axis=axis)
    return shares

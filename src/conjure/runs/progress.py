"""How a run says what it will cost and how far it is: one convention for every command.

A run begins with one line: how many pairs there are, how many of them an earlier run finished, what
is left to compute, and for a long run about how long it takes. A bar with the remaining time
follows, on a terminal only.
"""

from __future__ import annotations

from typing import Any

from ..core.text import number_of


def work_line(
    count: int,
    work: str,
    *,
    noun: str = "pair",
    done: int = 0,
    again: int = 0,
    seconds: float | None = None,
    device: object = None,
) -> str:
    """The line that a run begins with.

    count:   how many there are of ``noun``; done: how many an earlier run finished
    work:    what is left to compute, such as "94 network rows"
    again:   how many of these are computed twice because memory is too small
    seconds: how long it takes on ``device``, where that was estimated

    >>> work_line(6, "94 network rows", done=2)
    '6 pairs, 2 of them finished earlier: 94 network rows to compute'
    """
    line = number_of(count, noun)
    if done:
        line += f", {done:,} of them finished earlier"
    line += f": {work} to compute"
    if again:
        line += f", {again:,} of them again for want of memory"
    if seconds is not None:
        line += f", about {duration(seconds)} on {device} by a short probe"
    return line


def progress_bar(total: int, *, done: int = 0, unit: str = "pair", shown: bool = True) -> Any:
    """A bar with the time that is left: a context manager with ``update(n)``.

    It is drawn on a terminal only, and never where ``shown`` is False.
    """
    from tqdm import tqdm

    return tqdm(total=total, initial=done, unit=unit, disable=None if shown else True)


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(42), duration(600), duration(40_000)
    ('42 s', '10 min', '11.1 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

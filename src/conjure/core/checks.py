"""Checks of arguments: each returns the value to use, or raises InputError with one line."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .errors import InputError
from .text import brief, text_fault

if TYPE_CHECKING:
    from .process import GenerativeProcess
    from .types import Pair


def checked_pairs(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs as a list. Raises InputError that names the first item that is not two texts."""
    if isinstance(pairs, str | bytes):
        raise InputError("pairs must be a list of (text, text), not a single text")
    if not isinstance(pairs, Iterable):
        raise InputError(f"pairs must be a list of (text, text), not {brief(pairs)}")
    return [_checked_pair(number, pair) for number, pair in enumerate(pairs, start=1)]


def _checked_pair(number: int, pair: Pair) -> Pair:
    if isinstance(pair, str | bytes) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise InputError(f"pair {number} must be two texts, not {brief(pair)}")
    for text in pair:
        if not isinstance(text, str):
            raise InputError(f"pair {number}: a text must be a str, not {brief(text)}")
        if fault := text_fault(text):
            raise InputError(f"pair {number}: a text {fault}")
    return pair[0], pair[1]


def whole(name: str, number: int, minimum: int) -> int:
    """The number as an int. Raises InputError if it is not whole or is below ``minimum``."""
    try:
        value = minimum - 1 if isinstance(number, bool) else int(operator.index(number))
    except TypeError:
        value = minimum - 1
    if not minimum <= value < 2**63:  # the seeds that a generator takes
        raise InputError(f"{name} must be a whole number, at least {minimum}, not {brief(number)}")
    return value


def positive(name: str, number: float) -> float:
    """The number as a float. Raises InputError if it is not a finite number above 0."""
    try:
        value = math.nan if isinstance(number, bool | str) else float(number)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(f"{name} must be a positive number, not {brief(number)}")
    return value


def checked_process(process: GenerativeProcess) -> GenerativeProcess:
    """The process itself. Raises InputError if an attribute of the contract is missing."""
    from .process import GenerativeProcess

    wanted = [*GenerativeProcess.__annotations__, "embed", "unconditional", "predict", "solver"]
    missing = [name for name in wanted if not hasattr(process, name)]
    if missing:
        raise InputError(
            f"process {brief(process)} has no {', '.join(missing)}: "
            "give what conjure.load() returns, or an object with these attributes"
        )
    return process

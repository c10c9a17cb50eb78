"""What callers may pass: each check returns what is used, or raises an InputError in one line."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence

from .approximation import Approximation
from .core.errors import InputError
from .core.plan import Pair
from .core.process import GenerativeProcess
from .core.text import brief, text_fault


def checked_pairs(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs as a list, or InputError, naming the first that is not two texts."""
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


def whole(name: str, number: int, least: int) -> int:
    """The number, or InputError where it is not whole or below ``least``."""
    try:
        value = least - 1 if isinstance(number, bool) else int(operator.index(number))
    except TypeError:
        value = least - 1
    if not least <= value < 2**63:  # the seeds that a generator takes
        raise InputError(f"{name} must be a whole number, at least {least}, not {brief(number)}")
    return value


def positive(name: str, number: float) -> float:
    """The number, or InputError where it is none, not above 0 or not finite."""
    try:
        value = math.nan if isinstance(number, bool | str) else float(number)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(f"{name} must be a positive number, not {brief(number)}")
    return value


def checked_approximation(approximation: Approximation) -> Approximation:
    """The approximation, or InputError where it is something else."""
    if not isinstance(approximation, Approximation):
        raise InputError(
            "approximation must be a conjure.Approximation, such as "
            f"Approximation(cross_steps=3), not {brief(approximation)}"
        )
    return approximation


def checked_process(process: GenerativeProcess) -> GenerativeProcess:
    """The process, or InputError where it lacks an attribute."""
    wanted = [*GenerativeProcess.__annotations__, "embed", "predict", "solver"]
    missing = [name for name in wanted if not hasattr(process, name)]
    if missing:
        raise InputError(
            f"process {brief(process)} has no {', '.join(missing)}: "
            "give what conjure.load() returns, or an object with these attributes"
        )
    return process

"""Checks of arguments: each returns the value to use, or raises InputError with one line."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .currency import comparison_fault
from .errors import InputError
from .text import brief, number_of, text_fault

if TYPE_CHECKING:
    from .process import GenerativeProcess
    from .types import Conditioning, Pair


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


def checked_seeds(seed: int, samples: int) -> int:
    """The first of ``samples`` seeds, or InputError where torch would take two for one.

    The CPU's generator reads the lower 32 bits of a seed alone: 2³² is the noise of 0.
    """
    value = whole("seed", seed, minimum=0)
    if value + samples > 2**32:
        raise InputError(
            f"seed must be below {2**32}, and so must seed + samples - 1: larger ones give the "
            f"noise of smaller ones again; not {brief(seed)} with {number_of(samples, 'sample')}"
        )
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
    for name, fits, what in _ATTRIBUTES:
        if not fits(found := getattr(process, name)):
            raise InputError(
                f"process {brief(process.name)}: {name} must be {what}, not {brief(found)}"
            )
    if fault := process.schedule.fault() or comparison_fault(process):
        raise InputError(f"process {brief(process.name)}: {fault}")
    return process


def checked_cond(
    process: GenerativeProcess, method: str, cond: Conditioning, rows: int
) -> Conditioning:
    """What embed() or unconditional() returned, or InputError where it is not ``rows`` rows.

    More of them would go to the wrong prompts.
    """
    tensors = getattr(cond, "tensors", {})
    counts = {len(tensor) for tensor in tensors.values()}
    if counts != {rows}:
        found = f"{', '.join(map(str, sorted(counts)))} rows" if counts else brief(cond)
        raise InputError(
            f"process {brief(process.name)}: {method}() must return a Conditioning of "
            f"{number_of(rows, 'row')} here, not {found}"
        )
    return cond


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return not isinstance(value, bool) and hasattr(value, "__index__") and operator.index(value) > 0


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, str | bool) and math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _is_shape(value: object) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(map(_is_count, value))


# What an object of one's own gets wrong: attribute, check, what it must be.
_ATTRIBUTES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    *((name, _is_text, "a str") for name in ("name", "revision", "sampler", "dtype")),
    ("guidance", _is_number, "a finite number"),
    (
        "guidance_mode",
        lambda value: value in ("classifier-free", "distilled", "internal", "none"),
        "classifier-free, distilled, internal or none",
    ),
    ("schedule", lambda value: type(value).__name__ == "Schedule", "a Schedule"),
    ("latent_shape", _is_shape, "a tuple of whole numbers above 0"),
    (
        "latent_dtype",
        lambda value: str(value) in ("torch.float32", "torch.float64"),
        "torch.float32 or torch.float64",
    ),
    ("device", lambda value: hasattr(value, "type"), "a torch.device"),
    ("batch_size", _is_count, "a whole number above 0"),
)

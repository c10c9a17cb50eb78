"""What a user may choose about a process, checked before anything heavy is loaded."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass, fields
from typing import Any

from ..core.currency import CURRENCIES
from ..core.errors import InputError
from ..core.text import brief

SAMPLERS = ("lms", "euler", "euler-ancestral", "ddim", "ddpm", "dpm-solver++")
DTYPES = ("float32", "float16", "bfloat16", "float64", "auto")


@dataclass(frozen=True)
class ProcessSettings:
    """A model becomes a process by its sampler, steps and guidance; None leaves the choice to it.

    sampler:      one of SAMPLERS; the process's own recommendation, else "lms"
    steps:        T, at least 1 and at most the training steps; recommended, else 10
    guidance:     w in ε_∅ + w (ε_y − ε_∅), at least 0; recommended, else 7.5
    compare:      what is compared, one of CURRENCIES (``core/currency.py``); else "epsilon"
    device:       "cpu", "cuda", "cuda:1", "mps"; else "cuda" where there is one, "cpu" otherwise
    dtype:        arithmetic inside the networks, one of DTYPES; else "float32". "auto" is the
                  fastest that the device computes with natively (``devices.settle_dtype``).
                  Latents are float32 whatever it is, or float64 with "float64"
    batch_size:   most rows the network is given at once; else what suits device and latents
    compile:      run the network through ``torch.compile``, its batches padded to ``batch_size``;
                  the first batch takes a minute or so, numbers change by rounding alone
    revision:     branch, tag or commit of a hub model; else its main branch
    variant:      which of several weight files, for example "fp16"
    allow_pickle: accept weights that are not safetensors; unpickling a file can run any code
    allow_code:   import and call the MODULE:CALLABLE that is given as the process, though no
                  installed package registers it

    Raises InputError for a value that makes no sense.
    """

    sampler: str | None = None
    steps: int | None = None
    guidance: float | None = None
    compare: str | None = None
    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = None
    compile: bool = False
    revision: str | None = None
    variant: str | None = None
    allow_pickle: bool = False
    allow_code: bool = False

    def __post_init__(self) -> None:
        _choice("sampler", self.sampler, SAMPLERS)
        _choice("dtype", self.dtype, DTYPES)
        _choice("compare", self.compare, CURRENCIES)
        _count("steps", self.steps)
        _count("batch_size", self.batch_size)
        _guidance(self.guidance)
        _device(self.device)
        _flag("compile", self.compile)
        _flag("allow_pickle", self.allow_pickle)  # "no" is true to Python, and would be a yes
        _flag("allow_code", self.allow_code)
        _name("revision", self.revision, r"[^\s\x00-\x1f\\]+", "a branch, tag or commit")
        _name("variant", self.variant, r"[A-Za-z0-9_][A-Za-z0-9_.-]*", "part of a file's name")

    def over(self, *others: ProcessSettings) -> Choice:
        """What these settings decide; then, one after the other, ``others``; then the paper's."""
        found: dict[str, Any] = {}
        for source in (self, *others):
            for field in fields(Choice):
                value = getattr(source, field.name)
                if value is not None:
                    found.setdefault(field.name, value)
        return Choice(**found)


@dataclass(frozen=True)
class Choice:
    """What was decided. The defaults are those of Liu & Soatto, section 4."""

    sampler: str = "lms"
    steps: int = 10
    guidance: float = 7.5
    dtype: str = "float32"
    compare: str = "epsilon"


def _choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value is not None and not (isinstance(value, str) and value in known):
        raise InputError(f"unknown {name} {brief(value)}; choose one of {', '.join(known)}")


def _count(name: str, value: Any) -> None:
    if value is None:
        return
    try:
        good = operator.index(value) >= 1 and not isinstance(value, bool)
    except TypeError:
        good = False
    if not good:
        raise InputError(f"{name} must be a whole number of at least 1, not {brief(value)}")


def _guidance(value: Any) -> None:
    if value is None:
        return
    try:
        good = not isinstance(value, str | bool) and 0 <= float(value) < math.inf
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise InputError(f"guidance must be a number of at least 0, not {brief(value)}")


def _device(value: Any) -> None:
    """A name; whether there is such a device is for torch to say. A torch.device will do, too."""
    if value is None or (isinstance(value, str) and value.isprintable()):
        return
    if type(value).__module__ != "torch":  # which is not imported for this
        raise InputError(f"device must be a name such as cpu or cuda:1, not {brief(value)}")


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise InputError(f"{name} must be True or False, not {brief(value)}")


def _name(name: str, value: Any, pattern: str, what: str) -> None:
    """A name that becomes part of a path or an address."""
    if value is None:
        return
    good = isinstance(value, str) and len(value) <= 200 and re.fullmatch(pattern, value)
    if not good or not value.isprintable():  # lone surrogates are not
        raise InputError(f"{name} must be {what}, not {brief(value)}")

"""What a user may choose about a process, checked before anything heavy is loaded."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, fields
from typing import Any

from ..core.errors import InputError

SAMPLERS = ("lms", "euler", "euler-ancestral", "ddim", "ddpm", "dpm-solver++")
DTYPES = ("float32", "float16", "bfloat16", "float64")


@dataclass(frozen=True)
class ProcessSettings:
    """A model becomes a process by its sampler, steps and guidance; None leaves the choice to it.

    sampler:      one of SAMPLERS; the process's own recommendation, else "lms"
    steps:        T, at least 1 and at most the training steps; recommended, else 10
    guidance:     w in ε_∅ + w (ε_y − ε_∅), at least 0; recommended, else 7.5
    device:       "cpu", "cuda", "cuda:1", "mps"; else "cuda" where there is one, "cpu" otherwise
    dtype:        arithmetic inside the networks, one of DTYPES; else "float32". Latents are
                  float32 whatever it is, or float64 with "float64"
    batch_size:   most rows the network is given at once; else what suits device and latents
    compile:      run the network through ``torch.compile``, its batches padded to ``batch_size``;
                  the first batch takes a minute or so, numbers change by rounding alone
    revision:     branch, tag or commit of a hub model; else its main branch
    variant:      which of several weight files, for example "fp16"
    allow_pickle: accept weights that are not safetensors; unpickling a file can run any code

    Raises InputError where a value cannot be meant.
    """

    sampler: str | None = None
    steps: int | None = None
    guidance: float | None = None
    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = None
    compile: bool = False
    revision: str | None = None
    variant: str | None = None
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        _choice("sampler", self.sampler, SAMPLERS)
        _choice("dtype", self.dtype, DTYPES)
        _count("steps", self.steps)
        _count("batch_size", self.batch_size)
        _guidance(self.guidance)

    def over(self, recommended: ProcessSettings) -> Choice:
        """These settings; where they are silent, what is recommended; else the paper's."""
        found: dict[str, Any] = {}
        for name in (field.name for field in fields(Choice)):
            for source in (recommended, self):
                if getattr(source, name) is not None:
                    found[name] = getattr(source, name)
        return Choice(**found)


@dataclass(frozen=True)
class Choice:
    """What was settled on. The defaults are those of Liu & Soatto, section 4."""

    sampler: str = "lms"
    steps: int = 10
    guidance: float = 7.5
    dtype: str = "float32"


def _choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise InputError(f"unknown {name} {value!r}; choose one of {', '.join(known)}")


def _count(name: str, value: Any) -> None:
    if value is None:
        return
    try:
        good = operator.index(value) >= 1 and not isinstance(value, bool)
    except TypeError:
        good = False
    if not good:
        raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")


def _guidance(value: Any) -> None:
    if value is None:
        return
    try:
        good = math.isfinite(value) and value >= 0
    except TypeError:
        good = False
    if not good:
        raise InputError(f"guidance must be a number of at least 0, not {value!r}")

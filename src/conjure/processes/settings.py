"""What a user may choose about a process, checked before anything heavy is loaded."""

from __future__ import annotations

import dataclasses
import math
import operator
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..core.currency import CURRENCIES
from ..core.errors import InputError
from ..core.text import brief, text_fault

SAMPLERS = ("lms", "euler", "euler-ancestral", "ddim", "ddpm", "dpm-solver++")
SWAPPABLE = ("unet", "transformer", "text_encoder", "vae")  # parts that may come from elsewhere
NATIVE = "native"  # the pipeline's own scheduler with its own configuration
PRESETS: dict[str, dict[str, Any]] = {  # Liu & Soatto, section 4
    "paper": {"sampler": "lms", "steps": 10, "guidance": 7.5, "size": (512, 512)}
}
DTYPES = ("float32", "float16", "bfloat16", "float64", "auto")


@dataclass(frozen=True)
class ProcessSettings:
    """A model becomes a process by its sampler, steps and guidance; None leaves the choice to it.

    sampler:      one of SAMPLERS, or "native": the pipeline's own scheduler with its own
                  configuration; the process's own recommendation, else "lms"
    steps:        T, at least 1 and at most the training steps; recommended, else 10
    guidance:     w in ε_∅ + w (ε_y − ε_∅), at least 0; recommended, else 7.5
    negative_prompt: the text of ε_∅; else what the family subtracts
    size:         (width, height) of a picture in pixels; also "512x768", or one number for a
                  square. Else what the network was made for
    true_cfg_scale: w of ε_∅ + w (ε_y − ε_∅) for a model that is told its guidance besides, or has
                  none (Flux.1), at least 1; else 1, which guides no further
    eta:          η of ddim, from 0 (its ODE, and the default) to 1 (as much noise as ddpm)
    preset:       "paper": lms, T = 10, w = 7.5 and 512x512, whatever the process recommends
    compare:      what is compared, one of CURRENCIES (``core/currency.py``); else "epsilon"
    device:       "cpu", "cuda", "cuda:1", "mps"; else "cuda" where there is one, "cpu" otherwise
    dtype:        arithmetic inside the networks, one of DTYPES; else "float32". "auto" is the
                  fastest that the device computes with natively (``devices.settle_dtype``).
                  Latents are float32 whatever it is, or float64 with "float64"
    batch_size:   most rows the network is given at once; else what suits device and latents
    compile:      run the network through ``torch.compile``, its batches padded to ``batch_size``;
                  the first batch takes a minute or so, numbers change by rounding alone
    offload:      keep on the GPU only the part that works; numbers do not change
    revision:     branch, tag or commit of a hub model; else its main branch
    variant:      which of several weight files, for example "fp16"
    token:        the hub's access token; else HF_TOKEN or what `hf auth login` stored. It is never
                  printed, and never part of a signature
    offline:      ask no hub: what is not cached whole is refused. HF_HUB_OFFLINE does the same
    config:       of a single file of weights, the folder or hub id that says what it is
    unet, transformer, text_encoder, vae: a folder to read that part from, in place of the
                  process's own: the part's folder, or a pipeline's
    lora:         adapters to add, each "ID" or "ID:scale": a file, a folder or a hub id
    allow_pickle: accept weights that are not safetensors; unpickling a file can run any code
    allow_code:   import and call the MODULE:CALLABLE that is given as the process, though no
                  installed package registers it

    Raises InputError for a value that makes no sense.
    """

    sampler: str | None = None
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    size: tuple[int, int] | str | int | None = None
    true_cfg_scale: float | None = None
    eta: float | None = None
    preset: str | None = None
    compare: str | None = None
    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = None
    compile: bool = False
    offload: bool = False
    revision: str | None = None
    variant: str | None = None
    token: str | None = dataclasses.field(default=None, repr=False)
    offline: bool = False
    config: str | os.PathLike[str] | None = None
    unet: str | os.PathLike[str] | None = None
    transformer: str | os.PathLike[str] | None = None
    text_encoder: str | os.PathLike[str] | None = None
    vae: str | os.PathLike[str] | None = None
    lora: Sequence[str] = ()
    allow_pickle: bool = False
    allow_code: bool = False

    def __post_init__(self) -> None:
        _choice("sampler", self.sampler, (*SAMPLERS, NATIVE))
        _choice("dtype", self.dtype, DTYPES)
        _choice("compare", self.compare, CURRENCIES)
        _count("steps", self.steps)
        _count("batch_size", self.batch_size)
        _choice("preset", self.preset, tuple(PRESETS))
        _number("guidance", self.guidance)
        _number("eta", self.eta, most=1)
        _number("true_cfg_scale", self.true_cfg_scale, least=1)
        object.__setattr__(self, "size", _size(self.size))
        self._settle_preset()
        if self.eta and self.sampler not in ("ddim", NATIVE, None):
            raise InputError(f"eta goes with the sampler ddim, not with {self.sampler}")
        _negative(self.negative_prompt)
        _device(self.device)
        _flag("compile", self.compile)
        _flag("allow_pickle", self.allow_pickle)  # "no" is true to Python, and would be a yes
        _flag("allow_code", self.allow_code)
        _flag("offload", self.offload)
        if self.offload and self.compile:
            raise InputError("offload moves what compile has compiled: leave one of them out")
        _flag("offline", self.offline)
        if self.token is not None and not (isinstance(self.token, str) and self.token.isascii()):
            raise InputError("token must be the text of an access token")  # which is not repeated
        _name("revision", self.revision, r"[^\s\x00-\x1f\\]+", "a branch, tag or commit")
        for part in ("config", *SWAPPABLE):
            _folder(part, getattr(self, part))
        object.__setattr__(self, "lora", _loras(self.lora))
        _name("variant", self.variant, r"[A-Za-z0-9_][A-Za-z0-9_.-]*", "part of a file's name")

    def _settle_preset(self) -> None:
        for name, value in PRESETS.get(self.preset or "", {}).items():
            given = getattr(self, name)
            if given is not None and given != value:
                raise InputError(
                    f"preset {self.preset!r} is {name} {value}, and {brief(given)} was asked for:"
                    " leave one of the two out"
                )
            object.__setattr__(self, name, value)

    def over(self, *others: ProcessSettings | Choice) -> Choice:
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
    negative_prompt: str | None = None
    size: tuple[int, int] | None = None
    true_cfg_scale: float = 1.0
    eta: float = 0.0


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


def _number(name: str, value: Any, most: float = math.inf, least: float = 0) -> None:
    if value is None:
        return
    try:
        good = not isinstance(value, str | bool) and least <= float(value) <= most
        good = good and float(value) < math.inf
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        bound = f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise InputError(f"{name} must be a number {bound}, not {brief(value)}")


def _size(value: Any) -> tuple[int, int] | None:
    """(width, height) of whichever way a size was written; InputError for what is none."""
    if value is None:
        return None
    sides: Any = value
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", value.strip().lower())
        sides = [int(side) for side in found.groups()] if found else []
    elif not isinstance(value, tuple | list):
        sides = [value, value]
    try:
        whole = [operator.index(side) for side in sides if not isinstance(side, bool)]
    except TypeError:
        whole = []
    if len(whole) != 2 or len(sides) != 2 or not all(0 < side < 10**6 for side in whole):
        raise InputError(
            f"size must be WIDTHxHEIGHT in pixels, such as 512x768, not {brief(value)}"
        )
    return whole[0], whole[1]


def _negative(text: Any) -> None:
    if text is None:
        return
    fault = "must be a str" if not isinstance(text, str) else text and text_fault(text)
    if fault:
        raise InputError(f"negative_prompt {fault}, not {brief(text)}")


def _device(value: Any) -> None:
    """A name; whether there is such a device is for torch to say. A torch.device will do, too."""
    if value is None or (isinstance(value, str) and value.isprintable()):
        return
    if type(value).__module__ != "torch":  # which is not imported for this
        raise InputError(f"device must be a name such as cpu or cuda:1, not {brief(value)}")


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise InputError(f"{name} must be True or False, not {brief(value)}")


def _folder(name: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise InputError(f"{name} must be the path of a folder, not {brief(value)}")


def _loras(value: Any) -> tuple[str, ...]:
    """The adapters as a tuple of texts; one text is one adapter."""
    given = [value] if isinstance(value, str | os.PathLike) else value
    if not isinstance(given, Sequence):
        raise InputError(f'lora must be a list of "ID" or "ID:scale", not {brief(value)}')
    for lora in given:
        if not isinstance(lora, str | os.PathLike) or not os.fspath(lora):
            raise InputError(f'a lora is "ID" or "ID:scale", not {brief(lora)}')
        if not math.isfinite(lora_scale(str(lora))[1]):
            raise InputError(f"lora {brief(lora)}: its scale must be a finite number")
    return tuple(map(str, given))


def lora_scale(lora: str) -> tuple[str, float]:
    """ "ID:scale" → the id and its scale, by default 1.

    >>> lora_scale("a/b:0.5"), lora_scale("C:/style.safetensors")
    (('a/b', 0.5), ('C:/style.safetensors', 1.0))
    """
    name, _, scale = lora.rpartition(":")
    try:
        return (name, float(scale)) if name else (lora, 1.0)
    except ValueError:
        return lora, 1.0


def _name(name: str, value: Any, pattern: str, what: str) -> None:
    """A name that becomes part of a path or an address."""
    if value is None:
        return
    good = isinstance(value, str) and len(value) <= 200 and re.fullmatch(pattern, value)
    if not good or not value.isprintable():  # lone surrogates are not
        raise InputError(f"{name} must be {what}, not {brief(value)}")

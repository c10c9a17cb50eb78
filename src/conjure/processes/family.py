"""What a family of models is: the record that its file holds, and what its process is built from.

A *family* is all models of one diffusers pipeline class. Everything that finds, fetches, checks,
hashes and reads models asks this record and knows no family by name. See ``docs/families.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .settings import Choice, ProcessSettings

if TYPE_CHECKING:
    import torch

    from .base import PipelineProcess


_ABSENT = [None, None]  # how diffusers saves a part that is None


@dataclass(frozen=True)
class Part:
    """One part of a pipeline: a folder of its own, and an entry in ``model_index.json``.

    package: the module that exports the part's class, such as ``diffusers``; code of a model's
             own is never run
    classes: the part's class is one of these, or derived from one of them
    network: whether the part has weights
    optional: whether a model may say that it has no such part: ``[null, null]``, as diffusers saves
             a None. A part that is said to be there is never left out
    read_by: the class that reads it, where folders name a relative of it too
    """

    package: Any
    classes: tuple[Any, ...]
    network: bool = True
    optional: bool = False
    read_by: Any = None


@dataclass(frozen=True)
class Family:
    """All models of one pipeline class.

    pipeline:    the class; its name is the ``_class_name`` of ``model_index.json``
    parts:       name → Part, all of them needed but the optional ones
    process:     (opened, device, settings) → the process
    unused:      parts that a folder may have and that are never read
    options:     (``model_index.json``) → further arguments of the pipeline class
    recommended: sampler, steps and guidance where neither the user nor ``conjure.json`` says; or
                 (folder) → these, where they depend on the model
    advice:      what to do where a folder's parts are not those of the family: the end of the line
                 that refuses it
    """

    pipeline: Any
    parts: Mapping[str, Part]
    process: Callable[[Opened, torch.device, ProcessSettings], PipelineProcess]
    unused: tuple[str, ...] = ()
    options: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda index: {}
    recommended: ProcessSettings | Callable[[Path], ProcessSettings] = ProcessSettings()
    advice: str = "use a model of this class with its usual parts"

    @property
    def name(self) -> str:
        """The name of the pipeline class."""
        return str(self.pipeline.__name__)

    def recommends(self, folder: Path) -> ProcessSettings:
        """The settings that the family recommends for the model in a folder."""
        found = self.recommended
        return found if isinstance(found, ProcessSettings) else found(folder)

    def of(self, index: Mapping[str, Any]) -> Family:
        """The family with the parts that a model has, by its ``model_index.json``."""
        absent = [
            name
            for name, part in self.parts.items()
            if part.optional and index.get(name, _ABSENT) in (None, _ABSENT)
        ]
        kept = {name: part for name, part in self.parts.items() if name not in absent}
        return replace(self, parts=kept, unused=(*self.unused, *absent))

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of the parts that have weights."""
        return tuple(name for name, part in self.parts.items() if part.network)


@dataclass(frozen=True)
class Opened:
    """A pipeline on the CPU, in its dtype, with its name and the settings that were decided.

    pipeline: of the family's class; diffusers does not type its parts
    revision: a commit of the hub, or a hash of the folder
    """

    pipeline: Any
    name: str
    revision: str
    choice: Choice
    family: Family

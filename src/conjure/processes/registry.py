"""Which family reads a pipeline: found by the class that ``model_index.json`` names.

Ours are listed here. Others come from packages, by the entry-point group ``conjure.families``
(name: the pipeline class; value: ``module:RECORD``), or from ``register_family``.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from ..core.errors import InputError
from ..core.text import brief, first_line
from .family import Family
from .folders import read_object

GROUP = "conjure.families"
_OURS = {  # pipeline class → file:record
    "StableDiffusionPipeline": "stable_diffusion:FAMILY",
    "StableDiffusion3Pipeline": "stable_diffusion_3:FAMILY",
    "StableDiffusionXLPipeline": "stable_diffusion_xl:FAMILY",
    "LatentConsistencyModelPipeline": "lcm:FAMILY",
    "AudioLDM2Pipeline": "audioldm2:FAMILY",
    "PixArtAlphaPipeline": "pixart:ALPHA",
    "PixArtSigmaPipeline": "pixart:SIGMA",
    "FluxPipeline": "flux:FAMILY",
    "Flux2KleinPipeline": "flux2_klein:FAMILY",
    "QwenImagePipeline": "qwen_image:FAMILY",
    "SanaPipeline": "sana:FAMILY",
    "ZImagePipeline": "z_image:FAMILY",
}
# Classes of which no family can be, and why.
_NEVER = {
    "StableDiffusionXLImg2ImgPipeline": "which starts from a finished picture, as SDXL's refiner"
    " does: use the base model"
}
_REGISTERED: dict[str, Family] = {}


def register_family(family: Family) -> Family:
    """Add a family. Raises InputError where its pipeline class has one already."""
    if family.name in family_names():
        raise InputError(f"there is a family for {family.name} already")
    _REGISTERED[family.name] = family
    return family


def family_names() -> list[str]:
    """The pipeline classes of which a family is known; none is imported for it."""
    return sorted({*(entry.name for entry in _entries()), *_REGISTERED})


def find_family(index: Path, source: str) -> Family:
    """``model_index.json`` → the family of its class; InputError where none is known.

    source: what the user calls the model, for the message
    """
    found = read_object(index, f"{source} is no diffusers pipeline: it has no model_index.json")
    name = found.get("_class_name")
    if isinstance(name, str):
        if name in _REGISTERED:
            return _REGISTERED[name]
        entries = [entry for entry in _entries() if entry.name == name]
        if len(entries) > 1:
            places = " and ".join(entry.value for entry in entries)
            raise InputError(f"{source} is a {name}, and two families read it ({places}): keep one")
        if entries:
            return _load(entries[0])
        if name in _NEVER:
            raise InputError(f"{source} is a {name}, {_NEVER[name]}")
    raise InputError(
        f"{source} is a {name if isinstance(name, str) else brief(name):.100}; conjure reads"
        f" {', '.join(family_names())}"
    )


def _entries() -> list[EntryPoint]:
    ours = [EntryPoint(name, f"{__package__}.{place}", GROUP) for name, place in _OURS.items()]
    return [*ours, *entry_points(group=GROUP)]


def _load(entry: EntryPoint) -> Family:
    """The record that an entry point names; whatever goes wrong in its module is an InputError."""
    from .quiet import quiet  # which imports diffusers

    try:
        with quiet():
            found = entry.load()
    except Exception as error:
        raise InputError(
            f"the family of {entry.name} ({entry.value}) cannot be loaded: {first_line(error)}"
        ) from error
    if not isinstance(found, Family) or found.name != entry.name:
        raise InputError(
            f"{entry.value} is no family of {entry.name}: it should be a Family of that class"
        )
    return found

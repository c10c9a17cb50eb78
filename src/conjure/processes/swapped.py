"""Parts that the user puts in place of a pipeline's own: a fine-tuned denoiser, another encoder.

What can be seen from configurations alone is refused before weights are read. The trial run of the
loaded process finds the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..core.text import brief
from .family import Family
from .folders import part_weights, pickle_refusal, read_object
from .hashing import hash_files
from .settings import SWAPPABLE, ProcessSettings

# What the two configurations of a part must agree on: the other parts are made for it.
_AGREE = {
    "unet": ("in_channels", "out_channels"),
    "transformer": ("in_channels", "out_channels"),
    "vae": ("latent_channels",),
    "text_encoder": ("vocab_size",),
}


@dataclass(frozen=True)
class Swapped:
    """A part from another folder: its class, and what its bytes add to the revision."""

    folder: Path
    kind: Any
    revision: str


@dataclass(frozen=True)
class Elsewhere:
    """What is not read from the pipeline's own folder.

    swapped: parts from other folders
    file:    a single file that holds networks, or None
    """

    swapped: Mapping[str, Swapped] = field(default_factory=dict)
    file: Path | None = None


def check_folders(settings: ProcessSettings) -> None:
    """Refuse a folder that is not there, before anything is fetched."""
    for part in SWAPPABLE:
        given = getattr(settings, part)
        if given is not None and not Path(given).expanduser().is_dir():
            raise InputError(f"{part}: there is no folder {given}")


def find_swapped(
    base: Path, source: str, family: Family, settings: ProcessSettings
) -> dict[str, Swapped]:
    """part → what takes its place in the pipeline of ``base``.

    Raises InputError for a part that the family does not have, a folder that does not hold it, and
    configurations that do not fit together.
    """
    asked = {part: getattr(settings, part) for part in SWAPPABLE}
    return {
        part: _find(base, source, family, settings, part)
        for part, given in asked.items()
        if given is not None
    }


def revision_of(swapped: Mapping[str, Swapped]) -> str:
    """What the parts add to a revision: "+unet-" and 12 digits of their content."""
    return "".join(f"+{part}-{found.revision}" for part, found in sorted(swapped.items()))


def _find(base: Path, source: str, family: Family, settings: ProcessSettings, part: str) -> Swapped:
    given = str(getattr(settings, part))
    if part not in family.networks:
        raise InputError(
            f"{source} has no {part}: a {family.name} has {', '.join(family.networks)}"
        )
    folder = Path(given).expanduser()
    if (folder / part / "config.json").is_file():  # a whole pipeline was named
        _check_prediction(base, source, folder, given, part)
        folder = folder / part
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{given} is no {part}: give a folder with its config.json, or that of a pipeline"
        )
    config, own = read_object(folder / "config.json"), read_object(base / part / "config.json")
    kind = _class_of(config, given, family, part)
    for name in _AGREE[part]:
        if name in own and config.get(name) != own[name]:
            raise InputError(
                f"{given} does not fit {source}: its {part} has {name} {brief(config.get(name))},"
                f" and {source} has {brief(own[name])}"
            )
    if not part_weights(folder.parent, folder.name, settings)[1]:
        if any(folder.glob("*.bin")):
            raise InputError(pickle_refusal(given, settings))
        raise InputError(f"{given} has no weights of a {part}")
    content = hash_files(folder, (path for path in folder.rglob("*") if path.name[0] != "."))
    return Swapped(folder, kind, content.removeprefix("sha256-"))


def _class_of(config: Mapping[str, Any], given: str, family: Family, part: str) -> Any:
    """The class that a configuration names; InputError where the family does not allow it."""
    expected = family.parts[part]
    named = config.get("_class_name") or (config.get("architectures") or [None])[0]
    plain = isinstance(named, str) and named.isidentifier()
    found = getattr(expected.package, named, None) if plain else None
    if isinstance(found, type) and issubclass(found, expected.classes):
        return found
    names = " or ".join(kind.__name__ for kind in expected.classes)
    raise InputError(
        f"{given} is a {brief(named)}, and the {part} of a {family.name} is one of"
        f" {expected.package.__name__}'s own classes ({names})"
    )


def _check_prediction(base: Path, source: str, other: Path, given: str, part: str) -> None:
    """Refuse a denoiser that predicts something else: the base's scheduler would misread it."""
    if part not in ("unet", "transformer"):
        return
    file = Path("scheduler") / "scheduler_config.json"
    if not ((base / file).is_file() and (other / file).is_file()):
        return
    own, its = (
        read_object(folder / file).get("prediction_type", "epsilon") for folder in (base, other)
    )
    if own != its:
        raise InputError(
            f"{given} predicts {brief(its)} and {source} {brief(own)}: load {given} itself, with"
            f" the other parts of {source}"
        )

"""LoRA files: where an adapter is, what it is called in a revision, and which are not read."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, errors, hf_hub_download, snapshot_download
from huggingface_hub.utils._validators import validate_repo_id
from safetensors import safe_open

from ..core.errors import InputError
from ..core.text import first_line
from .hashing import hash_file
from .quiet import quiet_hub
from .settings import ProcessSettings, lora_scale

_USUAL = "pytorch_lora_weights.safetensors"  # what diffusers calls the file


@dataclass(frozen=True)
class Lora:
    """An adapter: what the user called it, its file, its scale, and 12 digits of its content."""

    name: str
    file: Path
    scale: float
    content: str


def find_loras(settings: ProcessSettings) -> list[Lora]:
    """The adapters of the settings, fetched if need be; those of scale 0, too.

    Raises InputError for one that is not there, or that is not read.
    """
    if settings.lora and importlib.util.find_spec("peft") is None:
        raise InputError("a LoRA needs the package peft: pip install 'conjure[lora]'")
    found = []
    for given in settings.lora:
        name, scale = (given, 1.0) if Path(given).exists() else lora_scale(given)
        file = _find_file(name, settings)
        _check_file(name, file)
        found.append(Lora(name, file, scale, hash_file(file)))
    return found


def revision_of_loras(loras: Sequence[Lora]) -> str:
    """What the adapters add to a revision: "+0.8*lora-" and their content, in any order the same.

    Equal files count once, with the sum of their scales, as they do in the weights.
    """
    scales: dict[str, float] = defaultdict(float)
    for lora in loras:
        scales[lora.content] += lora.scale
    return "".join(
        f"+{scale:.12g}*lora-{content}" for content, scale in sorted(scales.items()) if scale != 0
    )


def _find_file(name: str, settings: ProcessSettings) -> Path:
    place = Path(name).expanduser()
    if place.is_dir():
        return place / _only(name, {file.name for file in place.glob("*.safetensors")})
    if place.is_file():
        return place.resolve() if place.suffix != ".safetensors" else place
    if name[0] in "./~\\" or name.endswith((".safetensors", ".bin", ".pt")) and name.count("/") < 2:
        raise InputError(f"there is no LoRA {name}: give a safetensors file, a folder or a hub id")
    return _fetch(name, settings)


def _fetch(name: str, settings: ProcessSettings) -> Path:
    """OWNER/NAME or OWNER/NAME/FILE of the hub → the file in the hub's cache."""
    from .hub import Sought, explain, reachable

    owner, _, rest = name.partition("/")
    own, _, inside = rest.partition("/")
    repo = f"{owner}/{own}" if rest else owner
    sought = Sought("LoRA", "safetensors file", "a file", "latent-consistency/lcm-lora-sdv1-5")
    try:
        validate_repo_id(repo)
        with quiet_hub():
            cached_only = not reachable(settings)
            asked: dict[str, Any] = {"token": settings.token, "local_files_only": cached_only}
            return Path(hf_hub_download(repo, inside or _file_of(name, repo, asked), **asked))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"LoRA: {explain(error, repo, settings, sought)}") from error


def _file_of(name: str, repo: str, asked: dict[str, Any]) -> str:
    """The file of a hub id that names none."""
    try:
        hf_hub_download(repo, _USUAL, **asked)
        return _USUAL
    except errors.EntryNotFoundError:
        pass  # it has another name
    if not asked["local_files_only"]:
        listed = HfApi(token=asked["token"]).list_repo_files(repo)
        return _only(name, {file for file in listed if file.endswith(".safetensors")})
    folder = Path(snapshot_download(repo, local_files_only=True))
    return _only(name, {file.name for file in folder.glob("*.safetensors")})


def _only(name: str, files: set[str]) -> str:
    """diffusers' own name for the file, else the only one; InputError where that is none."""
    if _USUAL in files:
        return _USUAL
    if len(files) == 1:
        return next(iter(files))
    if not files:
        raise InputError(f"LoRA {name} has no safetensors file; pickled ones are not read")
    raise InputError(
        f"LoRA {name} has {len(files)} safetensors files: write which, such as"
        f" {name.rstrip('/')}/{min(files)}"
    )


def _check_file(name: str, file: Path) -> None:
    """Refuse what is no safetensors file, and adapters of a kind that diffusers reads in part."""
    if file.suffix != ".safetensors":
        raise InputError(f"LoRA {name} is no .safetensors file; pickled ones can run any code")
    keys = matrices(file, name)
    if any("dora_scale" in key for key in keys):
        raise InputError(f"LoRA {name} is a DoRA (dora_scale), which diffusers reads in part only")
    if not keys:
        raise InputError(f"LoRA {name} holds no matrices")


def matrices(file: Path, name: str = "") -> list[str]:
    """The names of the tensors of a file, without the single numbers."""
    try:
        with safe_open(file, "pt") as opened:
            return [key for key in opened.keys() if len(opened.get_slice(key).get_shape()) > 0]  # noqa: SIM118
    except Exception as error:  # SafetensorError is a plain Exception
        raise InputError(f"LoRA {name} cannot be read: {first_line(error)}") from error

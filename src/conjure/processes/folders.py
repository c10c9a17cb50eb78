"""A pipeline's folder: whether it is one, what it recommends, and which weights it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from .settings import ProcessSettings

_NETWORKS = ("unet", "vae", "text_encoder")
_PARTS = (*_NETWORKS, "tokenizer", "scheduler")
_BLOCK = 2**20


def check_class(index: Path, source: str) -> None:
    """Refuse what is not a StableDiffusionPipeline by its model_index.json."""
    found = _json(index, f"{source} is no diffusers pipeline: it has no model_index.json")
    kind = found.get("_class_name")
    if kind != "StableDiffusionPipeline":
        raise InputError(
            f"{source} is a {kind}; conjure reads a StableDiffusionPipeline (Stable Diffusion"
            " 1.x, 2.x and fine-tunes of them)"
        )


def check_weights(folder: Path, source: str, settings: ProcessSettings) -> None:
    """Refuse a folder that lacks a part, and pickled weights where they were not asked for."""
    gone = missing(folder, settings)
    if not gone:
        return
    if not settings.allow_pickle and any((folder / gone).glob("*.bin")):
        raise InputError(pickle_refusal(source, settings))
    raise InputError(
        f"{source} is incomplete: it has no {gone}; complete it, or name a variant it has"
    )


def missing(folder: Path, settings: ProcessSettings) -> str | None:
    """What the folder lacks to be loaded, or None. A variant may be of one network alone."""
    formats = ("safetensors", "bin") if settings.allow_pickle else ("safetensors",)
    found = {part: [path.name for path in (folder / part).glob("*")] for part in _PARTS}
    varied = False
    for part in _NETWORKS:
        chosen = [n for n in found[part] if _is_weights(n, formats, settings.variant)]
        varied = varied or bool(chosen)
        plain = [n for n in found[part] if _is_weights(n, formats, None)]
        found[part] = chosen + plain
    absent = next((part for part in _PARTS if not found[part]), None)
    return absent if absent or varied else f"weights of variant {settings.variant}"


def _is_weights(name: str, formats: tuple[str, ...], variant: str | None) -> bool:
    """Of this variant: model.safetensors, model.fp16.safetensors, model.fp16-00001-of-2.bin …"""
    rest = name.partition(".")[2]
    form = rest.rpartition(".")[2]
    return form in formats and rest.startswith(variant or form)


def pickle_refusal(source: str, settings: ProcessSettings) -> str:
    """Why pickled weights are not read, in one line."""
    of = f" as variant {settings.variant}" if settings.variant else ""
    return (
        f"{source} has no complete set of safetensors weights{of}; pickled ones can run any code:"
        " pass allow_pickle=True if you trust their author"
    )


def content_hash(folder: Path) -> str:
    """A short name for what a pipeline's folder holds: every file of its parts."""
    return hash_files(folder, [p for part in _PARTS for p in (folder / part).rglob("*")])


def hash_files(folder: Path, paths: Iterable[Path]) -> str:
    """A short name for files below ``folder``: "sha256-" and 12 hexadecimal digits.

    Over their names, sizes and bytes; folders among them are passed over. Of a file above 64 MiB
    only 64 evenly spaced blocks of 1 MiB are read, so that 4 GB cost a tenth of a second or so:
    training changes weights everywhere, and this is to tell models apart, not to authenticate.
    """
    digest = sha256()
    for path in sorted(p for p in paths if p.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        step = max(_BLOCK, size // 64)
        with path.open("rb") as file:
            for start in range(0, size, step):
                file.seek(start)
                digest.update(file.read(_BLOCK))
    return f"sha256-{digest.hexdigest()[:12]}"


def read_card(folder: Path) -> dict[str, Any]:
    """conjure.json: the name, revision and recommended settings that a folder may carry."""
    path = folder / "conjure.json"
    return _json(path, "") if path.exists() else {}


def _json(path: Path, absent: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(absent) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} should hold a JSON object")
    return found

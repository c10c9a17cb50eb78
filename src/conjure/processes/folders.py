"""A pipeline's folder: what it recommends, which weights it holds, and what it lacks.

Nothing here loads a model. All of it is checked before diffusers or transformers see the folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..core.text import brief
from .family import Family
from .hashing import hash_files
from .settings import ProcessSettings

# What diffusers and transformers call the weights of one model.
_STEMS = {
    "safetensors": ("model", "diffusion_pytorch_model"),
    "bin": ("pytorch_model", "diffusion_pytorch_model"),
}


def check_weights(folder: Path, source: str, family: Family, settings: ProcessSettings) -> None:
    """Refuse a folder that lacks a part, and weights that may not be read."""
    for part in family.networks:
        part_weights(folder, part, settings)
    gone = missing(folder, family, settings)
    if not gone:
        return
    if not settings.allow_pickle and any((folder / gone).glob("*.bin")):
        raise InputError(pickle_refusal(source, settings))
    raise InputError(
        f"{source} is incomplete: it has no {gone}; complete it, or name a variant it has"
    )


def missing(folder: Path, family: Family, settings: ProcessSettings) -> str | None:
    """What the folder lacks to be loaded, or None. A variant may be of one network alone."""
    varied = settings.variant is None
    for part in family.parts:
        if part not in family.networks:
            if not any((folder / part).glob("*")):
                return part
            continue
        variant, files = part_weights(folder, part, settings)
        varied = varied or variant is not None
        if not files:
            return part
    return None if varied else f"weights of variant {settings.variant}"


def part_weights(
    folder: Path, part: str, settings: ProcessSettings
) -> tuple[str | None, list[Path]]:
    """→ the variant in which a part is there, or None for the plain one, and its weight files."""
    for variant in dict.fromkeys((settings.variant, None)):
        found = weight_files(folder / part, variant, settings.allow_pickle)
        if found:
            return variant, found
    return None, []


def weight_files(
    folder: Path, variant: str | None = None, allow_pickle: bool = False
) -> list[Path]:
    """Every file of weights that is opened for the model in ``folder``; none where it has none.

    folder: of one model, as diffusers or transformers saves it; shards are found by their index

    Safetensors go before pickles, which are listed with ``allow_pickle`` only. A file may be a
    link to a file elsewhere. Raises InputError where an index or a configuration names a file that
    is outside, missing, or a pickle, and for a link to what is no such file.
    """
    if (folder / "adapter_config.json").exists():  # names other weights, anywhere
        raise InputError(f"{folder} holds an adapter; merge it into the weights it belongs to")
    config = folder / "config.json"
    if config.exists() and "transformers_weights" in read_object(config):
        raise InputError(f"{config} names its own file of weights (transformers_weights)")
    for form in ("safetensors", "bin") if allow_pickle else ("safetensors",):
        found = [path for stem in _STEMS[form] for path in _of_stem(folder, stem, form, variant)]
        for path in found:
            _check_link(path)
        if found:
            return found
    return []


def _of_stem(folder: Path, stem: str, form: str, variant: str | None) -> Iterator[Path]:
    """model.safetensors, model.fp16.safetensors, and the shards that an index lists."""
    single = folder / ".".join([stem, *([variant] if variant else []), form])
    if single.exists() or single.is_symlink():
        yield single
    indexes = {f"{stem}.{form}.index.json"}
    if variant:  # two habits of diffusers
        indexes = {f"{stem}.{form}.index.{variant}.json", f"{stem}.{variant}.{form}.index.json"}
    for index in sorted(folder / name for name in indexes):
        if index.exists():
            yield index
            yield from _shards(index, form)


def _shards(index: Path, form: str) -> Iterator[Path]:
    shards = read_object(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise InputError(f"{index} lists no weights: it should have a weight_map")
    names = {name if isinstance(name, str) else brief(name) for name in shards.values()}
    for name in sorted(names):
        if not name.endswith(f".{form}"):
            raise InputError(
                f"{index} names {name!r:.80}, which is no .{form} file; pickled weights can run"
                " any code, and are read from pickled checkpoints alone"
            )
        if Path(name).name != name or "\\" in name or name.startswith("."):
            raise InputError(
                f"{index} names {name!r:.80}: shards lie beside it, and are not hidden"
            )
        if not (index.parent / name).is_file():
            raise InputError(f"{index} names {name!r:.80}, which is not there")
        yield index.parent / name


def _check_link(path: Path) -> None:
    """Refuse a link to what is no regular file of its own kind.

    A link is opened by its own name, as safetensors where that says so, and hashed by what it
    leads to. The hub's cache links to files without an ending.
    """
    if not path.is_symlink():
        return
    real = path.resolve()
    if not real.is_file():
        raise InputError(f"{path} is a link to {real}, which is no file that is there")
    if real.suffix not in (path.suffix, ""):
        raise InputError(f"{path} is a link to {real}, which is no {path.suffix} file")


def pickle_refusal(source: str, settings: ProcessSettings) -> str:
    """Why pickled weights are not read, in one line."""
    of = f" as variant {settings.variant}" if settings.variant else ""
    return (
        f"{source} has no complete set of safetensors weights{of}; pickled ones can run any code:"
        " allow_pickle=True (--allow-pickle) reads them, if you trust their author"
    )


def content_hash(folder: Path, parts: Iterable[str]) -> str:
    """A short name for what a pipeline's folder holds: its index and every file of its parts.

    Hidden files are left out: desktops and download tools leave some behind.
    """
    files = [p for part in parts for p in (folder / part).rglob("*")]
    seen = [p for p in files if not any(n.startswith(".") for n in p.relative_to(folder).parts)]
    return hash_files(folder, [folder / "model_index.json", *seen])


def read_card(folder: Path) -> dict[str, Any]:
    """conjure.json: the name and recommended settings that a folder may carry."""
    path = folder / "conjure.json"
    return read_object(path) if path.exists() else {}


def read_object(path: Path, absent: str = "") -> dict[str, Any]:
    """The JSON object in a file; InputError, in one line, for whatever else is there."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(absent or f"{path} is not there") from error
    except RecursionError as error:
        raise InputError(f"{path} cannot be read: it is nested too deeply") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} should hold a JSON object")
    return found

"""Find every file of a model's folder that will be opened, check that it may be, and hash it.

Pickled weights can run code when they are read. A folder can name one in many places: in an index
of shards, in a module of sentence-transformers, in a configuration. So every file that will be
opened is found beforehand, by the rules of the libraries that open it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

from ..core.errors import InputError
from ..processes.folders import pickle_refusal
from .settings import BaselineSettings

MODULES = "modules.json"  # a folder with this file is a sentence-transformers model
SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"

Kind = Literal["network", "weights", "none"]

# The modules that are run, and what each reads: a network of transformers, its own weights, or
# only settings. Other modules may have other files or their own code.
_KINDS: dict[str, Kind] = {
    "Transformer": "network",
    "Dense": "weights",
    "LayerNorm": "weights",
    "WeightedLayerPooling": "weights",
    "StaticEmbedding": "weights",
    "Pooling": "none",
    "Normalize": "none",
    "Dropout": "none",
}
_TYPE = re.compile(r"sentence_transformers(\.\w+)*\.(?P<name>\w+)", re.ASCII)

_OBJECTS = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json"),
)

# The arguments that a Transformer module's configuration may pass to transformers. None of them
# opens another file.
_ARGUMENTS = re.compile(r"(model|tokenizer|processor|config)_(args|kwargs)")
_HARMLESS = {"trust_remote_code", "torch_dtype", "dtype", "add_pooling_layer", "model_max_length"}


@dataclass(frozen=True)
class Module:
    """One module of a sentence-transformers model."""

    folder: Path
    type: str

    @property
    def kind(self) -> Kind | None:
        """What it reads; None for a module that is not run here."""
        found = _TYPE.fullmatch(self.type)
        return _KINDS.get(found["name"]) if found else None


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises InputError if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def read_modules(folder: Path, source: str) -> tuple[Module, ...]:
    """The modules of a sentence-transformers model, in order; empty for any other model."""
    path = folder / MODULES
    if not path.exists():
        return ()
    found = read_json(path)
    if not isinstance(found, list) or not found or not all(isinstance(m, dict) for m in found):
        raise InputError(f"{source}: {MODULES} should hold a list of modules")
    chain = []
    for each in found:
        if not isinstance(each.get("type"), str) or not isinstance(each.get("path"), str):
            raise InputError(f"{source}: every module in {MODULES} needs a type and a path")
        chain.append(Module(inside(folder, each["path"], source), each["type"]))
    return tuple(chain)


def chain_files(chain: Iterable[Module], source: str, settings: BaselineSettings) -> list[Path]:
    """The weight files of all modules. Raises InputError for an unknown module or a pickle."""
    found: list[Path] = []
    for module in chain:
        if module.kind is None:
            raise InputError(
                f"{source} has a module {module.type!r:.80}, which is not one of those run here"
                f" ({', '.join(_KINDS)} of sentence-transformers); name a pooling to use its"
                " transformer alone, as in encoder=FOLDER:mean"
            )
        if module.kind == "network":
            _check_module(module.folder, source)
            found += network_files(module.folder, source, settings)
        elif module.kind == "weights":
            found.append(_module_file(module.folder, source, settings))
    return found


def network_files(folder: Path, source: str, settings: BaselineSettings) -> list[Path]:
    """The weight files that transformers opens in a folder, and the index that names them.

    Raises InputError if there are none, if one lies outside the folder, and for a pickle unless
    ``allow_pickle`` is set.
    """
    _check_config(folder, source)
    forms = [SAFE, *([PICKLED] if settings.allow_pickle else [])]
    for form in forms:
        whole, index = folder / form, folder / f"{form}.index.json"
        if whole.is_file():
            return [whole]
        if index.is_file():
            return [index, *_shards(index, source, settings)]
    if any(folder.glob("*.bin")) and not settings.allow_pickle:
        raise InputError(pickle_refusal(source, settings.of_process()))
    raise InputError(f"{source} is incomplete: it has no weights ({SAFE} in {folder.name})")


def inside(folder: Path, name: str, source: str) -> Path:
    """The path of a name within a model's folder. Raises InputError if it leads outside.

    Only the name is checked: in the hub's cache, the files are links to another folder.
    """
    windows, posix = PureWindowsPath(name), PurePosixPath(name.replace("\\", "/"))
    if windows.drive or posix.is_absolute() or ".." in posix.parts or not name.isprintable():
        raise InputError(f"{source} names {name!r:.80}, which lies outside its folder")
    return folder / posix


def fingerprint(folder: Path, paths: Iterable[Path]) -> str:
    """ "sha256-" and 12 digits: a hash of the names and all bytes of files in ``folder``."""
    digest = hashlib.sha256()
    for path in sorted({path for path in paths if path.is_file()}):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(
            f"{path.relative_to(folder).as_posix()}\0{content}\0".encode(errors="replace")
        )
    return f"sha256-{digest.hexdigest()[:12]}"


def _shards(index: Path, source: str, settings: BaselineSettings) -> list[Path]:
    found = read_json(index)
    named = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(named, dict) or not named:
        raise InputError(f"{source}: {index.name} names no weights (it has no weight_map)")
    shards = []
    for name in sorted({str(name) for name in named.values()}):
        path = inside(index.parent, name, source)
        if not settings.allow_pickle and not name.endswith(".safetensors"):
            raise InputError(
                f"{index.name} names {name!r:.80}: {pickle_refusal(source, settings.of_process())}"
            )
        if not path.is_file():
            raise InputError(f"{source} is incomplete: {index.name} names {name}, which is missing")
        shards.append(path)
    return shards


def _module_file(folder: Path, source: str, settings: BaselineSettings) -> Path:
    """The weight file of a sentence-transformers module."""
    if (folder / SAFE).is_file():
        return folder / SAFE
    if not (folder / PICKLED).is_file():
        raise InputError(f"{source} is incomplete: {folder.name} has no {SAFE}")
    if not settings.allow_pickle:
        raise InputError(
            f"{folder.name} has only {PICKLED}: {pickle_refusal(source, settings.of_process())}"
        )
    return folder / PICKLED


def _check_config(folder: Path, source: str) -> None:
    """Raise InputError if a configuration leads to files elsewhere or to code on the hub."""
    if (folder / "adapter_config.json").exists():
        raise InputError(
            f"{source} holds an adapter, whose base model is elsewhere: merge it into the model"
        )
    for path in map(folder.joinpath, _OBJECTS):
        if path.exists() and not isinstance(read_json(path), dict):
            raise InputError(f"{path} should hold a JSON object")
    path = folder / "config.json"
    for key, value in _entries(read_json(path)) if path.exists() else ():
        if key == "transformers_weights":
            raise InputError(
                f"{path} names other weights ({key}), which are not read: save the model again"
                " with save_pretrained"
            )
        if key.endswith("attn_implementation") and "/" in json.dumps(value):
            raise InputError(
                f"{path} asks for {value!r:.80} as {key}: code of the hub is not run; remove it"
            )


def _check_module(folder: Path, source: str) -> None:
    """Raise InputError for settings of a Transformer module that could open other files."""
    for path in folder.glob("sentence_*_config.json"):
        found = read_json(path)
        if not isinstance(found, dict):
            raise InputError(f"{path} should hold a JSON object")
        handed = [v for k, v in found.items() if _ARGUMENTS.fullmatch(k) and isinstance(v, dict)]
        foreign = sorted({key for each in handed for key in each} - _HARMLESS)
        foreign += [key for key in found if "name_or_path" in key and found[key] is not None]
        if foreign:
            raise InputError(
                f"{source}: {path.name} sets {', '.join(foreign):.80}, which is not supported here;"
                " name a pooling to use its transformer alone, as in encoder=FOLDER:mean"
            )


def _entries(found: Any) -> Iterator[tuple[str, Any]]:
    """Every key of nested JSON with its value, at any depth."""
    waiting = [found]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one.items()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one

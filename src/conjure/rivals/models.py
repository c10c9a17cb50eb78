"""Where a rival's model comes from: a folder or the hub; every refusal in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import hf_hub_download, snapshot_download
from transformers import AutoConfig, AutoTokenizer

from ..core.errors import InputError
from ..processes.folders import hash_files, pickle_refusal
from ..processes.hub import Sought, explain
from ..processes.quiet import quiet
from .settings import RivalSettings

MODULES = "modules.json"  # what makes a folder a sentence-transformers model
SOUGHT = Sought(
    "transformers model", "config.json", "a row known here", "google-bert/bert-base-uncased"
)

_READ = ("*.json", "*.txt", "*.model")  # configurations, vocabularies, SentencePiece models
_SAFE, _PICKLED = "*.safetensors", "pytorch_model*.bin"
_AS_IT_IS = {"local_files_only": True, "trust_remote_code": False}  # nor ask whether to trust

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Model:
    """A model's folder: checked, but not loaded."""

    folder: Path
    name: str
    revision: str  # its commit at the hub, or a hash of what the folder holds

    @property
    def modules(self) -> list[dict[str, Any]]:
        """What sentence-transformers chains, in order; nothing where it is no model of theirs."""
        return _modules(self.folder)


def locate(source: str, settings: RivalSettings) -> Model:
    """A folder's path or a hub id → a folder whose weights may be read.

    Raises InputError where there is none.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if settings.revision is not None:
            raise InputError(f"{source} is a folder and has no revisions; leave revision out")
        _check(folder, source, settings)
        return Model(folder, folder.resolve().name, hash_files(folder, _files(folder)))
    if folder.exists():
        raise InputError(f"{source} is a file; give the folder of a transformers model")
    if source[0] in "./~\\":
        raise InputError(f"there is no folder {source}")
    folder = _fetch(source, settings)
    _check(folder, source, settings)
    return Model(folder, source, folder.name)  # the cache names a snapshot after its commit


def read(source: str, load: Callable[[], Loaded]) -> Loaded:
    """What ``load`` loads, in silence; InputError where transformers cannot make sense of it."""
    try:
        with quiet():
            return load()
    except (OSError, ValueError, TypeError, RuntimeError, KeyError, ImportError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise InputError(f"{source} cannot be loaded: {first}") from error


def read_config(name: str, folder: Path) -> Any:
    return read(name, lambda: AutoConfig.from_pretrained(folder, **_AS_IT_IS))


def read_tokenizer(name: str, folder: Path) -> Any:
    return read(name, lambda: AutoTokenizer.from_pretrained(folder, **_AS_IT_IS))


def read_network(
    name: str, folder: Path, loader: Any, settings: RivalSettings
) -> tuple[Any, list[str]]:
    """→ the network, ready to run on the CPU, and the names of weights that its files lack.

    loader: a class of transformers. What the files lack was drawn at random.
    """
    options = {**load_options(settings), **_AS_IT_IS, "output_loading_info": True}
    network, info = read(name, lambda: loader.from_pretrained(folder, **options))
    return network.eval(), sorted(info["missing_keys"])


def incomplete(name: str, absent: list[str]) -> str:
    """Why a network with random weights is not used, in one line."""
    return f"{name} is incomplete: it lacks {len(absent)} weights, {absent[0]} for one"


def load_options(settings: RivalSettings) -> dict[str, Any]:
    """How ``from_pretrained`` is to read weights."""
    return {
        "torch_dtype": getattr(torch, settings.dtype),
        "use_safetensors": None if settings.allow_pickle else True,
    }


def read_json(path: Path) -> Any:
    """What a JSON file holds, or InputError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _fetch(repo: str, settings: RivalSettings) -> Path:
    """A hub id → the folder in the hub's cache that holds it; what is cached is used offline."""

    def snapshot(*patterns: str) -> Path:
        with quiet():
            return Path(
                snapshot_download(
                    repo, revision=settings.revision, allow_patterns=[*_READ, *patterns]
                )
            )

    try:
        with quiet():
            hf_hub_download(repo, SOUGHT.index, revision=settings.revision)
        folder = snapshot(_SAFE)
        if settings.allow_pickle:  # only where there is nothing better, and of further modules
            folder = snapshot("*/" + _PICKLED, *([] if any(folder.glob(_SAFE)) else [_PICKLED]))
    except Exception as error:
        raise InputError(explain(error, repo, settings.of_process(), SOUGHT)) from error
    if not settings.allow_pickle and not any(folder.rglob(_SAFE)):
        raise InputError(pickle_refusal(repo, settings.of_process()))
    return folder


def _check(folder: Path, source: str, settings: RivalSettings) -> None:
    """Refuse what is no model, has no weights, or only pickled ones that were not asked for."""
    if (folder / "model_index.json").exists():
        raise InputError(f"{source} is a diffusers pipeline; as a rival it is the row paragon")
    if not (folder / MODULES).exists() and not (folder / SOUGHT.index).exists():
        raise InputError(f"{source} is no {SOUGHT.kind}: it has no {SOUGHT.index}")
    places = [place for place in _places(folder) if _holds(place, _SAFE, _PICKLED)]
    if not places:
        raise InputError(f"{source} is incomplete: it has no weights")
    if not settings.allow_pickle and not all(_holds(place, _SAFE) for place in places):
        raise InputError(pickle_refusal(source, settings.of_process()))


def _modules(folder: Path) -> list[dict[str, Any]]:
    path = folder / MODULES
    return read_json(path) if path.exists() else []


def _places(folder: Path) -> list[Path]:
    """Where files of a model lie: its folder, and those of its modules."""
    return [folder, *{folder / m["path"] for m in _modules(folder) if m.get("path")}]


def _holds(place: Path, *forms: str) -> bool:
    return any(any(place.glob(form)) for form in forms)


def _files(folder: Path) -> list[Path]:
    forms = (*_READ, _SAFE, _PICKLED)
    return [path for place in _places(folder) for form in forms for path in place.glob(form)]

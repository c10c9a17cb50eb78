"""The parts of a pipeline: which classes they may have, and reading each of them whole.

diffusers takes a part's class from any module that model_index.json names, even one in the folder.
Here the class must be one that the family's libraries export. A missing tensor is an error: the
libraries would draw it at random, differently at every load.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open

from ..core.errors import InputError
from ..core.text import brief, first_line
from .family import Family
from .folders import part_weights, read_object
from .quiet import quiet
from .settings import ProcessSettings
from .single_file import part_from_file, read_checkpoint
from .swapped import Elsewhere

with quiet():  # importing them remarks on what is not installed and not needed
    import transformers

# These do not matter. Old text encoders saved the buffer 0 … n − 1, which new ones compute. BERT
# and similar encoders have a head on the first token, which no token's state depends on.
_HARMLESS_UNEXPECTED = re.compile(r"(^|\.)position_ids$")
_HARMLESS_MISSING = re.compile(r"(^|\.)position_ids$|^pooler\.")

_LOCAL = {"local_files_only": True}
_NOT_EMPTY = ("config.json", "scheduler_config.json")
_PIPELINES = "diffusers.pipelines."  # whose own parts are named by the rest alone
_NAMED = 3  # tensors that a message names

Loaded = TypeVar("Loaded")


def check_parts(index: Path, source: str, family: Family) -> None:
    """Refuse, by model_index.json alone, parts that are not the family's or of another class."""
    for part, given in read_object(index).items():
        if isinstance(given, list) and part not in (*family.parts, *family.unused):
            raise InputError(
                f"{source} has a part {brief(part)}, which a {family.name} does not have here:"
                f" {family.advice}"
            )
    for part in family.parts:
        part_class(index, part, source, family)


def part_class(index: Path, part: str, source: str, family: Family) -> Any:
    """The class of a part by model_index.json; InputError where the family does not allow it."""
    expected = family.parts[part]
    package = expected.package.__name__.removeprefix(_PIPELINES)
    given = read_object(index).get(part)
    if isinstance(given, list) and len(given) == 2 and given[0] == package:
        found = getattr(expected.package, given[1], None) if _is_plain(given[1]) else None
        if isinstance(found, type) and issubclass(found, expected.classes):
            return expected.read_by or found
    names = " or ".join(kind.__name__ for kind in expected.classes)
    raise InputError(
        f"{source} says that its {part} is {brief(given)}; conjure reads {package}'s own classes"
        f" ({names}) and runs no code of a model's: {family.advice}"
    )


def read_pipeline(
    folder: Path,
    source: str,
    family: Family,
    settings: ProcessSettings,
    dtype: str,
    elsewhere: Elsewhere = Elsewhere(),  # noqa: B008  (frozen)
) -> Any:
    """A checked folder → its pipeline, on the CPU, in that dtype.

    elsewhere: what is not read from the folder

    Raises InputError, naming the part, where one cannot be read whole.
    """
    index = folder / "model_index.json"
    classes = {part: part_class(index, part, source, family) for part in family.parts}
    swapped = elsewhere.swapped
    classes |= {part: found.kind for part, found in swapped.items()}
    places = {part: folder / part for part in family.parts}
    places |= {part: found.folder for part, found in swapped.items()}
    _check_configurations(places, classes)
    options = family.options(read_object(index))
    parts: dict[str, Any] = {}
    if elsewhere.file is not None:
        asked = {part: classes[part] for part in family.networks if part not in swapped}
        parts |= _from_file(elsewhere.file, folder, asked, settings, dtype)
    for part in sorted(classes, key=lambda part: part in family.networks):  # the small ones first
        kind, place = classes[part], places[part]
        if part in parts:
            continue
        if part in family.networks:
            parts[part] = _read_network(place, part, kind, settings, dtype)
            continue
        if issubclass(kind, transformers.PreTrainedTokenizerBase):
            kind = _tokenizer_class(kind, place)
        parts[part] = _reading(place, partial(kind.from_pretrained, place, **_LOCAL))
    unused = dict.fromkeys(family.unused)
    pipeline = _reading(folder, partial(family.pipeline, **parts, **unused, **options))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _from_file(
    file: Path, folder: Path, classes: Mapping[str, Any], settings: ProcessSettings, dtype: str
) -> dict[str, Any]:
    """The networks that a single file holds. The others must lie in the folder."""
    checkpoint = read_checkpoint(file)
    read = {
        part: part_from_file(checkpoint, file, folder / part, kind, dtype)
        for part, kind in classes.items()
    }
    found = {part: network for part, network in read.items() if network is not None}
    if not found:
        raise InputError(f"{file} holds no part of {folder}: it has no {', '.join(classes)}")
    for part in classes:
        if part not in found and not part_weights(folder, part, settings)[1]:
            raise InputError(
                f"{file} has no {part}, and {folder} has no weights of it: let config name a folder"
                f" that has them, or --{part.replace('_', '-')} another"
            )
    return found


def _read_network(place: Path, part: str, kind: Any, settings: ProcessSettings, dtype: str) -> Any:
    # what transformers calls dtype is torch_dtype in diffusers
    name = "dtype" if issubclass(kind, transformers.PreTrainedModel) else "torch_dtype"
    variant, files = part_weights(place.parent, place.name, settings)
    for index in (path for path in files if path.suffix == ".json"):
        _reading(place, partial(_check_shards, index))
    network, info = _reading(
        place,
        partial(
            kind.from_pretrained,
            place,
            variant=variant,
            use_safetensors=None if settings.allow_pickle else True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are named below, in one line
            **{name: getattr(torch, dtype)},
            **_LOCAL,
        ),
    )
    faults = {
        "lacks": [key for key in info["missing_keys"] if not _HARMLESS_MISSING.search(key)],
        "has unexpected": [
            key for key in info["unexpected_keys"] if not _HARMLESS_UNEXPECTED.search(key)
        ],
        "has wrongly shaped": [key for key, *_ in info["mismatched_keys"]],
    }
    if any(faults.values()):
        said = " and ".join(f"{fault} {_listed(keys)}" for fault, keys in faults.items() if keys)
        raise InputError(f"{place.parent} cannot be loaded: its {part} {said}")
    return network.eval()


def _tokenizer_class(kind: Any, place: Path) -> Any:
    """The class that reads the folder: transformers 4 has two classes of most tokenizers.

    The plain one does not read tokenizer.json. Where a folder has nothing else, the fast one reads.
    """
    fast = getattr(transformers, f"{kind.__name__}Fast", None)
    files = set(kind.vocab_files_names.values()) - {"tokenizer.json"}
    if isinstance(fast, type) and (place / "tokenizer.json").exists():
        return kind if any((place / name).exists() for name in files) else fast
    return kind


def _check_shards(index: Path) -> None:
    """Refuse shards that lack what their index lists: diffusers believes the index."""
    held: dict[str, set[str]] = {}
    lacking = []
    for name, shard in read_object(index)["weight_map"].items():
        if shard not in held:
            held[shard] = _keys(index.parent / shard)
        if name not in held[shard]:
            lacking.append(name)
    if lacking:
        raise InputError(f"{index.parent} lacks {_listed(lacking)} that its index lists")


def _keys(path: Path) -> set[str]:
    """The names of the tensors in a file."""
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            return set(file.keys())
    return set(torch.load(path, map_location="meta", weights_only=True))


def _listed(keys: Sequence[str]) -> str:
    """2 tensors (a.weight, b.weight)"""
    names = [f"{key:.100}" for key in sorted(keys)[:_NAMED]]
    more = ["…"] if len(keys) > _NAMED else []
    return f"{len(keys)} tensor{'s' * (len(keys) > 1)} ({', '.join(names + more)})"


def _check_configurations(places: Mapping[str, Path], classes: Mapping[str, Any]) -> None:
    """Refuse configurations that are no JSON objects, and those that ask for code from the hub."""
    for part, kind in classes.items():
        for path in sorted(places[part].glob("*.json")):
            if not read_object(path) and path.name in _NOT_EMPTY:
                raise InputError(f"{path} is empty")  # and would be taken for all defaults
        if issubclass(kind, transformers.PreTrainedModel):
            _check_attention(places[part] / "config.json")


def _check_attention(config: Path) -> None:
    found = read_object(config)
    for key in ("attn_implementation", "_attn_implementation", "_attn_implementation_internal"):
        if "/" in str(found.get(key)):  # a kernel of the hub, which transformers would run
            raise InputError(f"{config} asks for code from the hub ({key}: {brief(found[key])})")


def _reading(place: Path, load: Callable[[], Loaded]) -> Loaded:
    """Call ``load`` without the libraries' remarks. Every error that it raises is an InputError.

    The libraries raise all kinds of errors, plain Exception and SafetensorError among them.
    """
    try:
        with quiet():
            return load()
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"{place} cannot be loaded: {first_line(error)}") from error


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier()

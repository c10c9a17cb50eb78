"""Find and read the model of a baseline, in a folder or at the hub. Every error is one line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import hf_hub_download, snapshot_download
from transformers import AutoConfig, AutoTokenizer

from ..core.errors import ConjureError, InputError
from ..processes.folders import pickle_refusal
from ..processes.hub import Sought, explain
from ..processes.quiet import quiet
from .settings import BaselineSettings
from .weights import (
    MODULES,
    Module,
    chain_files,
    fingerprint,
    network_files,
    read_modules,
)

SOUGHT = Sought(
    "transformers model", "config.json", "a row known here", "google-bert/bert-base-uncased"
)

_READ = ("*.json", "*.txt", "*.model")  # configurations, vocabularies, SentencePiece models
_SAFE, _PICKLED = "*.safetensors", "pytorch_model*.bin"
_LOCAL = {"local_files_only": True, "trust_remote_code": False}  # False also asks no question

# Buffers that older checkpoints store with their weights; today they are computed.
_BUFFERS = (
    "position_ids",
    "token_type_ids",
    "inv_freq",
    "attn.bias",
    "masked_bias",
    "embed_tokens.weight",
)

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Model:
    """A model's folder, checked but not loaded.

    revision: its commit at the hub, or a hash of all files that will be read
    chain:    the modules of a sentence-transformers model, in order; empty for other models
    """

    folder: Path
    name: str
    revision: str
    chain: tuple[Module, ...] = ()

    @property
    def network(self) -> Path:
        """The folder that transformers reads."""
        return _network(self.folder, self.chain)


def locate(source: str, settings: BaselineSettings, *, chained: bool = False) -> Model:
    """Find a model by its folder or hub id, and check that its weights may be read.

    chained: whether a sentence-transformers model is run by its own modules; then the weights of
             all modules are checked

    Raises InputError if there is no such model, or its weights are refused.
    """
    try:
        folder = Path(source).expanduser()
        here, other = folder.is_dir(), folder.exists()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{source!r:.80} can be neither a folder nor a hub id: {error!s:.80}"
        ) from error
    if here:
        if settings.revision is not None:
            raise InputError(f"{source} is a folder and has no revisions; leave revision out")
        chain, files = _check(folder, source, settings, chained)
        return Model(folder, folder.resolve().name, fingerprint(folder, files), chain)
    if other:
        raise InputError(f"{source} is a file; give the folder of a transformers model")
    if source[0] in "./~\\":
        raise InputError(f"there is no folder {source}")
    folder = _fetch(source, settings)
    chain, _ = _check(folder, source, settings, chained)
    return Model(folder, source, folder.name, chain)  # the cache names a snapshot by its commit


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn any exception within into an InputError of one line that begins with ``what``.

    For calls of other libraries on files of unknown origin: their exceptions have no common base
    (SafetensorError, RecursionError, KeyError, plain Exception).
    """
    try:
        yield
    except ConjureError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        if not isinstance(error, OSError | ValueError | ImportError) or not said:
            said = f"{type(error).__name__}: {said}"
        raise InputError(f"{what}: {said:.300}") from error


def read(source: str, load: Callable[[], Loaded]) -> Loaded:
    """The result of ``load()``, without its log lines. Raises InputError if it fails."""
    with refusing(f"{source} cannot be loaded"), quiet():
        return load()


def read_config(name: str, folder: Path) -> Any:
    return read(name, lambda: AutoConfig.from_pretrained(folder, **_LOCAL))


def read_tokenizer(name: str, folder: Path) -> Any:
    """A folder's tokenizer. Raises InputError if it cannot be read or has no vocabulary."""
    tokenizer = read(name, lambda: AutoTokenizer.from_pretrained(folder, **_LOCAL))
    check_vocabulary(name, tokenizer)
    return tokenizer


def check_vocabulary(name: str, tokenizer: Any) -> None:
    """Raise InputError for an empty tokenizer: transformers makes one if its files are missing."""
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise InputError(f"{name} is incomplete: its tokenizer has no vocabulary")


def check_tokens(name: str, text: str, ids: Collection[int], network: Any) -> None:
    """Raise InputError if a text has no tokens, or a token without an embedding in the network.

    On a GPU, such a token would stop every later computation too.
    """
    known = network.get_input_embeddings().num_embeddings
    if not ids:
        raise InputError(f"{name} reads nothing of {text!r:.80}: its tokenizer leaves no token")
    if max(ids) >= known:
        raise InputError(
            f"{name} has {known:,} embeddings, and its tokenizer gives token {max(ids):,} for"
            f" {text!r:.80}: the tokenizer is another model's"
        )


def read_network(
    name: str, folder: Path, loader: Any, settings: BaselineSettings, spare: Collection[str] = ()
) -> tuple[Any, list[str]]:
    """The network, on the CPU, and the names of the weights that its files lack.

    loader: a class of transformers
    spare:  the parts whose weights may be missing

    Raises InputError if other weights are missing, since transformers would draw them at random.
    Raises it too if the files hold weights for the network's parts that have no place in it.
    """
    # The error of from_pretrained does not name weights of a wrong shape; the one below does.
    told = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    options = {**load_options(settings), **_LOCAL, **told}
    network, info = read(name, lambda: loader.from_pretrained(folder, **options))
    missing = sorted(map(str, info["missing_keys"]))
    lacking = [key for key in missing if not set(key.split(".")) & set(spare)]
    unused = sorted(map(str, info["unexpected_keys"]))
    misplaced = [key for key in unused if _is_own(key, network)]
    if unfit := sorted(str(each[0]) for each in info["mismatched_keys"]):
        said = f"{_some(unfit)} of another shape than its config.json says"
        raise InputError(f"{name} cannot be loaded: it holds {said}")
    if lacking or misplaced:
        raise InputError(_incomplete(name, lacking, misplaced or (unused if lacking else [])))
    return network.eval(), missing


def load_options(settings: BaselineSettings) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` about how weights are read."""
    return {
        "torch_dtype": getattr(torch, settings.dtype),
        "use_safetensors": None if settings.allow_pickle else True,
    }


def _is_own(key: str, network: Any) -> bool:
    """Whether a weight belongs to a part of the network, such as a further layer, not to a head."""
    key = key.removeprefix(f"{network.base_model_prefix}.")
    body = getattr(network, network.base_model_prefix, network)
    parts = {name for part in (network, body) for name, _ in part.named_children()}
    return key.split(".")[0] in parts and not key.endswith(_BUFFERS)


def _incomplete(name: str, lacking: list[str], unused: list[str]) -> str:
    """The message for a network that does not fit its files."""
    said = [f"it lacks {_some(lacking)}"] if lacking else []
    said += [f"it holds {_some(unused)} that its config.json has no place for"] if unused else []
    return f"{name} is incomplete or renamed: {'; '.join(said)}"


def _some(keys: list[str]) -> str:
    more = ", …" if len(keys) > 3 else ""
    return f"{len(keys)} weight{'s' * (len(keys) > 1)} ({', '.join(keys[:3])}{more})"


def _fetch(repo: str, settings: BaselineSettings) -> Path:
    """The folder of a hub id in the hub's cache; offline, the cached files are used."""

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
        if settings.allow_pickle:  # pickles of the network only if it has no safetensors
            folder = snapshot("*/" + _PICKLED, *([] if any(folder.glob(_SAFE)) else [_PICKLED]))
    except Exception as error:
        raise InputError(explain(error, repo, settings.of_process(), SOUGHT)) from error
    if not settings.allow_pickle and not any(folder.rglob(_SAFE)):
        raise InputError(pickle_refusal(repo, settings.of_process()))
    return folder


def _check(
    folder: Path, source: str, settings: BaselineSettings, chained: bool
) -> tuple[tuple[Module, ...], list[Path]]:
    """The modules of a model, and all files that will be read.

    Raises InputError if the folder is not a model, or its weights are refused.
    """
    if (folder / "model_index.json").exists():
        raise InputError(f"{source} is a diffusers pipeline; as a baseline it is the row paragon")
    if not (folder / MODULES).exists() and not (folder / SOUGHT.index).exists():
        raise InputError(f"{source} is not a {SOUGHT.kind}: it has no {SOUGHT.index}")
    chain = read_modules(folder, source)
    if chain and chained:
        weights = chain_files(chain, source, settings)
        places = {folder, *(module.folder for module in chain)}
    else:
        weights = network_files(_network(folder, chain), source, settings)
        places = {folder, _network(folder, chain)}
    return chain, [
        *weights,
        *(path for place in places for form in _READ for path in place.glob(form)),
    ]


def _network(folder: Path, chain: tuple[Module, ...]) -> Path:
    return chain[0].folder if chain else folder

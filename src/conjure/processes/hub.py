"""Where weights come from: the bundled folder, a folder, or the hub; every refusal in one line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import (
    constants,
    errors,
    get_session,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.utils._validators import validate_repo_id

from ..core.errors import InputError
from ..core.text import brief, first_line
from .adapter_files import find_loras, revision_of_loras
from .adapters import add_loras
from .family import Family, Opened
from .folders import check_weights, content_hash, missing, pickle_refusal, read_card, read_object
from .hashing import hash_file
from .parts import check_parts, read_pipeline
from .quiet import quiet_hub
from .registry import find_family
from .settings import ProcessSettings
from .single_file import check_file
from .sources import BUNDLED, known_sources
from .swapped import Elsewhere, check_folders, find_swapped, revision_of
from .weight_memory import check_memory, weight_bytes

_HTTP_CLIENTS = ("httpx2", "httpx", "requests")  # one or the other, by huggingface_hub's version
_RECOMMENDED = ("sampler", "steps", "guidance")  # what conjure.json may set
_CPU = torch.device("cpu")
_PATIENCE = 10  # seconds, for the hub's first answer


@dataclass(frozen=True)
class Sought:
    """What is looked for at the hub, in words for a refusal."""

    kind: str  # what it should be
    index: str  # the file that every such model has
    named: str  # what else the name could have meant
    example: str  # a hub id of that kind


PIPELINE = Sought(
    "diffusers pipeline", "model_index.json", "a process by name", "CompVis/stable-diffusion-v1-4"
)


@dataclass(frozen=True)
class Located:
    """A checked folder, its name, its commit where it comes from the hub, and its family.

    file: a single file that holds networks of the pipeline, or None
    """

    folder: Path
    name: str
    commit: str | None
    family: Family
    file: Path | None = None


def open_pipeline(
    source: str | os.PathLike[str], settings: ProcessSettings, device: torch.device = _CPU
) -> Opened:
    """A bundled process's name, a folder's path, a single file or a hub id → its pipeline.

    device: where it will run; the pipeline is on the CPU

    Raises InputError where there is none, or where conjure cannot read it.
    """
    check_folders(settings)
    loras = find_loras(settings)  # before gigabytes are fetched
    found = _locate(source, settings)
    folder, family = found.folder, found.family
    card = read_card(folder)
    try:
        recommended = ProcessSettings(**{k: card[k] for k in _RECOMMENDED if k in card})
    except InputError as error:
        raise InputError(f"{folder / 'conjure.json'}: {error}") from error
    choice = settings.over(recommended, family.recommends(folder))
    # A card's own "revision" is a label: an edited copy would keep it. The content decides.
    revision = found.commit or content_hash(folder, family.parts)
    if found.file is not None:
        revision = f"sha256-{hash_file(found.file)}+config-{revision.removeprefix('sha256-')}"
    if settings.variant:
        revision += f"-{settings.variant}"
    swapped = find_swapped(folder, found.name, family, settings)
    elsewhere = Elsewhere(swapped, found.file)
    sizes = weight_bytes(folder, family, settings, elsewhere, choice.dtype)
    check_memory(found.name, sizes, device, choice.dtype, settings.offload)
    pipeline = read_pipeline(folder, found.name, family, settings, choice.dtype, elsewhere)
    add_loras(pipeline, loras, found.name, choice.dtype)
    revision += revision_of(swapped) + revision_of_loras(loras)
    name = found.name if found.file else str(card.get("name") or found.name)
    return Opened(pipeline, name, revision, choice, family)


def _locate(source: str | os.PathLike[str], settings: ProcessSettings) -> Located:
    if not isinstance(source, str | os.PathLike) or not os.fspath(source):
        raise InputError(f"a process is a name, a folder or a hub id, not {brief(source)}")
    text = str(source)
    folder = BUNDLED.get(text) or local_path(text, "process")
    if settings.config is not None and not folder.is_file():
        raise InputError(f"config goes with a single file, and {text} is none: leave it out")
    if folder.is_dir():
        if settings.revision is not None:
            raise InputError(f"{text} is a folder and has no revisions; leave revision out")
        family = _family(folder / "model_index.json", text)
        check_weights(folder, text, family, settings)
        return Located(folder, text if text in BUNDLED else folder.resolve().name, None, family)
    if folder.exists():
        return _locate_file(folder, settings)
    if not isinstance(source, str) or text[0] in "./~\\" or text in BUNDLED:
        raise InputError(f"there is no folder {text}")
    folder, family = fetch(text, settings)
    check_weights(folder, text, family, settings)
    return Located(folder, text, folder.name, family)  # the cache names a snapshot by its commit


def _locate_file(file: Path, settings: ProcessSettings) -> Located:
    """A single file, and the folder that says what it is."""
    check_file(file, settings.config)
    base = str(settings.config)
    folder = BUNDLED.get(base) or local_path(base, "config")
    if folder.is_dir():
        family = _family(folder / "model_index.json", base)
        return Located(folder, file.stem, None, family, file)
    if base[0] in "./~\\":
        raise InputError(f"config: there is no folder {base}")
    folder = fetch_config(base, settings)
    return Located(folder, file.stem, folder.name, _family(folder / "model_index.json", base), file)


def fetch_config(repo: str, settings: ProcessSettings) -> Path:
    """A hub id → the folder in the hub's cache with all of it but the weights."""
    try:
        validate_repo_id(repo)
        with quiet_hub():
            return Path(
                snapshot_download(
                    repo,
                    revision=settings.revision,
                    token=settings.token,
                    allow_patterns=["*.json", "*.txt", "*.model"],
                    local_files_only=not reachable(settings),
                )
            )
    except Exception as error:
        raise InputError(f"config: {explain(error, repo, settings)}") from error


def _family(index: Path, source: str) -> Family:
    """The family of a model, with the parts that it has, by its index alone.

    Raises InputError for unknown parts or none.
    """
    family = find_family(index, source).of(read_object(index))
    check_parts(index, source, family)
    return family


def local_path(text: str, what: str) -> Path:
    """The path that a text names; InputError for what no file system allows."""
    try:
        os.fsencode(text)
        path = Path(text).expanduser()
        path.stat()
    except RuntimeError as error:  # of expanduser
        raise InputError(f"there is no folder {text}: its user is not known here") from error
    except (FileNotFoundError, NotADirectoryError):
        pass  # perhaps a hub id
    except (OSError, ValueError) as error:  # too long, not permitted, a zero byte, not Unicode
        why = getattr(error, "strerror", None) or "it cannot be written as a path"
        raise InputError(f"{brief(text)} is no {what}: {why}") from error
    return path


def fetch(repo: str, settings: ProcessSettings) -> tuple[Path, Family]:
    """A hub id → the folder in the hub's cache that holds what the process needs, its family.

    The only function that talks to the hub. What is cached is used as it is when the hub cannot
    be reached.
    """
    try:
        validate_repo_id(repo)
        with quiet_hub():
            return _fetch(repo, settings, cached_only=not reachable(settings))
    except InputError:
        raise
    except Exception as error:
        line = explain(error, repo, settings)
        if "/" not in repo:  # perhaps a slip in the name of a process
            line += f" (processes that have a name: {', '.join(known_sources())})"
        raise InputError(line) from error


def _fetch(repo: str, settings: ProcessSettings, cached_only: bool) -> tuple[Path, Family]:
    index = Path(
        hf_hub_download(
            repo,
            "model_index.json",
            revision=settings.revision,
            token=settings.token,
            local_files_only=cached_only,
        )
    )
    family = _family(index, repo)  # before gigabytes of something else are fetched
    try:
        folder = family.pipeline.download(
            repo,
            revision=settings.revision,
            token=settings.token,
            local_files_only=cached_only,
            variant=settings.variant,
            use_safetensors=None if settings.allow_pickle else True,
            **dict.fromkeys(family.unused),
        )
    except Exception:
        # diffusers asks the hub even when all is there
        if missing(index.parent, family, settings):
            raise
        folder = index.parent
    return Path(folder), family


def reachable(settings: ProcessSettings) -> bool:
    """Whether the hub answers at all, asked once: its client asks six times, over half a minute."""
    if settings.offline or constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
    except Exception as error:
        if type(error).__module__.partition(".")[0] in _HTTP_CLIENTS:
            return False
        raise
    return True


def explain(
    error: Exception, repo: str, settings: ProcessSettings, sought: Sought = PIPELINE
) -> str:
    """What went wrong at the hub, and what to do about it, in one line."""
    known: list[tuple[type[Exception] | tuple[type[Exception], ...], str]] = [
        (
            errors.GatedRepoError,  # a RepositoryNotFoundError too, so it comes first
            f"{repo} is gated: accept its conditions on https://huggingface.co/{repo}, then log"
            " in with `hf auth login`, or set HF_TOKEN",
        ),
        (
            errors.RepositoryNotFoundError,
            f"there is no {repo}: not {sought.named}, not a folder here, and not on the hub"
            " (or private: log in with `hf auth login`)",
        ),
        (errors.RevisionNotFoundError, f"{repo} has no revision {settings.revision!r}"),
        (
            (
                errors.LocalEntryNotFoundError,  # an EntryNotFoundError too
                errors.OfflineModeIsEnabled,
                getattr(errors, "RevisionResolutionError", ConnectionError),  # new in 2.0
                ConnectionError,
                TimeoutError,
            ),
            f"{repo} is neither a folder here nor cached whole, and the hub cannot be reached:"
            " go online once (unset HF_HUB_OFFLINE, leave offline out), or give a folder's path",
        ),
        (
            errors.EntryNotFoundError,
            f"{repo} is no {sought.kind}: it has no {sought.index}",
        ),
        (
            errors.HFValidationError,
            f"{brief(repo)} is neither a folder here nor a hub id such as {sought.example}",
        ),
    ]
    if type(error).__module__.partition(".")[0] in _HTTP_CLIENTS:
        error = ConnectionError()
    for kinds, line in known:
        if isinstance(error, kinds):
            return line
    if "safetensors" in str(error) and not settings.allow_pickle:
        return pickle_refusal(repo, settings)
    kind, said = type(error).__name__, first_line(error)
    if settings.token:
        said = said.replace(settings.token, "…")
    return f"{repo} could not be fetched from the hub: {kind}{'' if said == kind else f': {said}'}"

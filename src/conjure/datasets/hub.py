"""Human-annotated sets from the hub, each at its pinned commit."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import InputError
from .cards import HUB_FILES, HubSource


def fetch(name: str, source: HubSource) -> Path:
    """The file of a set in the hub's cache, downloaded if it is not there.

    If the hub cannot be reached, the cached file is used. Raises InputError if there is none.
    """
    from huggingface_hub import errors, snapshot_download

    try:
        folder = snapshot_download(
            source.repo,
            repo_type="dataset",
            revision=source.revision,
            allow_patterns=list(HUB_FILES),
        )
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        raise InputError(
            f"{name} is not cached and the hub cannot be reached: go online once (and unset "
            "HF_HUB_OFFLINE), or give --data-dir"
        ) from None
    except Exception as error:  # the hub's HTTP client raises other errors in each version
        first = next(iter(str(error).splitlines()), "")
        raise InputError(
            f"{name} could not be fetched from the hub ({source.repo} at {source.revision}): "
            f"{type(error).__name__}: {first}; give --data-dir instead"
        ) from error
    found = [path for pattern in HUB_FILES for path in sorted(Path(folder).rglob(pattern))]
    if len(found) != 1:
        raise InputError(
            f"{source.repo} at {source.revision} should hold one file of a test part, such as "
            f"test.jsonl.gz, and holds {len(found)}; give --data-dir instead"
        )
    return found[0]

"""The manifest of a run folder: what its shards hold, and under which key.

    RUN/
      manifest.json               this file
      shards/CHECKSUM.parquet     finished units; the name is the start of the SHA-256 of the bytes
      aside/                      shards that were damaged or of another run; safe to delete
      lock, lock-I-of-N           who is writing; a dead owner's lock is free

docs/reliability.md has the columns. The layout's version goes up when readers have to change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..core.spec import Signature
from ..core.text import brief
from ..datasets.files import check_folder, read_bytes, replacing

LAYOUT = 1
FORMAT = "conjure run"
NAME = "manifest.json"
SHARDS, ASIDE = "shards", "aside"


@dataclass(frozen=True)
class Manifest:
    """What a run folder is for.

    kind:  what its units are: terms, distances or pictures
    key:   everything that determines the numbers, besides what is in the units
    facts: further facts of the last run, for people: spec, data, versions, command, progress
    """

    kind: str
    key: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def object(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "layout": LAYOUT,
            "kind": self.kind,
            "key": dict(self.key),
            "digest": Signature(self.key).digest,
            **self.facts,
        }

    def write(self, folder: Path) -> None:
        """Write it whole into the folder, with the time."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps({**self.object(), "written": now}, ensure_ascii=False, indent=1)
        with replacing(folder / NAME) as draft:
            draft.write_text(text + "\n", encoding="utf-8")

    def difference(self, kind: str, key: Mapping[str, Any]) -> str:
        """What differs from another kind and key, in words; empty if nothing does."""
        if kind != self.kind:
            return f"it holds {self.kind}, now {kind}"
        names = [name for name in {**self.key, **key} if self.key.get(name) != key.get(name)]
        return ", ".join(f"{n} {brief_fact(self.key, n)}, now {brief_fact(key, n)}" for n in names)


def brief_fact(key: Mapping[str, Any], name: str) -> str:
    value = key.get(name)
    return f"{value:.80}" if isinstance(value, str) else str(value)


class ManifestError(InputError):
    """The manifest is damaged, of a newer layout, or of another program."""


class OtherSettingsError(InputError):
    """A run folder was begun with other settings: its work is whole, and of another run."""


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder, or None if there is none. Nothing is written.

    Raises ManifestError for one that is damaged, and InputError for one of another layout.
    """
    path = folder / NAME
    if not path.exists():
        return None
    damaged = ManifestError(
        f"{path} is damaged, or of another program: move {folder} away, or choose another folder"
    )
    try:
        found = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise damaged from error
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise damaged
    layout = found.pop("layout", None)
    if layout != LAYOUT:
        raise InputError(
            f"{folder} has layout {brief(layout)}, and this version of conjure reads {LAYOUT}: "
            "use the version that wrote it, or choose another folder"
        )
    kind, key = found.pop("kind", None), found.pop("key", None)
    digest = found.pop("digest", None)
    if not isinstance(kind, str) or not isinstance(key, dict):
        raise damaged
    try:
        whole = digest == Signature(key).digest
    except (TypeError, ValueError) as error:
        raise damaged from error
    if not whole:
        raise damaged
    return Manifest(kind, key, found)


def check_run_folder(folder: Path) -> None:
    """Refuse what is no run folder, before anything is computed; nothing is written.

    A folder that does not exist, or is empty, will become one.
    """
    try:
        if folder.is_symlink() and not folder.exists():
            raise InputError(
                f"{folder} is a link to a folder that does not exist: name that folder"
            )
        if not folder.exists():
            check_folder(folder)
            return
        if not folder.is_dir():
            raise InputError(f"{folder} is a file, and a run needs a folder: choose another")
        there = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror or error}") from error
    own = {SHARDS, ASIDE, NAME}
    if there and not there & own:
        raise InputError(
            f"{folder} is not a run folder, for it holds other files: choose another folder"
        )
    try:
        read_manifest(folder)
    except ManifestError:
        if not any((folder / SHARDS).glob("*.parquet")):
            raise

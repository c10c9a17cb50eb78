"""Shards: what a kind of unit is, and how a Parquet file of units is read and checked."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import DamagedWorkWarning, InputError
from ..datasets.files import reason
from .manifest import SHARDS

DIGITS = 32  # of the checksum in a name: 128 bits
_MOST_BYTES = 2**31  # of one shard; a larger file is not of ours


@dataclass(frozen=True)
class Kind:
    """What units are kept.

    name:   of the kind, in the manifest
    schema: the columns
    key:    the columns that tell units apart
    check:  (table) → why its values cannot be, or None
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    check: Callable[[pa.Table], str | None] = lambda table: None


@dataclass(frozen=True)
class Shard:
    """One shard that was read and is whole. facts: how it was measured, and what it took."""

    path: Path
    table: pa.Table
    facts: Mapping[str, Any]


@dataclass
class Contents:
    """All that a run folder holds. damaged: path → why the shard cannot be used."""

    shards: dict[str, Shard] = field(default_factory=dict)
    damaged: dict[Path, str] = field(default_factory=dict)

    @property
    def units(self) -> int:
        return sum(len(shard.table) for shard in self.shards.values())

    @property
    def seconds(self) -> float:
        """What it took to compute the units."""
        return sum(number(shard.facts.get("seconds")) for shard in self.shards.values())


def read_shards(
    folder: Path,
    kind: Kind,
    key: Mapping[str, Any],
    known: Mapping[str, Shard] | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Contents:
    """Read and check the shards of a folder, except ``known`` ones. Nothing is written.

    names: only those, if they are there

    No file below a link and no name that leads elsewhere is opened.
    """
    found = Contents()
    try:
        if names is None:
            paths = sorted((folder / SHARDS).glob("*.parquet"))
        else:
            paths = [folder / SHARDS / name for name in names]
    except OSError as error:
        raise InputError(f"cannot read {folder}: {reason(error)}") from error
    for path in paths:
        if known and path.name in known:
            found.shards[path.name] = known[path.name]
            continue
        try:
            found.shards[path.name] = _read_shard(path, kind, key)
        except FileNotFoundError:  # another writer has joined it into a larger one
            continue
        except _Unusable as error:
            found.damaged[path] = str(error)
        except OSError as error:
            raise InputError(f"cannot read {path}: {reason(error)}") from error
    return found


class _Unusable(Exception):
    """Why a shard is not used."""


def _read_shard(path: Path, kind: Kind, key: Mapping[str, Any]) -> Shard:
    if path.is_symlink() or not path.is_file():
        if not path.exists() and not path.is_symlink():
            raise FileNotFoundError(path)
        raise _Unusable("it is not a regular file")
    if path.stat().st_size > _MOST_BYTES:
        raise _Unusable("it is larger than any shard")
    data = path.read_bytes()
    if checksum_name(data) != path.name:
        raise _Unusable("its bytes do not fit its checksum")
    try:
        # From memory: given a path, pyarrow would read columns off the names of folders, too.
        file = pq.ParquetFile(pa.BufferReader(data))
        schema = file.schema_arrow
        if not schema.equals(kind.schema):
            raise _Unusable("it has other columns")
        facts = json.loads((schema.metadata or {}).get(b"conjure", b"null"))
        table = file.read().replace_schema_metadata(None)
    except (pa.ArrowException, ValueError, OSError, RecursionError) as error:
        raise _Unusable(f"it is not Parquet: {error!s:.80}") from error
    if not isinstance(facts, dict) or facts.get("kind") != kind.name:
        raise _Unusable("it is of another kind of run")
    if facts.get("key") != dict(key):
        raise _Unusable("it is of another run, with other settings")
    if fault := kind.check(table):
        raise _Unusable(fault)
    return Shard(path, table, facts)


def checksum_name(data: bytes) -> str:
    """The name of a shard of these bytes."""
    return f"{hashlib.sha256(data).hexdigest()[:DIGITS]}.parquet"


def number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and value >= 0 else 0.0


def tell_damaged(path: Path, why: str, then: str) -> None:
    warnings.warn(DamagedWorkWarning(f"{path} cannot be used, for {why}: {then}"), stacklevel=2)


def free_name(path: Path) -> Path:
    """The path, or with a number if there is such a file."""
    tried, n = path, 1
    while tried.exists():
        tried, n = path.with_name(f"{path.stem}-{n}{path.suffix}"), n + 1
    return tried

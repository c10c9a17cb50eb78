"""One crash-safe store for all finished work: a run folder of checked Parquet shards.

A *unit* is the smallest piece of work, one row of a shard. Its key columns say what it is, so a
unit is found again whatever the order, the batch size or the machine was. Shards are never changed.
Each is written whole, and is on the disk before it gets its name. The name is the checksum of its
bytes, so a damaged shard is found when it is read.

``manifest.py`` has the layout of the folder.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from ..core.errors import InputError
from ..core.spec import Signature
from ..core.text import number_of
from ..datasets.files import make_folder, reason, replacing
from .beside import EXPLANATIONS, TRAJECTORIES, Beside
from .manifest import (
    ASIDE,
    NAME,
    SHARDS,
    Manifest,
    ManifestError,
    OtherSettingsError,
    check_run_folder,
    read_manifest,
)
from .shards import (
    Contents,
    Kind,
    Shard,
    checksum_name,
    free_name,
    number,
    read_shards,
    tell_damaged,
)

MIN_SECONDS, MAX_SECONDS = 1.0, 30.0  # how long finished units may wait to be written
SHARE = 0.05  # of a run: what a crash may cost in between
SMALL = 8  # shards that one writer leaves; more of them are joined
_MANY = 64  # of them are joined during the run


class Store:
    """Finished units of one kind and key in a run folder; a context manager.

    Opening reads and checks; nothing is written before ``begin``. One process at a time computes
    for a folder, or one for each part of it (``part``). Units that were added are on the disk after
    5 % of the run, at least 1 and at most 30 seconds later. ``flush`` and ``close`` write at once.

    part:   (I, N), if N processes share the work; each has a lock of its own
    helper: whether this process computes for another one that holds the lock. A helper reads
            nothing, and only writes shards, whose names are in ``written``

    Raises OtherSettingsError on opening where the folder has another kind or key, and names what
    differs. Raises InputError where it is no run folder, or cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        signature: Signature,
        *,
        part: tuple[int, int] | None = None,
        fresh: bool = False,
        helper: bool = False,
    ) -> None:
        self.folder, self.kind, self.signature = Path(folder), kind, signature
        self._part, self._helper = part, helper
        self._key = dict(signature.key)
        self._lock: FileLock | None = None
        self._buffer = _Buffer(self)
        self._small: list[Shard] = []  # written by this store, and small
        check_run_folder(self.folder)
        self._check_key(fresh)
        self.fresh = fresh  # whether what the folder holds is still to be removed
        unread = fresh or helper
        self.contents = Contents() if unread else read_shards(self.folder, kind, self._key)
        self.expected = 0  # units that this run will add: sets how often they are written
        # what changes only the rounding, as it is when units are written: the batch may be halved
        self.provenance: Callable[[], Mapping[str, Any]] = lambda: signature.provenance

    def _check_key(self, fresh: bool) -> None:
        try:
            found = read_manifest(self.folder)
        except ManifestError:
            return  # its shards say whose they are; ``begin`` writes another manifest
        if found is None or fresh:
            return
        if difference := found.difference(self.kind.name, self._key):
            raise OtherSettingsError(
                f"{self.folder} was begun with other settings ({difference}): repeat them to go "
                "on, choose another folder, or begin again with --resume fresh"
            )

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def tables(self) -> Iterator[pa.Table]:
        """The units that are on the disk."""
        yield from (shard.table for shard in self.contents.shards.values())

    @property
    def writing(self) -> bool:
        return self._lock is not None or self._helper

    @property
    def written(self) -> list[str]:
        """The names of the shards that a helper has written."""
        return [shard.path.name for shard in self._small]

    @property
    def unwritten(self) -> list[Mapping[str, Any]]:
        """The units that were added and are not on the disk."""
        return list(self._buffer.units)

    def begin(self, facts: Mapping[str, Any], expected: int) -> list[pa.Table]:
        """Take the lock and prepare the folder for writing; once more only renews the facts.

        facts:    for the manifest
        expected: how many units the run will add
        returns the units that another process has finished since the folder was read

        Raises InputError if another process is at it, or the folder cannot be written to.
        """
        self.expected = max(expected, 1)
        if self._helper:
            self._buffer.start()
            return []
        if self.writing:
            Manifest(self.kind.name, self._key, facts).write(self.folder)
            return []
        try:
            make_folder(self.folder / SHARDS)
            self._lock = self._acquire()
        except OSError as error:
            raise InputError(f"cannot write to {self.folder}: {reason(error)}") from error
        self._check_key(self.fresh)  # another process may have begun since
        if self.fresh:
            remove_units(self.folder)
            self.fresh = False
        known = dict(self.contents.shards)
        self.contents = read_shards(self.folder, self.kind, self._key, known)
        self._set_aside()
        Manifest(self.kind.name, self._key, facts).write(self.folder)
        self._buffer.start()
        return [s.table for name, s in self.contents.shards.items() if name not in known]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock for a moment, where this store does not. Raises InputError or OSError."""
        lock = self._acquire()
        try:
            yield
        finally:
            lock.release()

    def _acquire(self) -> FileLock:
        """The lock of this writer. A whole run and parts of it exclude each other."""
        own = "lock" if self._part is None else "lock-{}-of-{}".format(*self._part)
        lock = FileLock(self.folder / own)
        others = (
            sorted(self.folder.glob("lock-*")) if self._part is None else [self.folder / "lock"]
        )
        try:
            lock.acquire(timeout=0)
            for path in others:
                with FileLock(path).acquire(timeout=0):
                    pass
        except Timeout as error:
            lock.release()
            raise InputError(
                f"{self.folder} is in use by another process of conjure: wait until it ends, or "
                "choose another folder"
            ) from error
        return lock

    def _set_aside(self) -> None:
        """Move shards that cannot be used out of the way; a damaged manifest, too."""
        damaged = dict(self.contents.damaged)
        try:
            read_manifest(self.folder)
        except ManifestError:
            damaged[self.folder / NAME] = "it is damaged"
        if not damaged:
            return
        (self.folder / ASIDE).mkdir(exist_ok=True)
        for path, why in damaged.items():
            with suppress(FileNotFoundError):
                os.replace(path, free_name(self.folder / ASIDE / path.name))
            tell_damaged(path, why, "it is set aside, and what it held is computed again")
        self.contents.damaged.clear()

    def add(self, units: Sequence[Mapping[str, Any]]) -> None:
        """Keep finished units, one mapping of columns each; written soon, see the class."""
        assert self.writing, "begin first"
        self._buffer.add(units)

    def flush(self) -> None:
        """Write what was added: on the disk when this returns."""
        self._buffer.flush()

    def write(self, table: pa.Table, facts: Mapping[str, Any]) -> Shard:
        """Write one shard, whole. Its name is its checksum, so the same units have one shard."""
        facts = {"kind": self.kind.name, "key": self._key, **facts}
        text = json.dumps(facts, ensure_ascii=True, allow_nan=False, sort_keys=True)
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata({"conjure": text}), sink, compression="zstd")
        data = sink.getvalue().to_pybytes()
        path = self.folder / SHARDS / checksum_name(data)
        if not self.folder.joinpath(NAME).exists():
            raise InputError(f"{self.folder} was removed while it was being written to")
        with replacing(path) as draft:
            draft.write_bytes(data)
        shard = Shard(path, table.replace_schema_metadata(None), facts)
        self.contents.shards[path.name] = shard
        self._small.append(shard)
        if len(self._small) > _MANY and not self._helper:
            self._join()
        return shard

    def take_up(self, names: Sequence[str] | None = None) -> list[pa.Table]:
        """The units of shards that helpers have written, if they are new here.

        names: of the shards, as ``written`` has them; None is all that are in the folder
        """
        known = self.contents.shards
        lacking = None if names is None else [name for name in names if name not in known]
        found = read_shards(self.folder, self.kind, self._key, known, names=lacking)
        new = [shard for name, shard in found.shards.items() if name not in known]
        known.update((shard.path.name, shard) for shard in new)
        if found.damaged:
            self.contents.damaged |= found.damaged
            self._set_aside()
        self._small += new
        if len(self._small) > _MANY:
            self._join()
        return [shard.table for shard in new]

    def _join(self) -> None:
        """Replace the small shards of this store by one. Stopped in between, units are twice."""
        joined, self._small = self._small, []
        table = pa.concat_tables([shard.table for shard in joined])
        seconds = sum(number(shard.facts.get("seconds")) for shard in joined)
        new = self.write(table, {**joined[-1].facts, "seconds": seconds})
        self._small.clear()
        for shard in joined:
            if shard.path != new.path:
                shard.path.unlink(missing_ok=True)
                self.contents.shards.pop(shard.path.name, None)

    def close(self) -> None:
        """Write what was added, join small shards, and give the lock back."""
        if self._helper:
            self._buffer.stop()
        if self._lock is None:
            return
        try:
            self._buffer.stop()
            if len(self._small) > SMALL:
                with suppress(InputError):  # a full disk, say: the small ones stay
                    self._join()
        finally:
            lock, self._lock = self._lock, None
            lock.release()


class _Buffer:
    """Units that are not written yet; a thread writes them when they are due."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.units: list[Mapping[str, Any]] = []
        self._state = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        self._due: float | None = None  # when the oldest unit must be on the disk
        self._error: Exception | None = None
        self._ended = False
        self._added = 0
        self._begun = self._written = self._oldest = 0.0

    def start(self) -> None:
        self._begun = self._written = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="conjure-store", daemon=True)
        self._thread.start()

    def add(self, units: Sequence[Mapping[str, Any]]) -> None:
        with self._state:
            self.units += units
            self._added += len(units)
            self._raise()
            now = time.monotonic()
            if self._due is None:
                self._oldest, self._due = now, now + MAX_SECONDS
            self._due = min(self._due, self._oldest + self._patience(now))
            self._state.notify()

    def _patience(self, now: float) -> float:
        """5 % of the run, by units or by its estimated time, within the bounds."""
        expected = self._store.expected
        if len(self.units) >= SHARE * expected:
            return MIN_SECONDS
        whole = (now - self._begun) * expected / self._added
        return min(max(SHARE * whole, MIN_SECONDS), MAX_SECONDS)

    def flush(self) -> None:
        with self._state:
            self._raise()
            units, self.units, self._due = self.units, [], None
            if not units:
                return
            now = time.monotonic()
            facts = {**self._store.provenance(), "seconds": now - self._written}
            table = pa.Table.from_pylist([dict(unit) for unit in units], self._store.kind.schema)
            try:
                self._store.write(table, facts)
            except BaseException:
                self.units = units + self.units  # nothing finished is dropped
                raise
            self._written = now

    def stop(self) -> None:
        with self._state:
            self._ended = True
            self._state.notify()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _watch(self) -> None:
        with self._state:
            while not self._ended:
                left = None if self._due is None else self._due - time.monotonic()
                if left is not None and left <= 0:
                    try:
                        self.flush()
                    except Exception as error:  # told to the run at its next unit
                        self._error, self._ended = error, True
                else:
                    self._state.wait(left)

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error


def remove_units(folder: Path) -> None:
    """Remove what a run folder holds, but the locks; foreign files in it stay."""
    for path in (folder / SHARDS).glob("*.parquet"):
        path.unlink(missing_ok=True)
    for name in (EXPLANATIONS, TRAJECTORIES):
        Beside(folder, name).remove()
    (folder / NAME).unlink(missing_ok=True)


def remove_run(folder: Path) -> None:
    """Remove a run folder whose results are written elsewhere; foreign files in it stay."""
    remove_units(folder)
    for path in [*folder.glob("lock*"), *(folder / SHARDS).glob(".conjure-*.tmp")]:
        path.unlink(missing_ok=True)
    for path in (folder / SHARDS, folder):
        with suppress(OSError):  # something else is in it
            path.rmdir()


def kept_line(units: int, noun: str, folder: Path) -> str:
    """What is said of finished work when a run ends early."""
    verb = "is" if units == 1 else "are"
    return f"{number_of(units, noun)} {verb} kept in {folder}; the same command goes on from there"

"""Large results beside the shards of a run folder: a file for each key, with a checksum.

    RUN/NAME/KEY-CHECKSUM.npz      KEY: 16 digits that stand for the key
                                   CHECKSUM: of the whole key and the bytes, 32 digits of a SHA-256

Shards are read whole when a run is opened. These files are read one at a time, when they are used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..core.errors import InputError
from ..core.spec import Fact, Signature
from ..datasets.files import reason, replacing
from .manifest import ASIDE
from .shards import DIGITS, free_name, tell_damaged

EXPLANATIONS, TRAJECTORIES = "explanations", "trajectories"  # the names there are
SUFFIX = ".npz"
_MOST_BYTES = 2**32  # a larger file is not of ours


class Beside:
    """The files of one name in a run folder. One writer a key at a time, by the folder's lock.

    folder: of the run

    The folder is listed once, when it is first needed. What another process writes afterwards is
    not found. What it removes is missing when it is read.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._run, self.folder = folder, folder / name
        self._listed: dict[str, set[Path]] | None = None  # digest of a key → files

    def read(self, key: Mapping[str, Fact]) -> bytes | None:
        """What was written under a key, or None. A damaged file is set aside, with a warning."""
        for path in sorted(self._paths(key)):
            try:
                if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
                    continue
                data = path.read_bytes()
            except FileNotFoundError:  # another process has removed it
                continue
            except OSError as error:
                raise InputError(f"cannot read {path}: {reason(error)}") from error
            if path.name == self._name(key, data):
                return data
            self._set_aside(path)
            self._paths(key).discard(path)
        return None

    def has(self, key: Mapping[str, Fact]) -> bool:
        """Whether there is a file of a key; it may turn out damaged or gone when it is read."""
        return bool(self._paths(key))

    def write(self, key: Mapping[str, Fact], data: bytes, *, sync: bool = True) -> None:
        """Write a file whole. sync: whether it must be on the disk when this returns.

        Raises InputError where the system refuses.
        """
        path = self.folder / self._name(key, data)
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to {self.folder}: {reason(error)}") from error
        with replacing(path, sync=sync) as draft:
            draft.write_bytes(data)
        self._paths(key).add(path)

    def discard(self, key: Mapping[str, Fact]) -> None:
        """Remove the file of a key, if there is one; and the folder, if it is empty."""
        for path in self._paths(key):
            path.unlink(missing_ok=True)
        self._paths(key).clear()
        with suppress(OSError):  # something is in it
            self.folder.rmdir()

    def remove(self) -> None:
        """Remove all files of this name; foreign ones stay."""
        for pattern in (f"*-*{SUFFIX}", ".conjure-*.tmp"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)
        self._listed = None
        with suppress(OSError):  # there is none, or something else is in it
            self.folder.rmdir()

    def _paths(self, key: Mapping[str, Fact]) -> set[Path]:
        """The files of a key, as they were listed, with what was done here since."""
        if self._listed is None:
            self._listed = defaultdict(set)
            for path in self.folder.glob(f"*-*{SUFFIX}"):
                self._listed[path.name.partition("-")[0]].add(path)
        return self._listed[Signature(key).digest]

    def _name(self, key: Mapping[str, Fact], data: bytes) -> str:
        whole = json.dumps(dict(key), sort_keys=True, ensure_ascii=True, allow_nan=False)
        checksum = hashlib.sha256(whole.encode() + b"\n" + data).hexdigest()[:DIGITS]
        return f"{Signature(key).digest}-{checksum}{SUFFIX}"

    def _set_aside(self, path: Path) -> None:
        with suppress(OSError):  # a disk that is read-only: it is not used in any case
            (self._run / ASIDE).mkdir(exist_ok=True)
            os.replace(path, free_name(self._run / ASIDE / path.name))
        then = "it is set aside, and what it held is computed again"
        tell_damaged(path, "its bytes do not fit its checksum", then)

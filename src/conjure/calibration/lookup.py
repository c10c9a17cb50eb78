"""Find the reference of a distance: in the user's folders, then among those that ship.

A file is named after the digest of its key, and its key is compared as a whole. If there is no file
of that key, there is no reference: another T or guidance is never taken for it.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path

from ..core.errors import InputError
from ..core.spec import Signature
from .reference import Reference, reference_key

SHIPPED = Path(__file__).with_name("references")
PAIRS = Path(__file__).with_name("calibration_pairs.tsv")
FOLDER = "CONJURE_CALIBRATION"  # names a further folder, which is searched first


def user_folder() -> Path | None:
    """``$XDG_DATA_HOME/conjure/calibration``, else below ``~/.local/share``; None: no home."""
    named = os.environ.get("XDG_DATA_HOME", "")
    try:
        base = Path(named) if os.path.isabs(named) else Path.home() / ".local" / "share"
    except RuntimeError:
        return None
    return base / "conjure" / "calibration"


def folders() -> list[Path]:
    """Where references are looked for, in this order."""
    named = os.environ.get(FOLDER, "")
    own = [Path(named)] if named.strip() else []
    user = user_folder()
    return [*own, *([user] if user is not None else []), SHIPPED]


def place_of(folder: Path, key: Signature) -> Path:
    """The file of a key, which ``reference_key`` gives."""
    return folder / f"{key.digest}.json"


def find_reference(signature: Signature) -> Reference | None:
    """The reference for distances with this signature, or None if the process has none for them.

    Raises InputError, which names the file, where it is damaged.
    """
    key = reference_key(signature)
    for folder in folders():
        path = place_of(folder, key)
        try:
            stat = path.stat()
        except (OSError, ValueError):
            continue
        found = _read(path, stat.st_mtime_ns, stat.st_size)
        if dict(found.signature.key) != dict(key.key):
            raise InputError(f"{path} is the reference of other settings: remove it")
        return found
    return None


@lru_cache(maxsize=64)
def _read(path: Path, changed: int, size: int) -> Reference:
    """A file as it was at that time."""
    try:
        return Reference.read(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no reference, or is damaged: remove it, or run conjure calibrate again"
        ) from error

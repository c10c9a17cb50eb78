"""What a folder's files hold, as a short name: every byte counts, and big files are read once.

A card or a folder's name can claim anything, and an edit may change a single matrix of a model. So
the bytes decide. Digests of big files are kept in the user's cache: ``$XDG_CACHE_HOME/conjure``,
else ``~/.cache/conjure``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

_WORTH_KEEPING = 2**20  # bytes: smaller files are read faster than looked up
_MOST_KEPT = 1000  # files; the oldest entries go first
# A file that changed this short ago may change again without a new time stamp (clocks of file
# systems are coarse), so its digest is not kept. Git's index knows the same trap.
_SETTLED = 2.0  # seconds


def hash_files(folder: Path, paths: Iterable[Path]) -> str:
    """A short name for files below ``folder``: "sha256-" and 12 hexadecimal digits.

    Over their names, sizes and all their bytes; folders among them are passed over.
    """
    kept = _read()
    before = dict(kept)
    total = hashlib.sha256()
    for path in sorted({p for p in paths if p.is_file()}):
        name = path.relative_to(folder).as_posix().encode(errors="surrogateescape")
        total.update(b"%s\0%d\0%s\0" % (name, path.stat().st_size, _digest(path, kept).encode()))
    if kept != before:
        _write(kept)
    return f"sha256-{total.hexdigest()[:12]}"


def hash_file(path: Path) -> str:
    """12 hexadecimal digits that stand for the bytes of one file, whatever its name."""
    kept = _read()
    before = dict(kept)
    digest = _digest(path, kept)
    if kept != before:
        _write(kept)
    return digest[:12]


def _digest(path: Path, kept: dict[str, str]) -> str:
    """The sha256 of a file's bytes: from ``kept`` where the file is still the same, else read."""
    real = path.resolve()
    with real.open("rb") as file:
        stat = os.fstat(file.fileno())
        # The time of change cannot be set back, as that of modification can.
        times = (stat.st_mtime_ns, stat.st_ctime_ns)
        key = json.dumps([str(real), stat.st_size, *times, stat.st_dev, stat.st_ino])
        if key in kept:
            kept[key] = kept.pop(key)  # now the youngest
            return kept[key]
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(file.fileno())
    unchanged = (after.st_size, after.st_mtime_ns, after.st_ctime_ns) == (stat.st_size, *times)
    settled = time.time() - max(times) / 1e9 > _SETTLED
    if stat.st_size >= _WORTH_KEEPING and unchanged and settled:
        kept[key] = digest
    return digest


def _place() -> Path | None:
    """The file that digests are kept in; None where there is no home to keep it in."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    except RuntimeError:  # no home
        return None
    return base / "conjure" / "sha256.json"


def _read() -> dict[str, str]:
    """The digests that are kept; none where the file is damaged or cannot be read."""
    place = _place()
    try:
        found = json.loads(place.read_text(encoding="utf-8")) if place else {}
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if _is_digest(value)}


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _write(kept: dict[str, str]) -> None:
    """Keep the digests, whole or not at all. Without a place to write, files are read again."""
    place = _place()
    if place is None:
        return
    youngest = dict(list(kept.items())[-_MOST_KEPT:])
    draft = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=place.parent, prefix=place.name, delete=False
        ) as file:
            draft = file.name
            json.dump(youngest, file)
        os.replace(draft, place)
    except (OSError, ValueError):  # read-only, full, or a path that cannot be encoded
        if draft is not None:
            with contextlib.suppress(OSError):
                os.unlink(draft)

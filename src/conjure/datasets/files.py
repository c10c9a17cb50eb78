"""The user's files: read errors are one line, and a file is written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.errors import InputError


def read_bytes(path: Path) -> bytes:
    """The bytes of a file. Raises InputError that says why it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; give a file") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise InputError(f"cannot read {path}: {reason(error)}") from error


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise InputError if the output could not be written, before hours of computing."""
    try:
        if not path.parent.is_dir():
            raise InputError(f"no such folder: {path.parent}")
        if path.is_dir():
            raise InputError(f"{path} is a folder; --out names a file")
        if path.is_symlink() and not path.exists():
            raise InputError(f"{path} is a link to a file that does not exist: name that file")
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a regular file; --out names one")
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists already; give --overwrite to replace it")
    except InputError:
        raise
    except (OSError, ValueError) as error:  # such as a name that is too long
        raise InputError(f"cannot write {path}: {reason(error)}") from error


def is_same(path: Path, other: Path) -> bool:
    """Whether two paths lead to the same file, through any links."""
    try:
        return path.samefile(other)
    except (OSError, ValueError):  # one of them does not exist
        return False


def check_folder(path: Path) -> None:
    """Raise InputError if a folder of results could not be made or written to."""
    try:
        there = next(one for one in (path, *path.absolute().parents) if one.exists())
        if not there.is_dir():
            raise InputError(f"{there} is a file, so there can be no folder {path}")
        if not os.access(there, os.W_OK | os.X_OK):
            raise InputError(f"cannot write to {there}: {_unwritable(there)}")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write to {path}: {reason(error)}") from error


def _unwritable(folder: Path) -> str:
    if hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY:
        return os.strerror(errno.EROFS)
    return os.strerror(errno.EACCES)


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """A new empty file beside ``path`` to write to; at the end it replaces ``path``.

    If anything fails, the new file is removed and the old one stays. A link is followed. The new
    file has a random name, so no other file of the user is touched. It is on the disk before it
    gets its name, and the name is on the disk at the end: a loss of power leaves either file whole.
    Without ``sync`` a loss of power may leave a part of the new file; nothing else does.
    Raises InputError if the system refuses.
    """
    draft = None
    try:
        target = Path(os.path.realpath(path))
        draft = _new_file(target.parent)
        yield draft
        if target.exists():
            draft.chmod(target.stat().st_mode & 0o7777)
        if sync:
            _sync(draft)
        os.replace(draft, target)
        if sync:
            _sync(target.parent)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot write {path}: {reason(error)}") from error
    finally:
        if draft is not None:
            with suppress(OSError):  # after success it is gone already
                draft.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it. Their names are on the disk when this returns."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for one in missing:
        _sync(one.parent)


def _sync(path: Path) -> None:
    """Let the system write a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    # Windows syncs only what is open for writing.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system without fsync
            raise
    finally:
        os.close(descriptor)


def _new_file(folder: Path) -> Path:
    """A new empty file with a random name and the usual permissions."""
    while True:
        path = folder / f".conjure-{secrets.token_hex(6)}.tmp"
        with suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path


def refused(error: OSError) -> str:
    """The system's reason for an error, with the file.

    >>> refused(OSError(28, "No space left on device", "out.csv"))
    'No space left on device: out.csv'
    """
    return f"{reason(error)}: {error.filename}" if error.filename else reason(error)


def reason(error: Exception) -> str:
    """The system's reason for an error, without its number.

    >>> reason(OSError(28, "No space left on device"))
    'No space left on device'
    """
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said)

"""``-`` in place of a file: tables from stdin, tables to stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..datasets.formats import Source
from ..datasets.tables import table_bytes

STREAM = Path("-")
_KIND = "tsv"


def is_stream(path: Path | None) -> bool:
    """Whether a path stands for stdin or stdout; a file of that name goes by its full path.

    >>> is_stream(Path("-")), is_stream(Path("x.csv")), is_stream(None)
    (True, False, False)
    """
    return path == STREAM


def kind_of(kind: str | None, *paths: Path | None) -> str:
    """The format of the streams, such as ".tsv". InputError for --format where all are files."""
    if kind is not None and not any(map(is_stream, paths)):
        raise InputError("--format is for - alone: a file's format is that of its name")
    return f".{kind or _KIND}"


def stdin_bytes() -> bytes:
    """All of stdin. Raises InputError where it is closed."""
    if sys.stdin is None:
        raise InputError("stdin is closed, so there is nothing to read: give a file")
    return sys.stdin.buffer.read()


def table_source(path: Path, kind: str) -> Path | Source:
    """Where a table is read from: the file, or all of stdin in the format ``kind``."""
    return Source("stdin", kind, stdin_bytes()) if is_stream(path) else path


def write_stdout(kind: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table to stdout, once it is whole."""
    sys.stdout.buffer.write(table_bytes(kind, columns, rows))
    sys.stdout.buffer.flush()

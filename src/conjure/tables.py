"""Pair tables in and out: TSV, CSV, JSON lines and Parquet, told apart by the file's extension.

TSV is read and written without quoting (as the human-annotated sets are), CSV with it. Everything
is UTF-8. One row that cannot be used is set aside with its line number; the others are kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .core.errors import InputError
from .formats import COMPRESSED, READERS, WRITERS, BadRow, Row

NAMED_COLUMNS = (("sentence1", "sentence2"), ("text1", "text2"))


@dataclass(frozen=True)
class PairTable:
    """A table with two columns of texts, named by ``texts``; the other columns are carried."""

    columns: tuple[str, ...]
    texts: tuple[str, str]
    rows: tuple[Row, ...]
    bad: tuple[BadRow, ...]

    def pairs(self) -> list[tuple[str, str]]:
        first, second = self.texts
        return [(row.cells[first], row.cells[second]) for row in self.rows]


def read_pairs(path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> PairTable:
    """Read pairs of texts from a TSV, CSV, JSONL or Parquet file, or a gzipped TSV, CSV or JSONL.

    columns: the names of the two text columns; by default sentence1 and sentence2, or text1 and
    text2, where the table has them, else its first two columns. TSV and CSV need a header line.
    Raises InputError where nothing can be read: no such file, not UTF-8, a column that is missing.
    """
    path = Path(path)
    names: list[str] = []
    found: list[Row | BadRow] = []
    kind = path.with_suffix("") if path.suffix.lower() == COMPRESSED else path
    for item in READERS[extension(kind)](path):
        if isinstance(item, list):
            names += [name for name in item if name not in names]
        else:
            found.append(item)
    texts = _text_columns(path, names, columns)
    checked = [_check_texts(item, texts) if isinstance(item, Row) else item for item in found]
    return PairTable(
        columns=tuple(names),
        texts=texts,
        rows=tuple(item for item in checked if isinstance(item, Row)),
        bad=tuple(item for item in checked if isinstance(item, BadRow)),
    )


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as TSV, CSV, JSONL or Parquet, all or nothing: ``path`` never holds half a table.

    Raises InputError where the format cannot carry a cell (a tab or line break in TSV, say).
    """
    os.replace(_draft(path, columns, rows), path)


def check_writable(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Raise now what ``write_rows`` would raise after hours of computing, by writing a draft."""
    _draft(path, columns, rows).unlink()


def _draft(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    draft = path.with_name(path.name + ".tmp")
    try:
        WRITERS[extension(path)](draft, columns, rows)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    except UnicodeEncodeError as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: a cell is not valid Unicode") from error
    except InputError:
        draft.unlink(missing_ok=True)
        raise
    return draft


def extension(path: Path) -> str:
    """The table format that a path's extension names; InputError where it names none."""
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise InputError(f"{path}: unknown table format {suffix!r}; use {', '.join(READERS)}")
    return suffix


def text_fault(text: object) -> str | None:
    """Why a cell cannot be compared as a text; None where it can."""
    if text is None:
        return "is missing"
    if not isinstance(text, str):
        return f"is not a text but {type(text).__name__}"
    if not text.strip():
        return "is empty"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return None


def _check_texts(row: Row, texts: tuple[str, str]) -> Row | BadRow:
    for name in texts:
        if fault := text_fault(row.cells.get(name)):
            return BadRow(row.line, f"{name} {fault}")
    return row


def _text_columns(
    path: Path, names: Sequence[str], columns: Sequence[str] | None
) -> tuple[str, str]:
    if columns is not None:
        first, second = columns
        for name in (first, second):
            if name not in names:
                raise InputError(f"{path} has no column {name!r}; it has {', '.join(names)}")
        return first, second
    for first, second in NAMED_COLUMNS:
        if first in names and second in names:
            return first, second
    if len(names) < 2:
        raise InputError(f"{path} needs two columns of texts; it has {', '.join(names) or 'none'}")
    return names[0], names[1]

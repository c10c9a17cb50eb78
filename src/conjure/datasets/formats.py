"""Read and write each table format row by row; ``tables`` says what the rows mean."""

from __future__ import annotations

import csv
import gzip
import io
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TextIO

from ..core.errors import InputError
from ..core.text import brief, number_of
from .cells import json_cell, json_object, plain
from .files import read_bytes, reason


@dataclass(frozen=True)
class PairRow:
    """One usable row: where it begins (1-based line; in Parquet the row) and all its cells."""

    line: int
    cells: dict[str, Any]


@dataclass(frozen=True)
class BadRow:
    """One row that cannot be used, and why."""

    line: int
    reason: str


COMPRESSED = ".gz"  # may follow the extension of a text format; read only


@dataclass(frozen=True)
class Source:
    """A table that is to be read: what messages call it, its format such as ".tsv", its bytes."""

    name: str
    kind: str
    data: bytes
    compressed: bool = False

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of(cls, path: Path) -> Source:
        """A file. Raises InputError for an unknown format, and where it cannot be read."""
        compressed = path.suffix.lower() == COMPRESSED
        kind = extension(path.with_suffix("") if compressed else path)
        return cls(str(path), kind, read_bytes(path), compressed)


def extension(path: Path) -> str:
    """The table format that a path's extension names; InputError where it names none."""
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise InputError(f"{path}: unknown table format {suffix!r}; use {', '.join(READERS)}")
    return suffix


# Reading: each reader yields lists of column names and the rows, good and bad, in file order.

Items = Iterator[list[str] | PairRow | BadRow]


def _read_text(path: Source) -> str:
    data = path.data
    if path.compressed:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error, struct.error) as error:
            raise InputError(f"{path} is not gzip, or damaged: {error}") from error
    try:
        return data.decode("utf-8-sig")  # spreadsheets put a byte order mark in front
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path} is not UTF-8 (line {line}); convert it first") from error


def _read_delimited(path: Source, delimiter: str, quoting: Literal[0, 3]) -> Items:
    lines = io.StringIO(_read_text(path), newline="")
    csv.field_size_limit(2**31 - 1)  # the module's limit of 128 KiB would lose long texts
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    names: list[str] | None = None
    while True:
        begin = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            if names is None:  # without a header, the next line would become the column names
                raise InputError(f"{path}: the line of column names: {error}") from error
            yield BadRow(begin, f"{error}{_up_to(begin, reader.line_num)}")
            continue
        if fields is None:
            break
        if not fields:  # a blank line
            continue
        if names is None:
            names = fields
            _check_header(path, names)
            yield names
        elif len(fields) != len(names):
            count = f"{number_of(len(fields), 'field')} instead of {len(names)}"
            yield BadRow(begin, f"{count}{_up_to(begin, reader.line_num)}")
        else:
            yield PairRow(begin, dict(zip(names, fields, strict=True)))
    if names is None:
        raise InputError(f"{path} is empty; its first line should name the columns")


def _up_to(begin: int, end: int) -> str:
    return f" (up to line {end})" if end > begin else ""


def _check_header(path: Source, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path} names a column twice: {', '.join(map(brief, twice))}")


def _read_tsv(path: Source) -> Items:
    return _read_delimited(path, "\t", csv.QUOTE_NONE)


def _read_csv(path: Source) -> Items:
    return _read_delimited(path, ",", csv.QUOTE_MINIMAL)


def _read_jsonl(path: Source) -> Items:
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            cells = json_object(line)
        except ValueError as error:
            yield BadRow(number, str(error))
            continue
        yield list(cells)
        yield PairRow(number, cells)


def _read_parquet(path: Source) -> Items:
    arrow, parquet = parquet_modules()
    data = path.data
    try:  # from memory: given a path, pyarrow reads columns off the names of folders, too
        table = parquet.read_table(arrow.BufferReader(data))
        rows = table.to_pylist()
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(f"cannot read {path} as Parquet: {_first_line(error)}") from error
    names = [str(name) for name in table.column_names]
    _check_header(path, names)
    yield names
    for number, cells in enumerate(rows, start=1):
        yield PairRow(number, cells)


# Writing: each writer fills a new file.


def _write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(_tsv_cells(dict(zip(columns, columns, strict=True)), columns)) + "\n")
        for row in rows:
            file.write("\t".join(_tsv_cells(row, columns)) + "\n")


def _tsv_cells(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    cells = [plain(row.get(name)) for name in columns]
    for name, cell in zip(columns, cells, strict=True):
        if any(mark in cell for mark in "\t\r\n"):
            raise InputError(
                f"{brief(name)}: {brief(cell)} holds a tab or a line break, which TSV cannot carry"
                ": write to .csv, .jsonl or .parquet"
            )
    return cells


class _UnixLines:
    """Ends rows with \\n. The csv module has to use \\r\\n, or it leaves a lone \\r unquoted."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + "\n")


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(_UnixLines(file))
        writer.writerow(columns)
        writer.writerows([plain(row.get(name)) for name in columns] for row in rows)


def _write_jsonl(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            cells = {name: row[name] for name in columns if name in row}
            file.write(json_cell(cells) + "\n")


def _write_parquet(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    parquet_modules()[1].write_table(_arrow_table(columns, rows), path)


def _arrow_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Any:
    arrow, _ = parquet_modules()
    rows = list(rows)
    arrays = {}
    for name in columns:
        try:
            arrays[name] = arrow.array([row.get(name) for row in rows])
        except (arrow.ArrowException, ValueError, OverflowError) as error:
            raise InputError(
                f"column {brief(name)} cannot be written as Parquet: {_first_line(error)}"
            ) from error
    return arrow.table(arrays)


def parquet_modules() -> tuple[ModuleType, ModuleType]:
    """pyarrow, imported where it is used: it takes a tenth of a second."""
    import pyarrow
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet


def _first_line(error: Exception) -> str:
    """The first line of a library's message, without a colon at its end."""
    return (reason(error).splitlines() or [""])[0].rstrip(" :")


READERS: dict[str, Callable[[Source], Items]] = {
    ".tsv": _read_tsv,
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
WRITERS: dict[str, Callable[[Path, Sequence[str], Iterable[Mapping[str, Any]]], None]] = {
    ".tsv": _write_tsv,
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}

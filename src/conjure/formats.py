"""How each table format is read and written, row by row; ``tables`` says what rows mean."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TextIO

from .core.errors import InputError


@dataclass(frozen=True)
class Row:
    """One usable row: where it begins (1-based line; in Parquet the row) and all its cells."""

    line: int
    cells: dict[str, Any]


@dataclass(frozen=True)
class BadRow:
    """One row that was set aside, and why."""

    line: int
    reason: str


COMPRESSED = ".gz"  # read after the extension of any text format; never written

# Reading: each reader yields lists of column names and the rows, good and bad, in file order.

Items = Iterator[list[str] | Row | BadRow]


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if path.suffix.lower() == COMPRESSED:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is not gzip, or damaged: {error}") from error
    try:
        return data.decode("utf-8-sig")  # spreadsheets put a byte order mark in front
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path} is not UTF-8 (line {line}); convert it first") from error


def _read_delimited(path: Path, delimiter: str, quoting: Literal[0, 3]) -> Items:
    lines = io.StringIO(_read_text(path), newline="")
    csv.field_size_limit(2**31 - 1)  # the module's limit of 128 KiB would lose long texts
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    names: list[str] | None = None
    while True:
        begin = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield BadRow(begin, str(error))
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
            end = "" if reader.line_num == begin else f" (up to line {reader.line_num})"
            yield BadRow(begin, f"{len(fields)} fields instead of {len(names)}{end}")
        else:
            yield Row(begin, dict(zip(names, fields, strict=True)))
    if names is None:
        raise InputError(f"{path} is empty; its first line should name the columns")


def _check_header(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path} names a column twice: {', '.join(map(repr, twice))}")


def _read_tsv(path: Path) -> Items:
    return _read_delimited(path, "\t", csv.QUOTE_NONE)


def _read_csv(path: Path) -> Items:
    return _read_delimited(path, ",", csv.QUOTE_MINIMAL)


def _read_jsonl(path: Path) -> Items:
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield BadRow(number, f"not JSON: {error}")
            continue
        if not isinstance(cells, dict):
            yield BadRow(number, f"not a JSON object but {type(cells).__name__}")
            continue
        yield list(cells)
        yield Row(number, cells)


def _read_parquet(path: Path) -> Items:
    arrow, parquet = _pyarrow()
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        table = parquet.read_table(path)
    except arrow.ArrowException as error:
        raise InputError(f"cannot read {path} as Parquet: {_first_line(error)}") from error
    yield list(table.column_names)
    for number, cells in enumerate(table.to_pylist(), start=1):
        yield Row(number, cells)


# Writing: each writer fills a file that does not exist yet.


def _write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(_tsv_cells(dict(zip(columns, columns, strict=True)), columns)) + "\n")
        for row in rows:
            file.write("\t".join(_tsv_cells(row, columns)) + "\n")


def _tsv_cells(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    cells = [_plain(row.get(name)) for name in columns]
    for name, cell in zip(columns, cells, strict=True):
        if any(mark in cell for mark in "\t\r\n"):
            raise InputError(
                f"{name} {cell!r} holds a tab or a line break, which TSV cannot carry: "
                "write to .csv, .jsonl or .parquet"
            )
    return cells


class _UnixLines:
    """Ends rows with \\n. The csv module must think of \\r\\n, or it leaves a lone \\r unquoted."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + "\n")


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(_UnixLines(file))
        writer.writerow(columns)
        writer.writerows([_plain(row.get(name)) for name in columns] for row in rows)


def _write_jsonl(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            cells = {name: row[name] for name in columns if name in row}
            file.write(json.dumps(cells, ensure_ascii=False, default=str) + "\n")


def _write_parquet(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    _pyarrow()[1].write_table(_arrow_table(columns, rows), path)


def _arrow_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Any:
    arrow, _ = _pyarrow()
    rows = list(rows)
    arrays = {}
    for name in columns:
        try:
            arrays[name] = arrow.array([row.get(name) for row in rows])
        except arrow.ArrowException as error:
            raise InputError(
                f"column {name!r} cannot be written as Parquet: {_first_line(error)}"
            ) from error
    return arrow.table(arrays)


def _plain(cell: Any) -> str:
    """A cell as TSV and CSV print it: nothing for None, JSON for what is nested."""
    if cell is None:
        return ""
    if isinstance(cell, dict | list | bool):
        return json.dumps(cell, ensure_ascii=False, default=str)
    return str(cell)


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise InputError("Parquet needs pyarrow: pip install 'conjure[parquet]'") from None
    return pyarrow, pyarrow.parquet


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


READERS: dict[str, Callable[[Path], Items]] = {
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

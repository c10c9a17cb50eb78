"""Read and write tables of pairs: TSV, CSV, JSON lines and Parquet, by the file's extension.

TSV has no quoting (as in the human-annotated sets), CSV has. Everything is UTF-8. A row that
cannot be used is left out with its line number; the other rows are kept.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..core.text import brief, number_of, shown, text_fault
from .files import replacing
from .formats import READERS, WRITERS, BadRow, PairRow, Source, extension

NAMED_COLUMNS = (("sentence1", "sentence2"), ("text1", "text2"))
BAD_ROWS_SHOWN = 5
_ID_NAMES = ("id", "uuid", "guid", "index", "key")
_ID_LENGTH = 64


@dataclass(frozen=True)
class PairTable:
    """A table with two columns of texts; the other columns are kept.

    texts:    the names of the two columns
    guessed:  whether they are just the first two, without a known name
    rejected: pairs of texts that a process cannot read → why; they are not in ``rows``
    """

    columns: tuple[str, ...]
    texts: tuple[str, str]
    rows: tuple[PairRow, ...]
    bad: tuple[BadRow, ...]
    guessed: bool = False
    rejected: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def pairs(self) -> list[tuple[str, str]]:
        first, second = self.texts
        return [(row.cells[first], row.cells[second]) for row in self.rows]


def read_pairs(
    path: str | os.PathLike[str] | Source, columns: Sequence[str] | None = None
) -> PairTable:
    """Read pairs of texts from a TSV, CSV, JSONL or Parquet file, or a gzipped TSV, CSV or JSONL.

    path:    a file, or a ``Source`` that was read from elsewhere
    columns: the names of the two text columns; by default sentence1 and sentence2, or text1 and
    text2, where the table has them, else its first two columns, unless one of these holds numbers
    or ids (``_doubt``). TSV and CSV need a header line.
    Raises InputError where nothing can be read: no such file, not UTF-8, a column that is missing.
    """
    path = path if isinstance(path, Source) else Source.of(Path(path))
    names, found = read_rows(path)
    if not names and found and isinstance(first := found[0], BadRow):
        raise InputError(f"{path} has no row that can be used; line {first.line}: {first.reason}")
    texts, guessed = _text_columns(path, names, columns)
    if guessed:
        _check_guess(path, names, texts, [item for item in found if isinstance(item, PairRow)])
    checked = [_check_texts(item, texts) if isinstance(item, PairRow) else item for item in found]
    return PairTable(
        columns=tuple(names),
        texts=texts,
        rows=tuple(item for item in checked if isinstance(item, PairRow)),
        bad=tuple(item for item in checked if isinstance(item, BadRow)),
        guessed=guessed,
    )


def read_rows(source: Source) -> tuple[list[str], list[PairRow | BadRow]]:
    """The names of the columns, and the rows, good and bad, in the order of the table."""
    names: list[str] = []
    found: list[PairRow | BadRow] = []
    for item in READERS[source.kind](source):
        if isinstance(item, list):
            names += [name for name in item if name not in names]
        else:
            found.append(item)
    return names, found


def left_out(bad: Sequence[BadRow], source: str = "", noun: str = "line") -> list[str]:
    """Lines for people about rows that were left out: the first few, then the number of others.

    noun: what ``BadRow.line`` counts
    """
    where = f"{source}, " if source else ""
    lines = [f"{where}{noun} {row.line} left out: {row.reason}" for row in bad[:BAD_ROWS_SHOWN]]
    more = len(bad) - BAD_ROWS_SHOWN
    if more > 0:
        rows = "row" if noun == "line" else noun
        lines.append(f"{where}{number_of(more, f'more {rows}')} left out, {len(bad):,} in all")
    return lines


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as TSV, CSV, JSONL or Parquet; ``path`` never holds half a table.

    Raises InputError if the format cannot hold a cell, such as a line break in TSV.
    """
    with replacing(path) as draft:
        _write(path, draft, columns, rows)


def check_writable(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Raise the errors of ``write_rows`` now, before hours of computing, by writing a draft."""
    with suppress(_Enough), replacing(path) as draft:
        _write(path, draft, columns, rows)
        raise _Enough  # so that the draft is removed


def table_bytes(kind: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as the bytes of a table of that format, such as ".tsv", for a stream."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, f"stdout{kind}")
        _write(Path(draft.name), draft, columns, rows)
        return draft.read_bytes()


class _Enough(Exception):
    """A draft was written, and nothing is to be replaced."""


def _write(
    path: Path, draft: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    try:
        WRITERS[extension(path)](draft, columns, rows)
    except UnicodeEncodeError as error:
        raise InputError(f"cannot write {path}: a cell is not valid Unicode") from error
    except RecursionError as error:
        raise InputError(f"cannot write {path}: a cell is nested too deeply") from error


def _check_texts(row: PairRow, texts: tuple[str, str]) -> PairRow | BadRow:
    for name in texts:
        if fault := text_fault(row.cells.get(name)):
            return BadRow(row.line, f"{name} {fault}")
    return row


def _text_columns(
    path: Source, names: Sequence[str], columns: Sequence[str] | None
) -> tuple[tuple[str, str], bool]:
    """The names of the two columns of texts, and whether they are a guess."""
    if columns is not None:
        if isinstance(columns, str) or len(columns) != 2:
            raise InputError(f"columns must be two names, not {brief(columns)}")
        first, second = columns
        for name in (first, second):
            if name not in names:
                raise InputError(f"{path} has no column {brief(name)}; it has {listed(names)}")
        if first == second:
            raise InputError(f"{path}: column {brief(first)} would be compared with itself")
        return (first, second), False
    for first, second in NAMED_COLUMNS:
        if first in names and second in names:
            return (first, second), False
    if len(names) < 2:
        raise InputError(f"{path} needs two columns of texts; it has {listed(names) or 'none'}")
    return (names[0], names[1]), True


def listed(names: Sequence[str], max_names: int = 20) -> str:
    """Names of columns, separated by commas; at most ``max_names`` of them."""
    more = [f"{len(names) - max_names:,} more"] if len(names) > max_names else []
    return ", ".join([*(shown(name, 40) for name in names[:max_names]), *more])


def _check_guess(
    path: Source, names: Sequence[str], texts: tuple[str, str], rows: Sequence[PairRow]
) -> None:
    """Raise InputError if one of the two guessed columns does not look like texts."""
    for name in texts:
        if doubt := _doubt(name, [row.cells.get(name) for row in rows]):
            raise InputError(
                f"{path} does not say which columns are the texts, and the first two, "
                f"{brief(texts[0])} and {brief(texts[1])}, are not: {brief(name)} {doubt}. "
                f"Name two of {listed(names)} by --columns A B"
            )


def _doubt(name: str, cells: Sequence[Any]) -> str | None:
    """Why a guessed column does not look like texts; None if it does.

    It holds numbers if more than half of its cells are numbers or dates. It holds ids if its name
    says so ("id", "pair_id", "index"). It also holds ids if all values are different single short
    words, and more than half of them have a digit or an underscore (p1, img_04, 3f2a-77): texts
    are usually different too, but words with digits are rare.
    """
    if re.fullmatch(rf"({'|'.join(_ID_NAMES)})|.*[_ -]id", name.strip().casefold(), re.DOTALL):
        return "is named like an id"
    filled = [cell for cell in cells if cell is not None and str(cell).strip()]
    if 2 * sum(map(_is_number, filled)) > len(filled):
        return "holds numbers"
    words = [cell for cell in filled if isinstance(cell, str)]
    if not words or len({*words}) < len(words) or len(words) < len(filled):
        return None
    if any(len(word) > _ID_LENGTH or re.search(r"\s", word.strip()) for word in words):
        return None
    marked = sum(1 for word in words if re.search(r"[0-9_]", word))
    return "looks like ids" if 2 * marked > len(words) else None


def _is_number(cell: Any) -> bool:
    """Whether a cell is a number or is written like one: 3, 1e-5, 12 %, 1.234,5, 2026-01-31."""
    if isinstance(cell, str) and any(map(str.isdigit, cell)) and not any(map(str.isalpha, cell)):
        return True
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    except OverflowError:  # an int of hundreds of digits
        return True
    return True

"""The texts of ``conjure matrix`` and their classes: from the command line, lists and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError
from ..core.text import brief, text_fault
from ..datasets.formats import BadRow, PairRow, Source
from ..datasets.tables import left_out, listed, read_rows
from .one_to_many import LINE, read_lines
from .streams import is_stream, stdin_bytes
from .wording import tell

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess


@dataclass(frozen=True)
class Table:
    """The table that texts came from: its name, its columns, and the row of each text."""

    name: str
    columns: Sequence[str]
    rows: Sequence[dict[str, Any]]


def read_texts(
    texts: Sequence[str], file: Path | None, column: str | None
) -> tuple[list[str], Table | None]:
    """The texts in order. Lines that cannot be used are reported and left out, repeats too."""
    if file is None:
        if column is not None:
            raise InputError("--column goes with --file alone: leave it out")
        if not texts:
            raise InputError("there is no text: give two or more, or --file FILE")
        return list(texts), None
    if texts:
        raise InputError("TEXTS cannot go with --file: leave one of them out")
    if column is None:
        return read_list(file), None
    source = Source("stdin", ".tsv", stdin_bytes()) if is_stream(file) else Source.of(file)
    names, found = read_rows(source)
    if column not in names:
        raise InputError(f"{source} has no column {brief(column)}; it has {listed(names)}")
    good = _usable(found, column)
    rows = {row.cells[column]: row.cells for row in reversed(good)}  # the first of a repeat stays
    kept = [row.cells for row in good if rows[row.cells[column]] is row.cells]
    return [cells[column] for cells in kept], Table(str(source), names, kept)


def _usable(found: Sequence[PairRow | BadRow], column: str) -> list[PairRow]:
    """The rows that hold a new text in ``column``; the others are reported."""
    good: list[PairRow] = []
    bad: list[BadRow] = []
    seen: dict[str, int] = {}
    for row in found:
        if isinstance(row, BadRow):
            bad.append(row)
        elif fault := text_fault(text := row.cells.get(column)):
            bad.append(BadRow(row.line, f"{column} {fault}"))
        elif text in seen:
            bad.append(BadRow(row.line, f"{brief(text)} is in line {seen[text]} already"))
        else:
            seen[row.cells[column]] = row.line
            good.append(row)
    for line in left_out(bad):
        tell(line)
    return good


def read_list(file: Path, *, repeats: bool = False) -> list[str]:
    """A text a line, in UTF-8; blank lines are passed over. repeats: whether they are kept."""
    rows = read_lines(file)
    if repeats:
        if bad := [row for row in rows if isinstance(row, BadRow)]:
            raise InputError(f"{file}, line {bad[0].line}: {bad[0].reason}")
        return [row.cells[LINE] for row in rows if isinstance(row, PairRow)]
    return [row.cells[LINE] for row in _usable(rows, LINE)]


def read_classes(
    classes: str | None, texts: Sequence[str], table: Table | None
) -> list[str] | None:
    """The class of each text, from a column of the table, or from a file with one a line."""
    if classes is None:
        return None
    if table is not None and classes in table.columns:
        found = [row.get(classes) for row in table.rows]
        for text, name in zip(texts, found, strict=True):
            if not isinstance(name, str) or not name.strip():
                raise InputError(f"{table.name}: {brief(text)} has no class in {brief(classes)}")
        return [str(name) for name in found]
    if table is not None and not Path(classes).is_file():
        raise InputError(
            f"{table.name} has no column {brief(classes)}; it has {listed(table.columns)}"
        )
    names = read_list(Path(classes), repeats=True)
    if len(names) != len(texts):
        raise InputError(
            f"{classes} has {len(names):,} classes for {len(texts):,} texts: give one for each text"
        )
    return names


def leave_unreadable_texts(
    texts: list[str], classes: list[str] | None, process: GenerativeProcess
) -> tuple[list[str], list[str] | None, dict[str, str]]:
    """Texts and classes without the texts of which nothing is read, and these: text → why.

    Each is reported. Raises InputError where fewer than two are left, or too few to test classes.
    """
    from collections import Counter

    from ..core.reading import unreadable
    from ..matrices.record import checked_texts
    from ..stats.separation import check_classes

    rejected = dict(unreadable(process, texts))
    if not rejected:
        return texts, classes, rejected
    bad = [BadRow(place, rejected[text]) for place, text in enumerate(texts, 1) if text in rejected]
    for line in left_out(bad, noun="text"):
        tell(line)
    kept = [place for place, text in enumerate(texts) if text not in rejected]
    checked_texts([texts[place] for place in kept])
    if classes is not None:
        classes = [classes[place] for place in kept]
        check_classes(Counter(classes))
    return [texts[place] for place in kept], classes, rejected

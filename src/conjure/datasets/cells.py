"""Cells of tables as JSON and as plain text; only strict JSON is read and written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from ..core.errors import InputError

MAX_DEPTH = 100  # levels of a JSON cell; Python may read a deeper one and then fail to write it


def json_object(line: str) -> dict[str, Any]:
    """The object in one line of JSON lines. Raises ValueError if it is not a JSON object.

    NaN and repeated names are errors too; Python's own reader accepts both.
    """
    try:
        found = json.loads(line, parse_constant=_no_number, object_pairs_hook=_object)
        if _is_deep(line, found):
            raise RecursionError
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"not a JSON object but {type(found).__name__}")
    return found


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _is_deep(line: str, cells: Any) -> bool:
    if line.count("[") + line.count("{") <= MAX_DEPTH:
        return False  # nearly always so, and cheap to see
    level = [cells]
    for _ in range(MAX_DEPTH):
        level = [part for one in level for part in _parts(one)]
    return bool(level)


def _parts(cell: Any) -> Iterable[Any]:
    if isinstance(cell, dict):
        return cell.values()
    return cell if isinstance(cell, list) else ()


def json_cell(cell: Any) -> str:
    """A cell, or a row of cells, as JSON.

    NaN is a missing number and becomes null. Raises InputError for an infinite number, which JSON
    cannot hold.
    """
    try:
        return json.dumps(cell, ensure_ascii=False, default=plain, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(cell), ensure_ascii=False, default=plain, allow_nan=False)


def _without_nan(cell: Any) -> Any:
    if isinstance(cell, float) and not math.isfinite(cell):
        if math.isnan(cell):
            return None
        raise InputError("a cell holds an infinite number, which JSON cannot carry")
    if isinstance(cell, dict):
        return {name: _without_nan(part) for name, part in cell.items()}
    return [_without_nan(part) for part in cell] if isinstance(cell, list | tuple) else cell


def plain(cell: Any) -> str:
    """A cell as TSV and CSV print it: empty for None, JSON for nested cells.

    Raises InputError for bytes that are not text, which only Parquet can hold.
    """
    if cell is None:
        return ""
    if isinstance(cell, dict | list | bool):
        return json_cell(cell)
    if isinstance(cell, bytes):
        try:
            return cell.decode()
        except UnicodeDecodeError:
            raise InputError("a cell holds bytes that are not text: write to .parquet") from None
    return str(cell)

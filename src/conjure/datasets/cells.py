"""Cells of tables as JSON and as plain text: strictly read, and nothing written that is no JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from ..core.errors import InputError

MAX_DEPTH = 100  # levels of a JSON cell: what Python reads at one depth it may fail to write


def json_object(line: str) -> dict[str, Any]:
    """One line of JSON lines; ValueError, which says what is wrong, where it is no JSON object.

    Python reads more than JSON: NaN, names that come twice, of which the last one wins.
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
    raise ValueError(f"{constant} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _is_deep(line: str, cells: Any) -> bool:
    if line.count("[") + line.count("{") <= MAX_DEPTH:
        return False  # as nearly always, and known without a walk
    level = [cells]
    for _ in range(MAX_DEPTH):
        level = [part for one in level for part in _parts(one)]
    return bool(level)


def _parts(cell: Any) -> Iterable[Any]:
    if isinstance(cell, dict):
        return cell.values()
    return cell if isinstance(cell, list) else ()


def json_cell(cell: Any) -> str:
    """A cell, or a row of them, as JSON, which has no NaN and no infinity.

    NaN, a number that is missing, becomes null; InputError for an infinite number.
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
    """A cell as TSV and CSV print it: nothing for None, JSON for what is nested.

    Raises InputError for bytes that are no text, which only Parquet carries.
    """
    if cell is None:
        return ""
    if isinstance(cell, dict | list | bool):
        return json_cell(cell)
    if isinstance(cell, bytes):
        try:
            return cell.decode()
        except UnicodeDecodeError:
            raise InputError("a cell holds bytes that are no text: write to .parquet") from None
    return str(cell)

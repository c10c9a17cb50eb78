"""A ``Matrix`` on disk: tables with a row a pair, and NumPy's .npz. Nothing is rounded."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..core.spec import Signature
from ..datasets.files import check_output, read_bytes, replacing
from ..datasets.formats import BadRow, Source
from ..datasets.tables import check_writable, read_rows, write_rows
from .record import Matrix

VERSION = 1  # of the layout below
TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
SUFFIXES = (*TABLES, ".npz")
COLUMNS = ("text1", "text2", "value", "standard_error")


def facts_path(path: Path) -> Path:
    """The file beside a table that keeps texts, classes and signature."""
    return path.with_name(f"{path.name}.json")


def check_file(path: Path, texts: Sequence[str] = (), *, overwrite: bool = False) -> None:
    """Raise InputError where a matrix of these texts could not be written."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: unknown format {path.suffix!r} of a matrix; use {', '.join(SUFFIXES)}"
        )
    for one in (path, *([facts_path(path)] if path.suffix.lower() != ".npz" else [])):
        check_output(one, overwrite=overwrite)
    if path.suffix.lower() in TABLES:
        check_writable(path, COLUMNS[:2], [dict.fromkeys(COLUMNS[:2], text) for text in texts])


def save(matrix: Matrix, path: Path, *, overwrite: bool = False) -> None:
    """Write a matrix in the format that the name of the file says; see ``Matrix.save``."""
    check_file(path, matrix.texts, overwrite=overwrite)
    if path.suffix.lower() == ".npz":
        arrays: dict[str, Any] = {"values": matrix.values}
        if matrix.standard_errors is not None:
            arrays["standard_errors"] = matrix.standard_errors
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez_compressed(file, facts=np.array(json.dumps(_facts(matrix))), **arrays)
        return
    write_rows(path, COLUMNS, _rows(matrix))
    with replacing(facts_path(path)) as draft:
        draft.write_text(json.dumps(_facts(matrix), ensure_ascii=False), encoding="utf-8")


def _rows(matrix: Matrix) -> Iterator[dict[str, Any]]:
    """A row a pair of different texts; of a directed estimand a row a direction."""
    symmetric, errors = matrix.is_symmetric, matrix.standard_errors
    for i, text1 in enumerate(matrix.texts):
        for j, text2 in enumerate(matrix.texts):
            if i < j or (i > j and not symmetric):
                error = None if errors is None else float(errors[i, j])
                yield dict(
                    zip(COLUMNS, (text1, text2, float(matrix.values[i, j]), error), strict=True)
                )


def _facts(matrix: Matrix) -> dict[str, Any]:
    return {
        "matrix": VERSION,
        "texts": matrix.texts,
        "classes": matrix.classes,
        "estimand": matrix.estimand,
        "samples": matrix.samples,
        "directed": not matrix.is_symmetric,
        "signature": matrix.signature.object(),
    }


def load(path: Path) -> Matrix:
    """The matrix of a file that ``save`` wrote."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown format of a matrix; use {', '.join(SUFFIXES)}")
    try:
        return _load_arrays(path) if suffix == ".npz" else _load_table(path)
    except InputError:
        raise
    except (ValueError, LookupError, TypeError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} is not a matrix that conjure wrote, or is damaged") from error


def _load_arrays(path: Path) -> Matrix:
    read_bytes(path)  # for the message where there is no such file
    with np.load(path, allow_pickle=False) as found:
        errors = found["standard_errors"] if "standard_errors" in found.files else None
        return _matrix(json.loads(str(found["facts"])), found["values"], errors)


def _load_table(path: Path) -> Matrix:
    source = Source.of(path)
    facts = json.loads(read_bytes(facts_path(path)).decode("utf-8"))
    place = {text: n for n, text in enumerate(facts["texts"])}
    n = len(place)
    values, errors = np.full((2, n, n), np.nan)
    np.fill_diagonal(values, 0)
    np.fill_diagonal(errors, 0)
    rows = read_rows(source)[1]
    if len(rows) != n * (n - 1) // (1 if facts["directed"] else 2):
        raise ValueError("a row is missing, or there twice")
    for row in rows:
        if isinstance(row, BadRow):
            raise ValueError(row.reason)
        text1, text2, value, error = (row.cells[name] for name in COLUMNS)
        i, j = place[text1], place[text2]
        values[i, j] = float(value)
        errors[i, j] = np.nan if error in (None, "") else float(error)
    if not facts["directed"]:  # each pair is there once
        for array in (values, errors):
            np.copyto(array, array.T, where=np.isnan(array))
    if np.isnan(values).any():
        raise ValueError("a pair is missing")
    return _matrix(facts, values, errors if facts["samples"] > 1 else None)


def _matrix(facts: Mapping[str, Any], values: Any, errors: Any) -> Matrix:
    if facts["matrix"] != VERSION:
        raise InputError(f"the file has layout {facts['matrix']}, and this conjure reads {VERSION}")
    key, provenance = facts["signature"]["key"], facts["signature"]["provenance"]
    classes = facts["classes"]
    return Matrix(
        tuple(facts["texts"]),
        values,
        errors,
        None if classes is None else tuple(classes),
        facts["estimand"],
        facts["samples"],
        Signature(key, provenance),
    )

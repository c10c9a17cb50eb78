"""Any bytes as a table: rows, or one line that says why not; nothing else."""

from __future__ import annotations

import gzip
import io
import json
import math
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conjure.core.errors import InputError
from conjure.datasets.formats import BadRow, PairRow
from conjure.datasets.read import read_dataset
from conjure.datasets.tables import check_writable, left_out, read_pairs

MARKS = [b"text1", b"text2", b"score", b",", b"\t", b"\n", b"\r", b'"', b"{", b"}", b"[", b"]"]
MARKS += [b":", b"\\ud800", b"1e999", b"NaN", b"\0", b"\xff", "é".encode(), b"\xef\xbb\xbf"]
PIECES = st.lists(st.sampled_from(MARKS) | st.binary(max_size=4), max_size=40).map(b"".join)
BEGINNINGS = [b"", b"text1,text2\n", b"text1\ttext2\n", b'{"text1": "a", "text2": "b"}\n']
BEGINNINGS += [b"score,sentence1,sentence2\n1,a,b\n"]
ANY = st.builds(bytes.__add__, st.sampled_from(BEGINNINGS), PIECES)


def read(path, data: bytes) -> None:
    """Read a file as pairs and as a set with scores; write again what can be read."""
    path.write_bytes(data)
    table = None
    with suppress(InputError):
        table = read_pairs(path)
    if table is not None:
        assert all(isinstance(row, PairRow) for row in table.rows)
        assert all(isinstance(row, BadRow) and row.reason for row in table.bad)
        assert len(left_out(table.bad)) <= 6
        for text1, text2 in table.pairs():
            assert text1.strip()
            assert text2.strip()
            (text1 + text2).encode()
        for suffix in ("csv", "jsonl", "parquet"):
            out = path.with_name(f"out.{suffix}")
            with suppress(InputError):
                check_writable(out, table.columns, [row.cells for row in table.rows])
    with suppress(InputError):
        assert all(map(math.isfinite, read_dataset(str(path)).scores))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
@given(data=ANY)
@example(data=b'{"text1": ' + b"[" * 100_000)
@example(data=b'{"text1": "a", "text2": "b", "n": ' + b"9" * 5000 + b"}")
@example(data=b'{"text1": "a", "text2": "b", "n": ' + b"[" * 600 + b"]" * 600 + b"}")
@example(data=b'text1,text2\n"' + b"a,b\n" * 99)
def test_any_bytes_as_text(tmp_path_factory, suffix: str, data: bytes) -> None:
    read(tmp_path_factory.getbasetemp() / f"fuzz.{suffix}", data)


@given(data=ANY, cut=st.integers(0, 60), flip=st.integers(0, 60))
def test_any_bytes_as_gzip(tmp_path_factory, data: bytes, cut: int, flip: int) -> None:
    packed = bytearray(gzip.compress(data))
    packed[flip % len(packed)] ^= 0x5A
    path = tmp_path_factory.getbasetemp() / "fuzz.csv.gz"
    read(path, bytes(packed[: len(packed) - cut]))


@pytest.fixture(scope="module")
def parquet() -> bytes:
    import pyarrow as arrow
    from pyarrow.parquet import write_table

    columns = {"text1": ["a", "b"], "text2": ["c", None], "score": [1.0, float("nan")]}
    file = io.BytesIO()
    write_table(arrow.table(columns), file)
    return file.getvalue()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=3),
    cut=st.integers(0, 10),
)
def test_any_bytes_as_parquet(tmp_path_factory, parquet, flips, cut: int) -> None:
    damaged = bytearray(parquet)
    for place, mask in flips:
        damaged[place % len(damaged)] ^= mask
    path = tmp_path_factory.getbasetemp() / "fuzz.parquet"
    read(path, bytes(damaged[: len(damaged) - cut]))


@given(st.recursive(st.none() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.text(), x)))  # fmt: skip
def test_json_lines_are_json_whatever_they_carry(tmp_path_factory, cell) -> None:
    from conjure.datasets.tables import write_rows

    path = tmp_path_factory.getbasetemp() / "cells.jsonl"
    path.unlink(missing_ok=True)
    with suppress(InputError):  # of infinities and lone surrogates
        write_rows(path, ("cell",), [{"cell": cell}])
    if not path.exists():
        return

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    [line] = path.read_text(encoding="utf-8").split("\n")[:-1]
    json.loads(line, parse_constant=refuse)

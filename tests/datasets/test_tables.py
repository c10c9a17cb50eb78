"""Pair tables in four formats: what is read, what is set aside, what is carried along."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conjure.core.errors import InputError
from conjure.core.text import text_fault
from conjure.datasets.tables import check_writable, read_pairs, write_rows

COLUMNS = ("id", "text1", "text2", "note")
ROWS = [
    {"id": "1", "text1": 'a "naïve" café', "text2": "l'été, à Orléans", "note": "Ω≈ç√"},
    {"id": "2", "text1": "犬", "text2": "🐕 dog", "note": "a, b"},
]
FORMATS = ("tsv", "csv", "jsonl", "parquet")


@pytest.mark.parametrize("suffix", FORMATS)
def test_written_rows_are_read_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pairs.{suffix}"
    write_rows(path, COLUMNS, ROWS)
    table = read_pairs(path)
    assert table.columns == COLUMNS
    assert table.texts == ("text1", "text2")
    assert [row.cells for row in table.rows] == ROWS
    assert table.pairs() == [(row["text1"], row["text2"]) for row in ROWS]
    assert table.bad == ()
    assert list(tmp_path.iterdir()) == [path]  # no draft left behind


@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl"])
def test_gzipped_text_is_read_and_not_written(tmp_path: Path, suffix: str) -> None:
    plain, packed = tmp_path / f"p.{suffix}", tmp_path / f"p.{suffix}.gz"
    write_rows(plain, COLUMNS, ROWS)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_pairs(packed) == read_pairs(plain)
    for damaged in (plain.read_bytes(), packed.read_bytes()[:-9], packed.read_bytes()[:30] * 2):
        packed.write_bytes(damaged)
        with pytest.raises(InputError, match=rf"p\.{suffix}\.gz is not gzip, or damaged"):
            read_pairs(packed)
    with pytest.raises(InputError, match=r"unknown table format '\.gz'"):
        write_rows(packed, COLUMNS, ROWS)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_line_breaks_and_tabs_survive(tmp_path: Path, suffix: str) -> None:
    rows = [{"text1": "a\nb\r\nc\td", "text2": 'say "x"\u2028'}]
    write_rows(tmp_path / f"p.{suffix}", ("text1", "text2"), rows)
    assert read_pairs(tmp_path / f"p.{suffix}").rows[0].cells == rows[0]


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1))
def test_csv_carries_any_text(tmp_path_factory, pairs) -> None:
    path = tmp_path_factory.mktemp("csv") / "p.csv"
    rows = [{"text1": a, "text2": b} for a, b in pairs if not (text_fault(a) or text_fault(b))]
    write_rows(path, ("text1", "text2"), rows)
    assert [row.cells for row in read_pairs(path).rows] == rows


@pytest.mark.parametrize("bad", ["a\tb", "a\nb", "a\rb"])
def test_tsv_refuses_what_it_cannot_carry(tmp_path: Path, bad: str) -> None:
    rows = [{"text1": bad, "text2": "x"}]
    with pytest.raises(InputError, match="TSV cannot carry"):
        check_writable(tmp_path / "p.tsv", ("text1", "text2"), rows)
    assert not list(tmp_path.iterdir())


def test_parquet_refuses_a_column_of_several_types(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column 'note' cannot be written as Parquet"):
        check_writable(tmp_path / "p.parquet", ("note",), [{"note": 1}, {"note": "one"}])


def test_tsv_takes_quotes_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text('text1\ttext2\n"a\tb" c"\n', encoding="utf-8")
    assert read_pairs(tmp_path / "p.tsv").pairs() == [('"a', 'b" c"')]


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes("\ufefftext1,text2\r\né,b\r\n".encode())
    table = read_pairs(tmp_path / "p.csv")
    assert (table.columns, table.pairs()) == (("text1", "text2"), [("é", "b")])


@pytest.mark.parametrize(
    ("header", "columns", "texts"),
    [
        ("n score sentence1 sentence2", None, ("sentence1", "sentence2")),
        ("n text1 text2", None, ("text1", "text2")),
        ("left right text1", None, ("left", "right")),
        ("n left right", ("right", "left"), ("right", "left")),
    ],
)
def test_choice_of_columns(tmp_path: Path, header, columns, texts) -> None:
    (tmp_path / "p.tsv").write_text(header.replace(" ", "\t") + "\n")
    assert read_pairs(tmp_path / "p.tsv", columns).texts == texts


def test_bad_rows_of_tsv_and_csv(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        'text1,text2,n\na,b,1\nc,d\n\n"e\ne",f,3\n"x"y,z,4\n  ,g,5\nh,i,6,7\nj,k,8\n'
    )
    table = read_pairs(tmp_path / "p.csv")
    assert [(row.line, row.cells["n"]) for row in table.rows] == [(2, "1"), (5, "3"), (10, "8")]
    assert [row.line for row in table.bad] == [3, 7, 8, 9]
    reasons = [row.reason for row in table.bad]
    assert reasons[0] == "2 fields instead of 3"
    assert "expected after" in reasons[1]
    assert reasons[2] == "text1 is empty"
    assert reasons[3] == "4 fields instead of 3"


def test_bad_rows_of_jsonl(tmp_path: Path) -> None:
    lines = [
        '{"text1": "a", "text2": "b"}',
        '{"text1": "a", "text2"',
        '["a", "b"]',
        '{"text1": "a"}',
        '{"text1": "a", "text2": null}',
        '{"text1": "a", "text2": 7}',
        "",
        r'{"text1": "a", "text2": "\ud800"}',
        '{"text1": "c", "text2": "d", "more": [1, {"x": null}]}',
        '{"text1": "a", "text2": "b", "text2": "c"}',
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    table = read_pairs(tmp_path / "p.jsonl")
    assert [row.line for row in table.rows] == [1, 9]
    assert table.rows[1].cells["more"] == [1, {"x": None}]
    assert table.columns == ("text1", "text2", "more")
    assert [row.line for row in table.bad] == [2, 3, 4, 5, 6, 8, 10]
    words = ["not JSON", "list", "missing", "missing", "int", "Unicode", "a name comes twice"]
    for row, word in zip(table.bad, words, strict=True):
        assert word in row.reason


def test_bad_rows_of_parquet(tmp_path: Path) -> None:
    rows = [
        {"text1": "a", "text2": "b"},
        {"text1": None, "text2": "b"},
        {"text1": "c", "text2": ""},
    ]
    write_rows(tmp_path / "p.parquet", ("text1", "text2"), rows)
    table = read_pairs(tmp_path / "p.parquet")
    assert table.pairs() == [("a", "b")]
    assert [(row.line, row.reason) for row in table.bad] == [
        (2, "text1 is missing"),
        (3, "text2 is empty"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", b"", "unknown table format '.txt'"),
        ("p.tsv", None, "no such file"),
        ("p.parquet", None, "no such file"),
        ("p.parquet", b"text1,text2\n", "as Parquet"),
        ("p.csv", b"", "is empty"),
        ("p.csv", b"text1\na\n", "two columns"),
        ("p.csv", b"text1,text1\na,b\n", "names a column twice: 'text1'"),
        ("p.tsv", "text1\ttext2\na\té\n".encode("latin-1"), r"not UTF-8 \(line 2\)"),
        ("p.jsonl", b"{}", "two columns"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_pairs(tmp_path / name)


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="has no column 'c'; it has a, b"):
        read_pairs(tmp_path / "p.csv", ("a", "c"))


def test_nothing_half_written(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("before")

    def rows():
        yield {"a": 1}
        raise InputError("stop")

    with pytest.raises(InputError, match="stop"):
        write_rows(path, ("a",), rows())
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_jsonl_is_plain_utf8(tmp_path: Path) -> None:
    write_rows(tmp_path / "p.jsonl", COLUMNS, ROWS)
    text = (tmp_path / "p.jsonl").read_text(encoding="utf-8")
    assert "café" in text
    assert [json.loads(line) for line in text.splitlines()] == ROWS


@pytest.mark.parametrize("columns", ["ab", ("a",), ("a", "b", "c")])
def test_columns_that_are_not_two(tmp_path: Path, columns) -> None:
    (tmp_path / "p.csv").write_text("a,b\nx,y\n")
    with pytest.raises(InputError, match="columns must be two names, not "):
        read_pairs(tmp_path / "p.csv", columns)


@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl"])
def test_bytes_are_written_as_their_text_or_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p.{suffix}"
    write_rows(path, ("note",), [{"note": "café".encode()}])
    assert "café" in path.read_text(encoding="utf-8")
    with pytest.raises(InputError, match="bytes that are not text: write to .parquet"):
        check_writable(path, ("note",), [{"note": b"\xff"}])


def test_a_number_that_is_missing_is_null(tmp_path: Path) -> None:
    rows = [{"a": math.nan, "b": [1.0, {"c": math.nan}]}]
    write_rows(tmp_path / "p.jsonl", ("a", "b"), rows)
    assert json.loads((tmp_path / "p.jsonl").read_text()) == {"a": None, "b": [1.0, {"c": None}]}
    with pytest.raises(InputError, match="an infinite number, which JSON cannot carry"):
        check_writable(tmp_path / "p.jsonl", ("a",), [{"a": [math.inf]}])

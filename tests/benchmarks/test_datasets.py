"""Reading human-annotated sets from a folder of TSVs."""

from __future__ import annotations

from pathlib import Path

import pytest

from conjure.benchmarks.datasets import DATASETS, read_dataset, subsample
from conjure.core.errors import InputError

HEADER = "subset\tscore\tsentence1\tsentence2\n"


def write(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text(HEADER + "".join(row.replace("|", "\t") + "\n" for row in rows), "utf-8")
    return path


def test_every_name_has_its_files(tmp_path: Path) -> None:
    for name, files in DATASETS.items():
        for n, file in enumerate(files):
            write(tmp_path, file, f"x|{n}.5|{name} {file}|b")
        found = read_dataset(name, tmp_path)
        assert found.table.pairs() == [(f"{name} {file}", "b") for file in files]
        assert found.scores == tuple(n + 0.5 for n in range(len(files)))
        assert found.total == len(files)


def test_stsb_is_the_test_part_and_sickr_all_three() -> None:
    assert DATASETS["stsb"] == ("stsb-test.tsv",)
    assert DATASETS["sickr"] == ("sickr-train.tsv", "sickr-trial.tsv", "sickr-test.tsv")


def test_any_tsv_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text('sentence2\tscore\tsentence1\nb "x\t3\ta\n', encoding="utf-8")
    found = read_dataset(str(path))
    assert found.table.pairs() == [("a", 'b "x')]
    assert found.scores == (3.0,)


def test_lines_of_several_files_stay_apart(tmp_path: Path) -> None:
    for file in DATASETS["sickr"]:
        write(tmp_path, file, "x|1|a|b", "x|2|a|b", "x|none|a|b")
    found = read_dataset("sickr", tmp_path)
    assert len({row.line for row in found.table.rows}) == found.total == 6
    assert [row.line for row in found.table.bad] == [4, 4, 4]
    assert found.table.bad[2].reason == "score 'none' is not a number in sickr-test.tsv"


def test_rows_without_a_usable_score_are_set_aside(tmp_path: Path) -> None:
    path = write(
        tmp_path, "s.tsv", "x|1|a|b", "x||a|b", "x|nan|a|b", "x|2|a|", "x|inf|a|b", "x|3|c|d"
    )
    found = read_dataset(str(path))
    assert found.scores == (1.0, 3.0)
    assert [row.line for row in found.table.bad] == [3, 4, 5, 6]


def test_a_subsample_is_the_same_every_time_and_keeps_the_order(tmp_path: Path) -> None:
    path = write(tmp_path, "s.tsv", *(f"x|{n}|a{n}|b" for n in range(100)))
    whole = read_dataset(str(path))
    part = subsample(whole, 10)
    assert part == subsample(whole, 10)
    assert part.total == 100
    assert len(part.scores) == 10
    assert list(part.scores) == sorted(part.scores) != list(range(10))
    assert [int(row.cells["score"]) for row in part.table.rows] == list(part.scores)
    assert subsample(whole, 100) is whole


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("stsb", None, "give --data-dir"),
        ("stsb", ".", "no such file: stsb-test.tsv"),
        ("sts17", ".", "unknown dataset 'sts17': give one of stsb, sts12"),
        ("nowhere.tsv", None, "no such file: nowhere.tsv"),
    ],
)
def test_sets_that_are_not_there(tmp_path, monkeypatch, name, folder, message) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        read_dataset(name, folder)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("sentence1\tsentence2\n", "no column 'score'"),
        ("score\ttext1\ttext2\n", "no column 'sentence1'"),
    ],
)
def test_columns_that_are_missing(tmp_path: Path, header: str, message: str) -> None:
    (tmp_path / "s.tsv").write_text(header + "\t".join("1ab"[: len(header.split())]) + "\n")
    with pytest.raises(InputError, match=message):
        read_dataset(str(tmp_path / "s.tsv"))

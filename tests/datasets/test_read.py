"""Reading human-annotated sets from a folder of TSVs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conjure.core.errors import InputError
from conjure.datasets.cards import DATASETS, SEVEN
from conjure.datasets.read import read_dataset, subsample

HEADER = "subset\tscore\tsentence1\tsentence2\n"


def write(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text(HEADER + "".join(row.replace("|", "\t") + "\n" for row in rows), "utf-8")
    return path


def made_up(name: str) -> list[str]:
    """As many rows as the set has, of its subsets, with scores from end to end of its scale."""
    card = DATASETS[name]
    subsets = [s for s, n in (card.subsets or {"x": card.pairs}).items() for _ in range(n)]
    low, high = card.scale
    step = (high - low) / (card.pairs - 1)
    return [f"{s}|{low + n * step:.6f}|a{n}|b{n}" for n, s in enumerate(subsets)]


def write_set(folder: Path, name: str, rows: list[str]) -> None:
    """Rows spread evenly over the set's files."""
    files = DATASETS[name].files
    for n, file in enumerate(files):
        write(folder, file, *rows[n * len(rows) // len(files) : (n + 1) * len(rows) // len(files)])


@pytest.mark.parametrize("name", DATASETS)
def test_every_set_is_read_whole(tmp_path: Path, name: str) -> None:
    rows = made_up(name)
    write_set(tmp_path, name, rows)
    found, card = read_dataset(name, tmp_path), DATASETS[name]
    assert found.table.pairs() == [(f"a{n}", f"b{n}") for n in range(card.pairs)]
    assert (found.scores[0], found.scores[-1]) == pytest.approx(card.scale)
    assert found.total == len({row.line for row in found.table.rows}) == card.pairs
    expected = None if card.subsets is None else tuple(row.split("|")[0] for row in rows)
    assert found.subsets == expected


def test_the_cards_agree_with_themselves_and_the_literature() -> None:
    for card in DATASETS.values():
        assert card.subsets is None or sum(card.subsets.values()) == card.pairs
        assert card.hub is None or re.fullmatch("[0-9a-f]{40}", card.hub.revision)
    assert sum(DATASETS[name].pairs for name in SEVEN) == 23_850
    assert DATASETS["stsb"].files == ("stsb-test.tsv",)
    assert DATASETS["sickr"].files == ("sickr-train.tsv", "sickr-trial.tsv", "sickr-test.tsv")
    assert DATASETS["simlex999"].subsets == {"adjective": 111, "noun": 666, "verb": 222}


def test_a_known_set_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    rows = made_up("sickr")
    broken = ["x|none|a|b" if n == 9000 else row for n, row in enumerate(rows)]
    for given, message in [
        (rows[1:], "sickr has 9,927 pairs; .*sickr-test.tsv hold 9,926$"),
        ([*rows, "x|1|a|b"], "hold 9,928$"),
        (broken, "hold 9,926; line 2384: score 'none' is not a number in sickr-test.tsv"),
    ]:
        write_set(tmp_path, "sickr", given)
        with pytest.raises(InputError, match=message):
            read_dataset("sickr", tmp_path)


def test_a_score_off_its_scale_is_refused(tmp_path: Path) -> None:
    rows = made_up("rg65")
    for score in ("4.01", "-0.5"):
        write_set(tmp_path, "rg65", [*rows[:7], f"x|{score}|a|b", *rows[8:]])
        with pytest.raises(
            InputError, match=rf"rg65\.tsv, line 9: score {score} is outside the sc"
        ):
            read_dataset("rg65", tmp_path)


def test_subsets_are_counted_and_wanted(tmp_path: Path) -> None:
    rows = made_up("simlex999")
    write_set(tmp_path, "simlex999", [rows[0].replace("adjective", "noun"), *rows[1:]])
    with pytest.raises(InputError, match="are adjective 111, noun 666.* adjective 110, noun 667"):
        read_dataset("simlex999", tmp_path)
    bare = ["score\tsentence1\tsentence2", *(row.split("|", 1)[1] for row in rows)]
    (tmp_path / "simlex999.tsv").write_text("\n".join(bare).replace("|", "\t"))
    with pytest.raises(InputError, match=r"simlex999\.tsv has no column 'subset'"):
        read_dataset("simlex999", tmp_path)


def test_the_real_sets_are_whole(data_dir: Path) -> None:
    for name, card in DATASETS.items():
        found = read_dataset(name, data_dir)
        assert found.table.bad == ()
        assert found.total == card.pairs


def test_any_tsv_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text('sentence2\tscore\tsentence1\nb "x\t3\ta\n', encoding="utf-8")
    found = read_dataset(str(path))
    assert found.table.pairs() == [("a", 'b "x')]
    assert found.scores == (3.0,)


def test_subsets_of_a_file_of_ones_own(tmp_path: Path) -> None:
    found = read_dataset(str(write(tmp_path, "s.tsv", "x|1|a|b", "|2|c|d", "y|7|e|f")))
    assert found.subsets == ("x", "none", "y")
    (tmp_path / "t.jsonl").write_text('{"score": 1, "sentence1": "a", "sentence2": "b"}\n')
    assert read_dataset(str(tmp_path / "t.jsonl")).subsets is None


def test_rows_without_a_usable_score_are_set_aside(tmp_path: Path) -> None:
    path = write(
        tmp_path, "s.tsv", "x|1|a|b", "x||a|b", "x|nan|a|b", "x|2|a|", "x|inf|a|b", "x|3|c|d"
    )
    found = read_dataset(str(path))
    assert found.scores == (1.0, 3.0)
    assert [row.line for row in found.table.bad] == [3, 4, 5, 6]


def test_a_subsample_is_the_same_every_time_and_keeps_the_order(tmp_path: Path) -> None:
    path = write(tmp_path, "s.tsv", *(f"x{n}|{n}|a{n}|b" for n in range(100)))
    whole = read_dataset(str(path))
    part = subsample(whole, 10)
    assert part == subsample(whole, 10)
    assert part.total == 100
    assert len(part.scores) == 10
    assert list(part.scores) == sorted(part.scores) != list(range(10))
    assert [int(row.cells["score"]) for row in part.table.rows] == list(part.scores)
    assert part.subsets == tuple(f"x{score:.0f}" for score in part.scores)
    assert subsample(whole, 100) is whole


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("rg65", None, "rg65 is not on the hub: give --data-dir, a folder with rg65.tsv"),
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

"""Sets from the hub, read from a cache laid out as the hub's client does; refusals in a line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from conjure.core.errors import InputError
from conjure.datasets.cards import DATASETS
from conjure.datasets.read import read_dataset


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch) -> Path:
    """The cached folder of sts16 at its pinned commit, without files; and no hub."""
    source = DATASETS["sts16"].hub
    folder = (
        tmp_path / f"datasets--{source.repo.replace('/', '--')}" / "snapshots" / source.revision
    )
    folder.mkdir(parents=True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return folder


def rows(count: int = 1186) -> list[dict[str, object]]:
    return [{"sentence1": f"a{n}", "sentence2": "é", "score": n % 6} for n in range(count)]


def lines(count: int = 1186) -> bytes:
    return gzip.compress("".join(json.dumps(row) + "\n" for row in rows(count)).encode())


def test_a_cached_set_is_read(snapshot: Path) -> None:
    (snapshot / "README.md").write_text("not data")
    (snapshot / "test.jsonl.gz").write_bytes(lines())
    found = read_dataset("sts16")
    assert found.table.pairs()[:2] == [("a0", "é"), ("a1", "é")]
    assert found.scores[:7] == (0, 1, 2, 3, 4, 5, 0)
    assert found.subsets is None
    assert found.total == 1186


def test_as_parquet_too(snapshot: Path) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    (snapshot / "data").mkdir()
    path = snapshot / "data" / "test-00000-of-00001.parquet"
    parquet.write_table(arrow.Table.from_pylist(rows()), path)
    assert read_dataset("sts16").total == 1186


def test_what_the_hub_holds_is_checked_as_well(snapshot: Path) -> None:
    with pytest.raises(InputError, match=r"mteb/sts16-sts at 4d8694f.*, and holds 0; give --data"):
        read_dataset("sts16")
    (snapshot / "test.jsonl.gz").write_bytes(lines(1185))
    with pytest.raises(InputError, match=r"sts16 has 1,186 pairs; test.jsonl.gz holds 1,185$"):
        read_dataset("sts16")
    (snapshot / "test.jsonl.gz").write_bytes(lines()[:-20])
    with pytest.raises(InputError, match=r"test.jsonl.gz is not gzip, or damaged"):
        read_dataset("sts16")


def test_refusals_are_one_line(snapshot: Path, monkeypatch) -> None:
    with pytest.raises(InputError, match="stsb is not cached and the hub cannot be reached"):
        read_dataset("stsb")

    def fails(*_, **__):
        raise OSError("disk full\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(
        InputError, match=r"could not be fetched .*: OSError: disk full; give --data-dir"
    ):
        read_dataset("sts16")


@pytest.mark.hub
@pytest.mark.parametrize("name", [name for name, card in DATASETS.items() if card.hub])
def test_the_real_hub_has_what_the_folder_has(name: str, data_dir: Path) -> None:
    hub, folder = read_dataset(name), read_dataset(name, data_dir)
    assert sorted(hub.scores) == pytest.approx(sorted(folder.scores), abs=1e-3)

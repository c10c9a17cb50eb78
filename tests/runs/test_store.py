"""The store: what is finished is whole and found again; what is not whole is set aside."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conjure.core.divergence import measure
from conjure.core.errors import DamagedWorkWarning, InputError
from conjure.core.spec import Signature, Spec
from conjure.runs import store
from conjure.runs.distances import DISTANCES
from conjure.runs.manifest import read_manifest
from conjure.runs.shards import read_shards
from conjure.runs.store import Store
from conjure.runs.terms import TermStore

PAIRS = [("a", "b"), ("c", "b"), ("b", "a"), ("d", "d"), ("c", "a"), ("e", "f")]
KEY = Signature({"baseline": "one"})


def unit(one: str, other: str, value: float = 1.0) -> dict[str, object]:
    return {"text1": one, "text2": other, "distance": value}


def shards(folder: Path) -> list[Path]:
    return sorted((folder / "shards").glob("*.parquet"))


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def filled(tmp_path):
    """A run folder with two shards of two units each."""
    folder = tmp_path / "run"
    with Store(folder, DISTANCES, KEY) as kept:
        kept.begin({}, 4)
        for first in "ac":
            kept.add([unit(first, "x"), unit(first, "y", 2.0)])
            kept.flush()
    return folder


def held(folder: Path) -> int:
    return sum(map(len, Store(folder, DISTANCES, KEY).tables()))


# terms


def test_terms_are_those_of_the_core_to_the_last_bit(gaussians, tmp_path):
    spec = Spec(record={"output", "coupled"})
    plain = dict(measure(gaussians(guidance=2.0), PAIRS, [4, 5], spec))
    process = gaussians(guidance=2.0)
    with TermStore(tmp_path / "run", process) as kept:
        found = dict(kept.measure(process, PAIRS, [4, 5], spec))
    spent = process.rows
    with TermStore(tmp_path / "run", process) as kept:
        again = dict(kept.measure(process, PAIRS, [4, 5], spec))
    assert process.rows == spent
    for terms in (found, again):
        assert sorted(terms) == sorted(plain)
        for place, one in plain.items():
            for name in ("forward", "backward", "output", "coupled"):
                assert torch.equal(getattr(one, name), getattr(terms[place], name))


def test_a_record_that_is_missing_is_measured(gaussians, tmp_path):
    process = gaussians()
    with TermStore(tmp_path / "run", process) as kept:
        list(kept.measure(process, PAIRS, [0], Spec()))
        spent = process.rows
        found = dict(kept.measure(process, PAIRS, [0], Spec(estimand="coupled")))
        assert process.rows > spent
        spent = process.rows
        list(kept.measure(process, PAIRS, [0], Spec()))
        list(kept.measure(process, PAIRS, [0], Spec(estimand="coupled")))
    assert process.rows == spent
    assert found[0].coupled is not None


def test_estimates_of_some_steps_are_units_of_their_own(gaussians, tmp_path):
    process = gaussians()
    with TermStore(tmp_path / "run", process) as kept:
        whole = dict(kept.measure(process, PAIRS, [0], Spec()))
        part = dict(kept.measure(process, PAIRS, [0], Spec(cross_steps=2)))
    assert whole[0].weights is None
    with TermStore(tmp_path / "run", process) as kept:
        again = dict(kept.measure(process, PAIRS, [0], Spec(cross_steps=2)))
    plain = dict(measure(gaussians(), PAIRS, [0], Spec(cross_steps=2)))
    for terms in (part, again):
        assert torch.equal(terms[0].weights, plain[0].weights)
        assert torch.equal(terms[0].forward, plain[0].forward)


def test_memory_that_runs_out_halves_the_batch_and_the_key_stays(gaussians, tmp_path):
    class Small(gaussians):
        def predict(self, x, step, conditioning):
            if len(x) > 3:
                raise RuntimeError("can't allocate memory")
            return super().predict(x, step, conditioning)

    process = Small(batch_size=16)
    with (
        TermStore(tmp_path / "run", process) as kept,
        pytest.warns(UserWarning, match="batch_size 16 does not fit"),
    ):
        found = dict(kept.measure(process, PAIRS, [0]))
    assert process.batch_size == 2
    whole = gaussians(batch_size=16)
    with TermStore(tmp_path / "run", whole) as kept:
        assert not kept.missing(PAIRS, [0], Spec())
    facts = [shard.facts for shard in kept.store.contents.shards.values()]
    assert {shard["batch"] for shard in facts} == {2}  # the provenance tells
    plain = dict(measure(whole, PAIRS, [0]))
    assert all(torch.allclose(found[n].forward, plain[n].forward) for n in plain)


def test_other_tools_read_a_run_folder(gaussians, tmp_path):
    process = gaussians()
    with TermStore(tmp_path / "run", process) as kept:
        found = dict(kept.measure(process, PAIRS, [0, 1]))
    pattern = str(tmp_path / "run" / "shards" / "*.parquet")
    import duckdb

    wanted = float(found[0].forward.sum())
    [[total, count]] = duckdb.sql(
        f"select sum(list_sum(forward)), count(*) from '{pattern}' "
        "where text1 = 'a' and text2 = 'b'"
    ).fetchall()
    assert (total, count) == (pytest.approx(wanted), 2)
    import pandas

    frame = pandas.concat(pandas.read_parquet(path) for path in shards(tmp_path / "run"))
    mine = frame[(frame.text1 == "a") & (frame.text2 == "b")]
    assert sum(map(sum, mine.forward)) == pytest.approx(wanted)


# damage


def damages(path: Path) -> dict[str, bytes]:
    data = path.read_bytes()
    middle = len(data) // 2
    flipped = bytearray(data)
    flipped[middle] ^= 1
    return {
        "nothing": b"",
        "first byte": data[:1],
        "half": data[:middle],
        "all but a byte": data[:-1],
        "footer gone": data[:-8],
        "a bit flipped": bytes(flipped),
        "bytes added": data + b"x",
        "zeros": bytes(len(data)),
    }


@pytest.mark.parametrize("how", list(damages(Path(__file__))))
def test_a_damaged_shard_is_set_aside_and_its_units_are_missing(filled, how):
    path = shards(filled)[0]
    path.write_bytes(damages(path)[how])
    before = everything(filled)
    opened = Store(filled, DISTANCES, KEY)
    assert sum(map(len, opened.tables())) == 2
    assert everything(filled) == before  # reading changes nothing
    with opened, pytest.warns(DamagedWorkWarning, match="do not fit its checksum.*computed again"):
        opened.begin({}, 2)
    assert [one.name for one in (filled / "aside").iterdir()] == [path.name]
    assert held(filled) == 2


def named(folder: Path, data: bytes) -> Path:
    """A file of these bytes with the name that fits them."""
    path = folder / "shards" / f"{hashlib.sha256(data).hexdigest()[:32]}.parquet"
    path.write_bytes(data)
    return path


def parquet(table: pa.Table, facts: object) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({"conjure": json.dumps(facts)}), sink)
    return sink.getvalue().to_pybytes()


def foreign(how: str) -> bytes:
    """Bytes that are whole, and no shard of this run."""
    rows = [{"text1": "p", "text2": "q", "distance": 1.0, "failed": None}]
    facts = {"kind": "distances", "key": dict(KEY.key)}
    if how == "other key":
        facts["key"] = {"baseline": "two"}
    elif how == "other kind":
        facts["kind"] = "terms"
    elif how == "no facts":
        facts = None
    elif how == "text":
        return b"text1,text2\np,q\n"
    elif how == "pickle":
        return pickle.dumps({"a": 1})
    values = {"negative": -1.0, "nan": float("nan"), "infinite": float("inf"), "no number": None}
    rows[0]["distance"] = values.get(how, 1.0)
    schema = DISTANCES.schema
    if how == "columns":
        schema = schema.append(pa.field("more", pa.int64()))
    return parquet(pa.Table.from_pylist(rows, schema), facts)


FOREIGN = {
    "other key": "other settings",
    "other kind": "another kind",
    "no facts": "another kind",
    "text": "not Parquet",
    "pickle": "not Parquet",
    "columns": "other columns",
    "negative": "no distance can be",
    "nan": "no distance can be",
    "infinite": "no distance can be",
    "no number": "numbers and failures",
}


@pytest.mark.parametrize("how", FOREIGN)
def test_a_foreign_shard_is_set_aside(filled, how):
    path = named(filled, foreign(how))
    with Store(filled, DISTANCES, KEY) as opened:
        assert sum(map(len, opened.tables())) == 4
        with pytest.warns(DamagedWorkWarning, match=FOREIGN[how]):
            opened.begin({}, 2)
    assert [one.name for one in (filled / "aside").iterdir()] == [path.name]


def test_what_links_lead_to_is_not_read(filled, tmp_path):
    shard = shards(filled)[0]
    elsewhere = tmp_path / shard.name
    shutil.move(shard, elsewhere)
    shard.symlink_to(elsewhere)
    with Store(filled, DISTANCES, KEY) as opened:
        assert sum(map(len, opened.tables())) == 2
        with pytest.warns(DamagedWorkWarning, match="not a regular file"):
            opened.begin({}, 2)
    assert elsewhere.exists()  # the link was set aside, not the file


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_pickle_is_read(filled, tmp_path):
    """Arrow's Python extension types once held pickles that reading the schema ran."""
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    name = "arrow.py_extension_type"
    facts = {b"ARROW:extension:name": name.encode(), b"ARROW:extension:metadata": trap}
    field = pa.field("distance", pa.float64()).with_metadata(facts)
    schema = pa.schema([*(f for f in DISTANCES.schema if f.name != "distance"), field])
    table = pa.Table.from_pylist([{"text1": "p", "text2": "q", "distance": 1.0}], schema)
    named(filled, parquet(table, {"kind": "distances", "key": dict(KEY.key)}))
    named(filled, trap)
    (filled / "manifest.json").write_bytes(trap)
    with Store(filled, DISTANCES, KEY) as opened, pytest.warns(DamagedWorkWarning):
        opened.begin({}, 2)
    assert held(filled) == 4
    assert not sprung.exists()
    pickle.loads(trap)  # the trap works
    assert sprung.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": "conjure run"'])
def test_a_damaged_manifest_is_written_again(filled, content):
    (filled / "manifest.json").write_bytes(content)
    opened = Store(filled, DISTANCES, KEY)
    with opened, pytest.warns(DamagedWorkWarning, match="manifest.json cannot be used"):
        opened.begin({}, 2)
    assert held(filled) == 4
    assert (filled / "aside" / "manifest.json").read_bytes() == content
    assert read_manifest(filled).key == dict(KEY.key)


def test_a_lost_manifest_does_not_let_another_run_in(filled):
    (filled / "manifest.json").unlink()
    assert sum(map(len, Store(filled, DISTANCES, Signature({"baseline": "two"})).tables())) == 0
    assert held(filled) == 4


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_any_damage_is_noticed(filled, data):
    """Bytes are flipped, dropped and put in anywhere: a unit is what it was, or it is missing."""
    original = {path: path.read_bytes() for path in [*shards(filled), filled / "manifest.json"]}
    try:
        path = data.draw(st.sampled_from(sorted(original)))
        content = bytearray(original[path])
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, max(len(content) - 1, 0)))
            kind = data.draw(st.sampled_from(["flip", "cut", "insert"]))
            if kind == "flip" and content:
                content[at] ^= data.draw(st.integers(1, 255))
            elif kind == "cut":
                del content[at : at + data.draw(st.integers(1, 40))]
            else:
                content[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        path.write_bytes(content)
        try:
            opened = Store(filled, DISTANCES, KEY)
        except InputError:
            if path.name != "manifest.json":  # whose key may be hit; then nothing is lost
                raise
            return
        rows = [row for table in opened.tables() for row in table.to_pylist()]
        whole = 4 if path.name == "manifest.json" or bytes(content) == original[path] else 2
        assert len(rows) == whole
        assert all(row["distance"] == {"x": 1.0, "y": 2.0}[row["text2"]] for row in rows)
    finally:
        for path, content in original.items():
            path.write_bytes(content)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_manifest(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "manifests"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read_manifest(folder)


# folders and writers


def test_a_run_of_other_settings_is_refused_and_not_touched(filled):
    before = everything(filled)
    stamps = {path: path.stat().st_mtime_ns for path in filled.rglob("*")}
    with pytest.raises(InputError, match=r"other settings \(baseline one, now two\)"):
        Store(filled, DISTANCES, Signature({"baseline": "two"}))
    assert everything(filled) == before
    assert {path: path.stat().st_mtime_ns for path in filled.rglob("*")} == stamps


def test_one_writer_at_a_time(filled):
    with Store(filled, DISTANCES, KEY) as one:
        one.begin({}, 1)
        with pytest.raises(InputError, match="in use by another process"):
            Store(filled, DISTANCES, KEY).begin({}, 1)
        with pytest.raises(InputError, match="in use by another process"):
            Store(filled, DISTANCES, KEY, part=(1, 2)).begin({}, 1)
        assert held(filled) == 4  # reading needs no lock
    with Store(filled, DISTANCES, KEY) as other:
        other.begin({}, 1)


def test_parts_write_side_by_side(filled):
    with Store(filled, DISTANCES, KEY, part=(1, 2)) as one:
        one.begin({}, 1)
        with Store(filled, DISTANCES, KEY, part=(2, 2)) as two:
            two.begin({}, 1)
            one.add([unit("p", "x")])
            two.add([unit("q", "x")])
            with pytest.raises(InputError, match="in use by another process"):
                Store(filled, DISTANCES, KEY).begin({}, 1)
            with pytest.raises(InputError, match="in use by another process"):
                Store(filled, DISTANCES, KEY, part=(1, 2)).begin({}, 1)
    assert held(filled) == 6


OWNER = """
import sys, time
from pathlib import Path
from conjure.core.spec import Signature
from conjure.runs.distances import DISTANCES
from conjure.runs.store import Store

kept = Store(Path(sys.argv[1]), DISTANCES, Signature({"baseline": "one"}))
kept.begin({}, 1)
print("begun", flush=True)
time.sleep(60)
"""


def test_the_lock_of_a_dead_owner_is_free(filled):
    source = str(Path(store.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source}
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(filled)], env=environment, stdout=subprocess.PIPE
    )
    try:
        assert owner.stdout.readline() == b"begun\n"
        with pytest.raises(InputError, match="in use by another process"):
            Store(filled, DISTANCES, KEY).begin({}, 1)
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    with Store(filled, DISTANCES, KEY) as kept:
        kept.begin({}, 1)


def test_what_another_process_finished_meanwhile_is_taken_up(filled):
    late = Store(filled, DISTANCES, KEY)
    with Store(filled, DISTANCES, KEY) as early:
        early.begin({}, 1)
        early.add([unit("new", "x")])
    with late:
        [table] = late.begin({}, 1)
        assert table.column("text1").to_pylist() == ["new"]


def test_a_folder_that_goes_away_is_an_error(filled):
    kept = Store(filled, DISTANCES, KEY)
    kept.begin({}, 1)
    shutil.rmtree(filled)
    kept.add([unit("p", "x")])
    with pytest.raises(InputError, match="was removed while it was being written to"):
        kept.close()


def test_a_shard_that_goes_away_while_others_are_read(filled, monkeypatch):
    """Another writer joins small shards into a larger one."""
    gone = shards(filled)[0]
    glob = Path.glob

    def slow(self, pattern):
        found = list(glob(self, pattern))
        gone.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, "glob", slow)
    found = read_shards(filled, DISTANCES, KEY.key)
    assert len(found.shards) == 1
    assert not found.damaged


def test_small_shards_are_joined(tmp_path):
    with Store(tmp_path / "run", DISTANCES, KEY) as kept:
        kept.begin({}, 100)
        for n in range(100):
            kept.add([unit(f"a{n}", "x")])
            kept.flush()
        assert len(shards(tmp_path / "run")) < 70
    assert len(shards(tmp_path / "run")) <= store.SMALL
    rows = [row for table in Store(tmp_path / "run", DISTANCES, KEY).tables()
            for row in table.to_pylist()]  # fmt: skip
    assert sorted(row["text1"] for row in rows) == sorted(f"a{n}" for n in range(100))


def test_units_are_on_the_disk_soon_without_being_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MIN_SECONDS", 0.05)
    monkeypatch.setattr(store, "MAX_SECONDS", 0.2)
    with Store(tmp_path / "run", DISTANCES, KEY) as kept:
        kept.begin({}, 10**6)
        kept.add([unit("a", "x")])
        end = time.monotonic() + 10
        while not shards(tmp_path / "run") and time.monotonic() < end:
            time.sleep(0.02)
        assert held(tmp_path / "run") == 1


def test_a_clock_that_goes_back_changes_nothing(tmp_path, monkeypatch):
    times = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(times)))
    with Store(tmp_path / "run", DISTANCES, KEY) as kept:
        kept.begin({}, 3)
        for text in "abc":
            kept.add([unit(text, "x")])
            kept.flush()
            for path in (tmp_path / "run").rglob("*"):
                os.utime(path, (0, 0))
    assert held(tmp_path / "run") == 3


def test_an_error_of_the_thread_that_writes_reaches_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MIN_SECONDS", 0.01)

    def full(*_):
        raise OSError(28, "No space left on device")

    kept = Store(tmp_path / "run", DISTANCES, KEY)
    kept.begin({}, 1)
    monkeypatch.setattr(kept, "write", full)
    kept.add([unit("a", "x")])
    time.sleep(0.3)
    with pytest.raises(OSError, match="No space left"):
        kept.add([unit("b", "x")])
    with pytest.raises(OSError, match="No space left"):
        kept.close()
    assert len(kept.unwritten) == 2
    Store(tmp_path / "run", DISTANCES, KEY).begin({}, 1)  # the lock was given back


def test_two_runs_of_unlike_keys_that_begin_in_one_empty_folder(tmp_path):
    one = Store(tmp_path / "run", DISTANCES, KEY)
    two = Store(tmp_path / "run", DISTANCES, Signature({"baseline": "two"}))
    with one:
        one.begin({}, 1)
        one.add([unit("a", "x")])
    with two, pytest.raises(InputError, match="begun with other settings"):
        two.begin({}, 1)
    assert held(tmp_path / "run") == 1

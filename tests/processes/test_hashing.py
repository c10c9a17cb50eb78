"""A folder is named after its content: every byte counts, and big files are read once."""

import json
import os
import re
import stat
import time
from pathlib import Path

import pytest
from folder_tools import edit_json, edit_weights

from conjure.processes import hashing, load
from conjure.processes.folders import content_hash
from conjure.processes.hashing import hash_files
from conjure.processes.hub import BUNDLED
from conjure.processes.stable_diffusion import FAMILY


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A user's cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "conjure" / "sha256.json"


def aged(path, seconds=60):
    """The file as if it had lain there for a while."""
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


@pytest.fixture
def settled(monkeypatch):
    """Files count as settled at once: their time of change cannot be set back."""
    monkeypatch.setattr(hashing, "_SETTLED", -1e9)


@pytest.fixture
def reads(monkeypatch):
    """The files whose bytes are read."""
    found, plain = [], hashing.hashlib.file_digest

    def digest(file, name):
        found.append(Path(file.name).name)
        return plain(file, name)

    monkeypatch.setattr(hashing.hashlib, "file_digest", digest)
    return found


def big(tmp_path, mebibytes=2):
    path = tmp_path / "model" / "weights.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(mebibytes * 2**20))
    return path


def test_one_byte_anywhere_in_a_big_file_is_another_name(tmp_path):
    """Of 130 MiB, once only 64 blocks of 1 MiB were read, two of them 2.03 MiB apart."""
    path = big(tmp_path, 0)
    with path.open("wb") as file:
        file.truncate(130 * 2**20)
    before = hash_files(path.parent, [path])
    assert re.fullmatch(r"sha256-[0-9a-f]{12}", before)
    with path.open("r+b") as file:
        file.seek(int(1.5 * 2**20))
        file.write(b"\1")
    assert hash_files(path.parent, [path]) != before


def test_names_sizes_and_places_count(tmp_path):
    names = set()
    for layout in ({"a": b"x"}, {"b": b"x"}, {"a": b"", "b": b"x"}, {"a": b"xx"}, {"a/b": b"x"}):
        root = tmp_path / str(len(names))
        for name, content in layout.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        names.add(hash_files(root, root.rglob("*")))
    assert len(names) == 5


def test_a_big_file_is_read_once_until_it_changes(tmp_path, settled, reads, cache):
    path = big(tmp_path)
    first = hash_files(path.parent, [path])
    assert hash_files(path.parent, [path]) == first
    assert reads == ["weights.safetensors"]
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    before = path.stat()
    with path.open("r+b") as file:  # in place, and with its times set back
        file.write(b"\1")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hash_files(path.parent, [path]) != first
    assert len(reads) == 2


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path, reads, cache):
    path = big(tmp_path)
    assert hash_files(path.parent, [path]) == hash_files(path.parent, [path])
    assert len(reads) == 2
    assert not cache.exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "[" * 100_000, "\udcff"])
def test_a_damaged_cache_is_ignored_and_written_again(tmp_path, settled, reads, cache, damage):
    path = big(tmp_path)
    expected = hash_files(path.parent, [path])
    cache.write_bytes(damage.encode(errors="surrogateescape"))
    assert hash_files(path.parent, [path]) == expected
    assert hash_files(path.parent, [path]) == expected
    assert len(reads) == 2
    kept = json.loads(cache.read_text())
    cache.write_text(json.dumps(dict.fromkeys(kept, 7) | {"x": "y"}))
    assert hash_files(path.parent, [path]) == expected
    assert [p.name for p in cache.parent.iterdir()] == [cache.name]  # no draft is left


@pytest.mark.parametrize("place", ["/proc/conjure-cannot-write-here", "relative", ""])
def test_where_no_cache_can_be_written_files_are_read_again(tmp_path, monkeypatch, reads, place):
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    monkeypatch.setenv("HOME", "/proc/nobody")
    path = aged(big(tmp_path))
    assert hash_files(path.parent, [path]) == hash_files(path.parent, [path])
    assert len(reads) == 2


def test_only_so_many_files_are_remembered_the_youngest(tmp_path, settled, cache, monkeypatch):
    monkeypatch.setattr(hashing, "_MOST_KEPT", 2)
    monkeypatch.setattr(hashing, "_WORTH_KEEPING", 0)
    for name in "abc":
        (tmp_path / name).write_text(name)
        hash_files(tmp_path, [tmp_path / name])
    kept = [Path(json.loads(key)[0]).name for key in json.loads(cache.read_text())]
    assert kept == ["b", "c"]


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_an_edited_copy_is_another_revision_whatever_its_card_says(folder, part):
    edit_json(folder / "conjure.json", revision="7", name="toy")
    before = load(folder, steps=2)

    def nudge(weights):
        last = sorted(weights)[-1]
        weights[last].view(-1)[-1] += 1e-3
        return weights

    edit_weights(folder, part, nudge)
    after = load(folder, steps=2)
    assert before.name == after.name == "toy"
    assert before.revision != after.revision
    assert "7" not in (before.revision, after.revision)


def test_what_desktops_leave_behind_is_no_content(folder):
    before = content_hash(folder, FAMILY.parts)
    (folder / "unet" / ".DS_Store").write_text("x")
    (folder / "README.md").write_text("x")
    assert content_hash(folder, FAMILY.parts) == before
    edit_json(folder / "model_index.json", more="x")
    assert content_hash(folder, FAMILY.parts) != before


def test_the_bundled_process_is_named_after_its_content():
    folder = BUNDLED["emoji"]
    card = json.loads((folder / "conjure.json").read_text(encoding="utf-8"))
    assert content_hash(folder, FAMILY.parts) == BUNDLED_CONTENT
    assert card["revision"] == "cdf37a476b9d"  # the label in recorded results


BUNDLED_CONTENT = "sha256-a48d45785c77"  # what README and model card say; other weights, another

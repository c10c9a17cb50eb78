"""Loss of power, by a model of a disk: what was not synced is lost, at every moment of a run.

The run is real. ``os.fsync``, ``os.replace`` and the like are watched, and at each call the disk is
pictured in the two ways in which a loss of power may leave it. Files hold what they held when they
were last synced, else nothing. Names are those of the last sync of their folder, or all of them.
``tests/power_tools.py`` tries the same on a real ext4.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import conjure
from conjure.cli.main import main
from conjure.datasets.tables import read_pairs
from conjure.runs import store
from conjure.runs.manifest import read_manifest
from conjure.runs.shards import read_shards
from conjure.runs.units import read_units, terms_kind

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")

File = tuple[int, int]  # an inode, and how often it was used before
Image = dict[str, bytes]  # what is on the disk: path → content


@dataclass
class Disk:
    """What of a folder is on the disk. reported: the units that the program took for kept."""

    root: Path
    contents: dict[File, bytes] = field(default_factory=dict)
    names: dict[Path, dict[str, File]] = field(default_factory=dict)
    used: dict[int, int] = field(default_factory=dict)
    reported: set[tuple[str, str]] = field(default_factory=set)
    moments: list[tuple[Image, set[tuple[str, str]]]] = field(default_factory=list)

    def file(self, path: Path) -> File:
        inode = path.stat().st_ino
        return inode, self.used.get(inode, 0)

    def listed(self, folder: Path) -> dict[str, File]:
        return {path.name: self.file(path) for path in folder.iterdir()}

    def synced(self, path: Path) -> None:
        if path.is_dir():
            self.names[path] = self.listed(path)
        else:
            self.contents[self.file(path)] = path.read_bytes()

    def picture(self) -> None:
        """Take down both ways in which the disk may be found now."""
        folders = [self.root, *(path for path in self.root.rglob("*") if path.is_dir())]
        everything = {folder: self.listed(folder) for folder in folders}
        for names in (self.names, everything):
            self.moments.append((self._below(self.root, names, folders), {*self.reported}))

    def _below(
        self, folder: Path, names: dict[Path, dict[str, File]], folders: list[Path]
    ) -> Image:
        image: Image = {}
        for name, file in names.get(folder, {}).items():
            path = folder / name
            if path in names or path in folders:
                image |= self._below(path, names, folders)
            else:
                image[str(path.relative_to(self.root))] = self.contents.get(file, b"")
        return image


@pytest.fixture
def disk(tmp_path, monkeypatch) -> Disk:
    root = tmp_path / "disk"
    root.mkdir()
    (root / "pairs.csv").write_text(
        "text1,text2\n" + "".join(f"{a},{b}\n" for a in "abc" for b in "defg")
    )
    found = Disk(root)
    found.synced(root / "pairs.csv")
    found.synced(root)
    fsync, replace, unlink, mkdir = os.fsync, os.replace, os.unlink, os.mkdir

    def syncing(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        found.picture()
        fsync(descriptor)
        if path.is_relative_to(root):
            found.synced(path)
        found.picture()

    def replacing(one, other, **given) -> None:
        replace(one, other, **given)
        found.picture()

    def unlinking(path, **given) -> None:
        inode = os.stat(path, follow_symlinks=False).st_ino
        unlink(path, **given)
        found.used[inode] = found.used.get(inode, 0) + 1
        found.picture()

    def making(path, *given, **more) -> None:
        mkdir(path, *given, **more)
        found.picture()

    watched = {"fsync": syncing, "replace": replacing, "unlink": unlinking, "mkdir": making}
    for name, function in watched.items():
        monkeypatch.setattr(os, name, function)
    write, add = store.Store.write, store.Store.add

    def writing(self, table, facts):
        shard = write(self, table, facts)
        found.reported |= {pair for pair, *_ in read_units(table)}
        found.picture()
        return shard

    def adding(self, units) -> None:
        add(self, units)
        self.flush()  # at once, and not by the clock

    monkeypatch.setattr(store.Store, "write", writing)
    monkeypatch.setattr(store.Store, "add", adding)
    monkeypatch.setattr(store, "_MANY", 5)  # so that shards are joined, too
    return found


def laid_out(image: Image, folder: Path) -> Path:
    for name, content in image.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def kept(folder: Path) -> set[tuple[str, str]]:
    """The pairs in the run folder; all of its shards are whole."""
    manifest = read_manifest(folder)
    if manifest is None:
        return set()
    found = read_shards(folder, terms_kind(3), manifest.key)
    assert not found.damaged
    return {pair for shard in found.shards.values() for pair, *_ in read_units(shard.table)}


def score(folder: Path) -> int:
    flags = ["--out", str(folder / "out.csv")]
    return main(["score", str(folder / "pairs.csv"), *flags])


# trajectories are not synced: a damaged one is told, and walked again
@pytest.mark.filterwarnings("always:.*trajectories/.* cannot be used")
def test_a_loss_of_power_at_any_moment_loses_nothing_that_was_kept(
    disk, gaussians, monkeypatch, tmp_path, capsys
):
    process = gaussians(batch_size=1, steps=3)
    monkeypatch.setattr(conjure, "load", lambda *_, **__: process, raising=False)
    assert score(disk.root) == 0
    whole = (disk.root / "out.csv").read_bytes()
    monkeypatch.undo()
    monkeypatch.setattr(conjure, "load", lambda *_, **__: process, raising=False)
    moments = {tuple(sorted(image.items())): reported for image, reported in disk.moments}
    assert len(moments) > 50
    found = []
    for n, (image, reported) in enumerate(moments.items()):
        folder = laid_out(dict(image), tmp_path / str(n))
        out = folder / "out.csv"
        assert not out.exists() or out.read_bytes() == whole
        there = kept(folder / "out.csv.run")
        assert out.exists() or there >= reported
        found.append((len(there), out.exists()))
    assert {count for count, done in found if not done} == {*range(13)}  # each unit for itself
    for n in range(3, len(moments), len(moments) // 6):
        folder, (there, done) = tmp_path / str(n), found[n]
        process.rows = 0
        if not done:
            assert score(folder) == 0
            left = 12 - there
            assert (process.rows > 0) == (left > 0)
        assert (folder / "out.csv").read_bytes() == whole
        assert len(read_pairs(folder / "out.csv").rows) == 12

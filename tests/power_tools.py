"""Loss of power on a real ext4; run as root, as a program. What it found is in docs/reliability.md.

A run of ``conjure score`` writes into an ext4 that lies in a file. At random moments the run is
held, and the file is copied: the copy has what the kernel has written to the disk by then, and not
what it would write later. Each copy is mounted; what the run took for kept must be there, and the
same command must go on to the same output.

    python tests/power_tools.py FOLDER COPIES   → one JSON object on stdout
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

from conftest import CountingGaussians

import conjure
from conjure.cli.main import main
from conjure.runs import store
from conjure.runs.manifest import read_manifest
from conjure.runs.shards import read_shards
from conjure.runs.units import read_units, terms_kind

STEPS, SECONDS = 3, 0.01  # of a prediction


class Slow(CountingGaussians):
    def predict(self, x, step, conditioning):
        time.sleep(SECONDS)
        return super().predict(x, step, conditioning)


@contextmanager
def mounted(image: Path, where: Path) -> Iterator[Path]:
    where.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", str(where)], check=True)


def score(folder: Path) -> int:
    return main(["score", str(folder / "pairs.csv"), "--out", str(folder / "out.csv")])


def child(folder: Path, log: Path) -> int:
    """Fork a run that logs each unit when it is computed, and when it is taken for kept."""
    number = os.fork()
    if number:
        return number
    told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    write, add = store.Store.write, store.Store.add

    def tell(word: str, pairs: list) -> None:
        os.write(told, (json.dumps([word, pairs]) + "\n").encode())

    def adding(self, units) -> None:
        tell("computed", [[unit["text1"], unit["text2"]] for unit in units])
        add(self, units)

    def writing(self, table, facts):
        shard = write(self, table, facts)
        tell("kept", [pair for pair, *_ in read_units(table)])
        return shard

    store.Store.add, store.Store.write = adding, writing
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os._exit(score(folder))


def logged(log: Path, word: str) -> set[tuple[str, str]]:
    lines = map(json.loads, log.read_text().splitlines() if log.exists() else [])
    return {tuple(pair) for name, pairs in lines if name == word for pair in pairs}


def kept(folder: Path) -> set[tuple[str, str]]:
    manifest = read_manifest(folder / "out.csv.run")
    if manifest is None:
        return set()
    found = read_shards(folder / "out.csv.run", terms_kind(STEPS), manifest.key)
    assert not found.damaged, found.damaged
    return {pair for shard in found.shards.values() for pair, *_ in read_units(shard.table)}


def run(folder: Path, copies: int) -> dict[str, object]:
    store.MIN_SECONDS = 0.02  # else a run this short would write once, at its end
    process = Slow(batch_size=1, steps=STEPS)
    conjure.load = lambda *_, **__: process
    pairs = list(combinations("abcdefgh", 2))
    table = "text1,text2\n" + "".join(f"{one},{other}\n" for one, other in pairs)
    for name in ("first", "whole"):  # the first one loads modules
        whole = folder / name
        whole.mkdir()
        (whole / "pairs.csv").write_text(table)
        begun = time.perf_counter()
        assert score(whole) == 0
    lasted, output = time.perf_counter() - begun, (whole / "out.csv").read_bytes()
    draw, found = random.Random(0), []
    for n in range(copies):
        image, copy, log = (folder / f"{name}{n}" for name in ("disk", "copy", "log"))
        with image.open("wb") as file:
            file.truncate(16 * 2**20)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
        with mounted(image, folder / "live") as live:
            (live / "pairs.csv").write_text(table)
            os.sync()
            number = child(live, log)
            time.sleep(draw.uniform(0, 1.1 * lasted))
            os.kill(number, signal.SIGSTOP)
            reported, computed = logged(log, "kept"), logged(log, "computed")
            shutil.copyfile(image, copy)
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
        with mounted(copy, folder / "lost") as lost:
            out = lost / "out.csv"
            done = out.exists()
            assert not done or out.read_bytes() == output
            there = kept(lost)
            assert done or score(lost) == 0
            assert out.read_bytes() == output
        found.append(
            {
                "computed": len(computed),
                "reported": len(reported),
                "lost": 0 if done else len(reported - there),
                "again": 0 if done else len(computed - there),
                "done": done,
            }
        )
        for path in (image, copy):
            path.unlink()
    return {
        "copies": copies,
        "in the middle": sum(one["computed"] > 0 and not one["done"] for one in found),
        "lost": sum(one["lost"] for one in found),
        "again": [one["again"] for one in found],
        "each": found,
    }


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]))))

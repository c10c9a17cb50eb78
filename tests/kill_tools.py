"""Kill a run of ``conjure score`` again and again, and look at what is left; run as a program.

torch is imported and the process is loaded once. Each run is a fork of that, so that a kill comes
within a second and not after a minute. No thread of torch has begun before the fork.

    python tests/kill_tools.py FOLDER KILLS   → one JSON object on stdout
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from itertools import combinations
from pathlib import Path

import torch

torch.set_num_threads(1)

import conjure  # noqa: E402
from conjure.cli.main import main  # noqa: E402
from conjure.core.divergence import measure  # noqa: E402
from conjure.runs import store  # noqa: E402
from conjure.runs.manifest import read_manifest  # noqa: E402
from conjure.runs.shards import read_shards  # noqa: E402
from conjure.runs.terms import TermStore  # noqa: E402
from conjure.runs.units import terms_kind  # noqa: E402

NOUNS = (
    *("dog", "cat", "bird", "fish", "car", "bus", "train", "house"),
    *("tree", "sun", "moon", "star", "apple", "bread", "king"),
)
MOMENTS = ("before the bytes are on the disk", "before the name", "after the name")


def settings(folder: Path, out: str) -> list[str]:
    """One row a batch: then numbers do not depend on what shares a batch, to the last bit."""
    table, flags = folder / "pairs.csv", ["--steps", "2", "--batch-size", "1", "--device", "cpu"]
    return ["score", str(table), "--out", str(folder / out), "--run", str(folder / "run"), *flags]


def child(folder: Path, out: str, moment: str | None = None, nth: int = 0) -> int:
    """Fork a run of its own group; its units are logged as they are computed."""
    number = os.fork()
    if number:
        return number
    os.setsid()
    keep, log = TermStore._keep, os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def logged(self: TermStore, pair: tuple[str, str], *given: object) -> bool:
        os.write(log, (json.dumps([os.getpid(), *pair]) + "\n").encode())
        return keep(self, pair, *given)

    TermStore._keep = logged  # type: ignore[method-assign]
    errors = os.open(folder / "errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, 2)
    if moment is not None:
        die_at(moment, nth)
    os._exit(main(settings(folder, out)))


def die_at(moment: str, nth: int) -> None:
    """Be killed at a moment of writing the nth shard."""
    fsync, replace, seen = os.fsync, os.replace, [0]

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def is_nth(path: object) -> bool:
        seen[0] += str(path).endswith(".parquet")
        return seen[0] == nth

    def syncing(descriptor: int) -> None:
        if moment == MOMENTS[0] and "shards" in os.readlink(f"/proc/self/fd/{descriptor}"):
            seen[0] += 1
            if seen[0] == nth:
                die()
        fsync(descriptor)

    def replacing(one: object, other: object) -> None:
        if moment == MOMENTS[1] and is_nth(other):
            die()
        replace(one, other)  # type: ignore[arg-type]
        if moment == MOMENTS[2] and is_nth(other):
            die()

    os.fsync, os.replace = syncing, replacing  # type: ignore[assignment]


def ended(number: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def stored(folder: Path) -> set[tuple[str, str]]:
    """The pairs that are on the disk, and whole."""
    manifest = read_manifest(folder / "run")
    if manifest is None:
        return set()
    found = read_shards(folder / "run", terms_kind(2), manifest.key)
    assert not found.damaged, found.damaged
    return {
        pair
        for shard in found.shards.values()
        for pair in zip(*(shard.table[n].to_pylist() for n in ("text1", "text2")), strict=True)
    }


def logged(folder: Path) -> list[tuple[int, str, str]]:
    path = folder / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [tuple(json.loads(line)) for line in lines]


def run(folder: Path, kills: int) -> dict[str, object]:
    """Kill ``kills`` times at random moments, then thrice while a shard is written; then finish."""
    store.MIN_SECONDS = 0.05  # else a run this short would write once, at its end
    process = conjure.load(steps=2, batch_size=1, device="cpu")
    conjure.load = lambda *_, **__: process
    pairs = list(combinations(NOUNS, 2))
    one = [("a green key", "a red ring")]
    list(measure(process, one, [0]))  # also warms up
    begun = time.perf_counter()
    list(measure(process, one, [0]))
    each = time.perf_counter() - begun
    texts = "".join(f"{one},{other}\n" for one, other in pairs)
    (folder / "pairs.csv").write_text(f"text1,text2\n{texts}")
    draw, spoiled, killed, lost = random.Random(0), 0, 0, []
    plan: list[tuple[str | None, int]] = [(None, 0)] * kills + [(m, 1) for m in MOMENTS]
    draw.shuffle(plan)
    for moment, nth in plan:
        before, known = stored(folder), len(logged(folder))
        number = child(folder, "out.csv", moment, nth)
        if moment is None:
            time.sleep(draw.uniform(0, 2 * each))
            os.kill(number, signal.SIGKILL)
        status = ended(number)
        killed += status == -signal.SIGKILL
        new = [(a, b) for _, a, b in logged(folder)[known:]]
        spoiled += len(before & {*new})  # was on the disk and computed all the same
        lost.append(len({*new} - stored(folder)))
    known = stored(folder)
    assert ended(child(folder, "out.csv")) == 0, (folder / "errors").read_text()
    assert ended(child(folder, "again.csv")) == 0
    count = len(logged(folder))
    os.rename(folder / "run", folder / "killed")
    assert ended(child(folder, "whole.csv")) == 0
    return {
        "pairs": len(pairs),
        "kills": killed,
        "planned": len(plan),
        "lost": lost,
        "computed": count,
        "spoiled": spoiled,
        "kept_before_the_last": len(known),
        "seconds_a_pair": each,
        "equal": (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes(),
        "again": (folder / "again.csv").read_bytes() == (folder / "out.csv").read_bytes(),
        "drafts": [path.name for path in (folder / "killed").rglob(".*")],
    }


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]))))

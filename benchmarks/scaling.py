"""Many pairs: whether time a pair and peak memory stay the same as a collection grows.

``measure`` runs ``python -m benchmarks.scaling PAIRS`` for each measurement: in a fresh Python, so
that the peak memory is its own.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conjure.cli.process_wide import keep_freed_memory

from .clock import Timing

STEPS = 4
NEW, WINDOW = 0.61, 50  # the paper's seven sets: 29,023 texts in 2 × 23,850 places


@dataclass(frozen=True)
class Size:
    """A number of pairs, its network rows, seconds over the rounds, and peak memory in bytes."""

    pairs: int
    rows: int
    timing: Timing
    memory: int


def measure(counts: Sequence[int], rounds: int, say: Callable[[str], object]) -> list[Size]:
    """Score so many pairs, in interleaved rounds, each in a fresh Python."""
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for number in range(rounds):
        for count in list(counts)[:: -1 if number % 2 else 1]:
            say(f"round {number + 1} of {rounds}: {count:,} pairs")
            run = subprocess.run(
                [sys.executable, "-W", "ignore", "-m", __name__, str(count)],
                stdout=subprocess.PIPE,
                check=True,
            )
            found[count].append(json.loads(run.stdout))
    return [
        Size(
            pairs=count,
            rows=int(runs[0]["rows"]),
            timing=Timing(tuple(run["seconds"] for run in runs)),
            memory=int(max(run["memory"] for run in runs)),
        )
        for count, runs in found.items()
    ]


def random_pairs(count: int) -> list[tuple[str, str]]:
    """Distinct pairs as in a human-annotated set: most texts are new, some came shortly before."""
    draw = random.Random(0)
    pairs: dict[tuple[int, int], None] = {}
    texts = 0
    while len(pairs) < count:
        sides = []
        for _ in range(2):
            if texts < WINDOW or draw.random() < NEW:
                texts += 1
                sides.append(texts)
            else:
                sides.append(draw.randint(texts - WINDOW + 1, texts))
        if sides[0] != sides[1]:
            pairs[min(sides), max(sides)] = None
    return [(f"text {a}", f"text {b}") for a, b in pairs]


def run(count: int) -> dict[str, float]:
    """Score ``count`` pairs on a tiny random network; only the scoring is timed."""
    from conjure import similarity

    from .matrix import Setup, make_process

    process = make_process(Setup(architecture="tiny"), dtype="float32", steps=STEPS)
    pairs = random_pairs(count)
    list(similarity.stream(pairs[:50], process=process))  # warms up
    begun = time.perf_counter()
    for _ in similarity.stream(pairs, process=process):
        pass
    seconds = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {
        "seconds": seconds,
        "memory": memory,
        "rows": similarity.cost(pairs, process=process).rows,
    }


if __name__ == "__main__":
    keep_freed_memory()
    print(json.dumps(run(int(sys.argv[1])), allow_nan=False))

"""Kill commands at chosen moments and let them go on; run as a program.

torch is imported once. Each run is a fork of that. A run is killed by
SIGKILL right after a file got its name, so the moment is always the same.

    python tests/kept_tools.py FOLDER   → one JSON object on stdout: {command: what happened}
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

torch.set_num_threads(1)

import diffusers  # noqa: E402, F401  (what each child would import anew)
import matplotlib.pyplot  # noqa: E402, F401
import pandas  # noqa: E402, F401
import scipy.stats  # noqa: E402, F401
import transformers  # noqa: E402, F401

import conjure  # noqa: E402
from conjure.cli.main import main  # noqa: E402
from conjure.comparison import erasure, rankings  # noqa: E402, F401
from conjure.core.gaussian import GaussianProcess  # noqa: E402
from conjure.report import writing  # noqa: E402, F401
from conjure.report.page import gallery  # noqa: E402, F401
from conjure.runs import cost, explanations, passes, terms  # noqa: E402, F401
from conjure.runs.store import Store  # noqa: E402

TEXTS = ["a", "b", "c", "d", "e"]
QUICK = ["--steps", "2", "--batch-size", "1", "--device", "cpu"]  # one row a batch: the same bits
# command: its arguments, its output, and (what is in the path of a file, which of such files)
COMMANDS = {
    "matrix": (["matrix", *TEXTS, "--out", "m.npz"], "m.npz", ("m.npz.run/shards", 4)),
    "words": (
        ["explain", "a b", "c", "--words", "--neutral", "d", "--out", "e.npz"],
        "e.npz",
        ("e.npz.run/shards", 4),
    ),
    "gallery": (
        ["explain", "--pairs", "pairs.csv", "--top", "2", "--out", "g.html"],
        "g.html",
        ("explanations", 1),
    ),
    "rankings": (
        ["compare", "one", "other", "--words", "words.txt", "--out", "r"],
        "r/compare.json",
        ("r/measured", 7),  # of three pairs, two seeds: it is in the second process
    ),
    "erasure": (
        ["compare", "one", "other", "--target", "a", "--bystander", "b,c,d"] + ["--out", "s"],
        "s/compare.json",
        ("s/measured", 26),  # of twice six pairs, two seeds: it is among the words themselves
    ),
}


def child(arguments: list[str], log: str, kill: tuple[str, int] | None) -> int:
    """Fork a run, which logs the network rows it computes. Returns its exit status."""
    number = os.fork()
    if number:
        return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    os.setsid()
    errors = os.open("errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    rows = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for process in PROCESSES.values():
        predict = process.predict

        def counted(x, *given, predict=predict):
            os.write(rows, b"." * len(x))
            return predict(x, *given)

        process.predict = counted
    add, replace, seen = Store.add, os.replace, [0]

    def written(self, units):
        add(self, units)
        self.flush()

    def replacing(one, other):
        replace(one, other)
        path = str(other)
        if kill is not None and kill[0] in path and path.endswith((".parquet", ".npz")):
            seen[0] += "trajectories" not in path
            if seen[0] == kill[1] and "trajectories" not in path:
                os.kill(os.getpid(), signal.SIGKILL)

    Store.add, os.replace = written, replacing
    os._exit(main([*arguments, *QUICK]))


def rows(log: str) -> int:
    return Path(log).stat().st_size if Path(log).exists() else 0


def tried(name: str) -> dict[str, object]:
    """An undisturbed run; one that is killed; and the same command again."""
    arguments, out, kill = COMMANDS[name]
    whole = child(arguments, f"{name}.whole", None)
    assert whole == 0, Path("errors").read_text()
    expected = content(out)
    clear(arguments[-1])
    killed = child(arguments, f"{name}.killed", kill)
    there = Path(out).exists()
    again = child(arguments, f"{name}.again", None)
    return {
        "killed": killed == -signal.SIGKILL,
        "too_early": there,
        "status": again,
        "rows": [rows(f"{name}.{part}") for part in ("whole", "killed", "again")],
        "equal": content(out) == expected,
        "left": sorted(path.name for path in Path().glob("*.run")),
        "said": Path("errors").read_text()[-3000:],
    }


def content(out: str) -> object:
    """What an output says, without its file's dates."""
    if not out.endswith(".npz"):
        return Path(out).read_bytes()
    import numpy as np

    with np.load(out, allow_pickle=False) as file:
        return {name: file[name].tobytes() for name in file.files}


def clear(out: str) -> None:
    import shutil

    for path in (Path(out), Path(f"{out}.run")):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


class Gaussians(GaussianProcess):
    """Gaussians named by texts; two of them differ by their guidance."""

    def __init__(self, guidance: float) -> None:
        draw = torch.Generator().manual_seed(0)
        texts = ["", *TEXTS, "a b", "a d", "d b"]
        named = {
            text: (torch.randn(4, generator=draw, dtype=torch.float64), scale * torch.eye(4))
            for scale, text in enumerate(texts, start=1)
        }
        super().__init__(named, guidance=guidance, batch_size=1, steps=3)


PROCESSES: dict[str, Any] = {}


def run() -> dict[str, object]:
    cost.LONG = 10**9  # no probe, whose rows would be counted
    PROCESSES["one"], PROCESSES["other"] = Gaussians(2.0), Gaussians(3.0)
    conjure.load = lambda source="one", **_: PROCESSES[source]
    Path("words.txt").write_text("\n".join(TEXTS[:3]))
    Path("pairs.csv").write_text("text1,text2\na,b\na,c\nb,c\n")
    return {name: tried(name) for name in COMMANDS}


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    print(json.dumps(run()))

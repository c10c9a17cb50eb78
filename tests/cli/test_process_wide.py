"""Freed memory is kept: what is allocated again does not come from the system again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

import conjure
from conjure.cli import choosing
from conjure.cli.main import main

FREED = """
import ctypes, sys, torch
from conjure.cli.process_wide import keep_freed_memory

class Report(ctypes.Structure):  # mallinfo2 of malloc.h
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    )]

report = ctypes.CDLL(None).mallinfo2
report.restype = Report
if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = report().fordblks
held = [torch.ones(6_000_000) for _ in range(6)]
del held
print(report().fordblks - before)
"""


def _bytes_kept(how: str) -> int:
    """How much more malloc holds, free, after 144 MB were taken and freed."""
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", FREED, how], capture_output=True, text=True, env=environment
    )
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc: there is nothing to tell")
def test_memory_that_was_freed_is_kept_for_what_comes_next() -> None:
    assert _bytes_kept("keep") > 100_000_000 > 10_000_000 > _bytes_kept("leave")


HOLES = """
import ctypes, os, sys, time
import numpy as np
from conjure.cli.process_wide import keep_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

keep_freed_memory(holes=float(sys.argv[1]))
blocks = [np.ones(1_000_000) for _ in range(60)]
held = blocks[1::2]  # every second one
del blocks
before, until = resident(), time.monotonic() + 20
while resident() > before - 200_000_000 and time.monotonic() < until and sys.argv[1] == "0.1":
    time.sleep(0.1)
print(before - resident(), len(held))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc: there is nothing to tell")
@pytest.mark.parametrize(("holes", "given_back"), [("0.1", True), ("3600", False)])
def test_holes_between_what_is_held_are_given_back(holes, given_back) -> None:
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", HOLES, holes], capture_output=True, text=True, env=environment
    )
    assert ran.returncode == 0, ran.stderr
    assert (int(ran.stdout.split()[0]) > 200_000_000) is given_back


@pytest.mark.parametrize(
    "command",
    [
        ["distance", "a dog", "a cat"],
        ["reproduce", "figure2", "--samples", "1"],
    ],
    ids=["distance", "reproduce"],
)
def test_every_command_that_runs_a_process_on_the_cpu_asks_for_it(
    command, tiny_pipeline, tmp_path, monkeypatch
) -> None:
    class Enough(Exception):
        pass

    def asked() -> None:
        raise Enough

    monkeypatch.setattr(choosing, "keep_freed_memory", asked)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Enough):
        main([*command, "--process", str(tiny_pipeline), "--device", "cpu", "--steps", "2"])


def test_the_library_asks_for_nothing(tiny_pipeline, monkeypatch) -> None:
    monkeypatch.setattr(choosing, "keep_freed_memory", lambda: pytest.fail("asked"))
    conjure.load(tiny_pipeline, device="cpu")

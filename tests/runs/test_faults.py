"""Faults that a long run meets: it is killed, the disk fills, the folder is read-only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import conjure

TESTS = Path(__file__).parents[1]
SOURCE = Path(conjure.__file__).parents[1]
KILLS = 20
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def environment() -> dict[str, str]:
    paths = os.pathsep.join([str(SOURCE), str(TESTS)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    """A real run of the bundled process, killed KILLS times at random moments, and thrice more."""
    folder = tmp_path_factory.mktemp("killed")
    done = subprocess.run(
        [sys.executable, str(TESTS / "kill_tools.py"), str(folder), str(KILLS)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_end_equals_an_undisturbed_run_to_the_last_bit(report):
    assert report["kills"] == report["planned"] == KILLS + 3
    assert report["equal"]
    assert report["again"]


def test_nothing_on_the_disk_is_computed_again(report):
    assert report["spoiled"] == 0
    # what was computed in vain is what the kills cost
    assert report["computed"] == report["pairs"] + sum(report["lost"])


def test_a_kill_costs_what_is_in_flight(report):
    """At most what is finished within the time between two writes, and a block."""
    assert max(report["lost"]) <= 8
    assert report["kept_before_the_last"] > 0

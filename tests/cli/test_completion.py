"""Shell completion: the values are those that there are, and no press of Tab loads torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import conjure
from conjure.cli.completion import ESTIMANDS
from conjure.core.registry import usage

SOURCE = str(Path(conjure.__file__).parents[1])
# What the entry point runs, and then what it has loaded.
PROGRAM = """
import sys
from conjure.cli.main import main
status = main(sys.argv[1:])
heavy = [name for name in ("torch", "numpy", "diffusers", "matplotlib") if name in sys.modules]
assert not heavy, heavy
sys.exit(status)
"""


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE, **environment},
        timeout=60,
    )


def completed(line: str) -> list[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    done = run(
        {
            "_CONJURE_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [entry.split(",", 1)[1] for entry in done.stdout.splitlines()]


def test_estimands_are_those_of_the_registry() -> None:
    assert sorted(ESTIMANDS) == sorted(name.removesuffix("STEP") for name in usage())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("conjure di", ["distance"]),
        ("conjure distance a b --sampler e", ["euler", "euler-ancestral"]),
        ("conjure distance a b --dtype b", ["bfloat16"]),
        ("conjure score x.csv --estimand c", ["coupled", "chain", "cumulative:"]),
        ("conjure evaluate sick", ["sickr", "sickr-test", "sick"]),  # the last: files, too
        ("conjure score x.csv --baseline bert-l", ["bert-large-mean", "bert-l"]),
        ("conjure reproduce table1 --rows conjuring,gp", ["conjuring,gpt2", "conjuring,gpt2-xl"]),
        ("conjure reproduce fig", ["figure2", "figure3"]),
    ],
)
def test_bash_is_offered(line: str, expected: list[str]) -> None:
    assert completed(line) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_line_gives_a_script(shell: str) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version, and there is none here")
    done = run({"_CONJURE_COMPLETE": f"{shell}_source"})
    assert done.returncode == 0, done.stderr
    assert "_CONJURE_COMPLETE" in done.stdout
    assert done.stderr == ""

"""``matrix``, ``explain``, its gallery and ``compare`` go on from what is kept, or in parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import conjure
import conjure.runs.cost
from conjure import runs
from conjure.cli.main import main
from conjure.runs.terms import TermStore

TESTS = Path(__file__).parents[1]
COMMANDS = ("matrix", "words", "gallery", "rankings", "erasure")


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> dict:
    """Each command undisturbed, killed at a chosen moment, and again."""
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    paths = os.pathsep.join([str(Path(conjure.__file__).parents[1]), str(TESTS)])
    folder = tmp_path_factory.mktemp("killed")
    done = subprocess.run(
        [sys.executable, str(TESTS / "kept_tools.py"), str(folder)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_goes_on_and_gives_the_same(killed, command):
    found = killed[command]
    assert found["killed"]
    assert not found["too_early"]  # the output comes whole, at the end
    assert found["status"] == 0, found["said"]
    assert found["equal"]
    assert found["left"] == []  # no run folder beside a complete output
    whole, before, after = found["rows"]
    assert after < whole <= before + after


# parts


@pytest.fixture
def process(gaussians, monkeypatch):
    """What every command loads: Gaussians by the name of the source."""
    found = {
        name: gaussians(guidance=w, batch_size=4, steps=3)
        for name, w in (("one", 2.0), ("other", 3.0))
    }
    monkeypatch.setattr(conjure, "load", lambda source="one", **_: found[source], raising=False)
    monkeypatch.setattr(runs.cost, "LONG", 10**9)
    return found


PARTED = {
    "matrix": (["matrix", *"abcdef", "--run", "kept"], "m.npz"),
    "gallery": (["explain", "--pairs", "pairs.csv", "--top", "1", "--run", "kept"], "g.html"),
    "rankings": (["compare", "one", "other", "--words", "words.txt"], "r"),
    "erasure": (["compare", "one", "other", "--target", "a", "--bystander", "b,c,d"], "s"),
}


@pytest.mark.parametrize("command", PARTED)
def test_parts_do_all_the_work_between_them(command, process, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("a\nb\nc\nd\n")
    pairs = ["a,b", "c,d", "e,f", "g,h", "a,c"]
    Path("pairs.csv").write_text("\n".join(["text1,text2", *pairs]))
    arguments, out = PARTED[command]
    written: list[tuple[str, str, int]] = []
    keep = TermStore._keep
    monkeypatch.setattr(
        TermStore,
        "_keep",
        lambda self, pair, seeds, spec, terms: (
            written.extend((self.signature.digest, pair, seed) for seed in seeds)
            or keep(self, pair, seeds, spec, terms)
        ),
    )
    for part in ("1/2", "2/2"):
        before = len(written)
        assert main([*arguments, "--out", out, "--shard", part]) == 0
        assert len(written) > before  # each has its share
        if part == "1/2":
            told = capsys.readouterr().err
            assert "part 1 of 2 is finished: when all are, the same command" in told
            assert not any(Path(out).glob("compare.*"))
            assert not Path(out).is_file()
    shared = 1 if command == "gallery" else 0  # the pair of a card is measured for its maps, too
    assert len(written) - len({*written}) == shared
    rows = sum(one.rows for one in process.values())
    flags = ["--overwrite"] if Path(out).is_file() else []
    assert main([*arguments, "--out", out, *flags]) == 0
    assert sum(one.rows for one in process.values()) == rows  # nothing is left to be done
    if command == "matrix":
        alone = conjure.matrix(list("abcdef"), process=process["one"])
        assert conjure.Matrix.load(out).values == pytest.approx(alone.values, rel=1e-9)


def test_shards_go_with_many_pairs_that_are_kept(capsys):
    assert main(["matrix", "a", "b", "--shard", "1/2"]) == 2
    assert "give --run DIR" in capsys.readouterr().err
    assert main(["explain", "a", "b", "--run", "kept", "--shard", "1/2"]) == 2
    assert "--shard goes with --pairs alone" in capsys.readouterr().err
    assert main(["explain", "a", "b", "--out", "a.gif", "--run", "kept"]) == 2
    assert "--run says nothing about an animation" in capsys.readouterr().err

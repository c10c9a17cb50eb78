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
AGAIN = {"words": 9}  # 4 rows each with T = 3, and ε_∅ at x_T


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
    assert after < whole
    # Nothing is computed twice but ε_∅ at x_T, and the walks of two texts where an observer is
    assert whole <= before + after <= whole + AGAIN.get(command, 1)


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
            assert "goes on from there" not in told  # nothing ended early
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


# explanations


def rows_of(process, arguments: list[str]) -> int:
    """The network rows that a command computes."""
    before = sum(one.rows for one in process.values())
    assert main(arguments) == 0
    return sum(one.rows for one in process.values()) - before


@pytest.mark.filterwarnings("default::conjure.core.errors.DamagedWorkWarning")
def test_an_explanation_computes_only_what_is_missing(process, tmp_path, capsys):
    run = tmp_path / "run"
    explain = ["explain", "a", "b", "--samples", "2", "--run", str(run), "--json"]
    whole = rows_of(process, explain)
    first = json.loads(capsys.readouterr().out)
    assert rows_of(process, explain) == 0
    again = json.loads(capsys.readouterr().out)
    assert {**again, "command": ""} == {**first, "command": ""}
    assert rows_of(process, [*explain, "--estimand", "kl"]) == whole  # its maps are others
    assert rows_of(process, ["matrix", "a", "b", "--run", str(run)]) == 0  # its terms are not
    [path, _] = sorted((run / "explanations").iterdir())
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 1
    path.write_bytes(damaged)
    capsys.readouterr()
    kl = rows_of(process, [*explain, "--estimand", "kl"])
    told = capsys.readouterr().err
    assert {kl, rows_of(process, explain)} == {0, whole}  # whichever of the two it was
    assert "do not fit its checksum: it is set aside" in told + capsys.readouterr().err
    assert (run / "aside" / path.name).exists()
    assert rows_of(process, [*explain, "--resume", "fresh"]) == whole
    assert len(list((run / "explanations").iterdir())) == 1


def test_maps_are_of_all_samples_where_the_terms_are_kept(process, tmp_path, capsys):
    run = tmp_path / "run"
    explain = ["explain", "a", "b", "--samples", "9", "--run", str(run), "--json"]  # three batches
    assert main(explain) == 0
    first = json.loads(capsys.readouterr().out)
    for path in (run / "explanations").iterdir():
        path.unlink()
    assert main(explain) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["shares"] == first["shares"]
    assert again["where"] == first["where"]


def test_a_gallery_leaves_out_what_fails_and_says_so(gaussians, monkeypatch, tmp_path, capsys):
    class Failing(gaussians):
        def predict(self, x, step, conditioning):
            found = super().predict(x, step, conditioning)
            bad = (conditioning.tensors["mean"] == self.components["d"][0]).all(dim=1)
            found[bad] = float("nan")
            return found

    broken = Failing(batch_size=4, steps=3)
    monkeypatch.setattr(conjure, "load", lambda *_, **__: broken, raising=False)
    (tmp_path / "pairs.csv").write_text("text1,text2\na,b\nc,d\na,c\n")
    out = tmp_path / "g.html"
    gallery = ["explain", "--pairs", str(tmp_path / "pairs.csv"), "--out", str(out)]
    assert main(gallery) == 1
    told = capsys.readouterr().err
    assert 'line 3 left out: the network, for "d", gave NaN' in told
    assert "1 pair failed" in told
    assert "2 pairs, 2 cards" in told
    assert out.exists()
    assert (tmp_path / "g.html.run").is_dir()  # it has the reason

"""Faults that a long run meets: it is killed, the disk fills, the folder is read-only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import conjure
import conjure.runs.cost
from conjure import runs
from conjure.cli.main import main
from conjure.datasets.tables import read_pairs

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
        timeout=900,
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


# signals


SLOW = """
import sys, time
sys.path.insert(0, {tests!r})
import conjure
from conftest import CountingGaussians
from conjure.__main__ import main

class Slow(CountingGaussians):
    def predict(self, x, step, conditioning):
        time.sleep(0.1)
        return super().predict(x, step, conditioning)

process = Slow(batch_size=4, steps=3)
conjure.load = lambda *_, **__: process
sys.exit(main())
"""


def table(folder: Path) -> Path:
    path = folder / "pairs.csv"
    lines = [f"{one},{other}\n" for one in "abcd" for other in "efgh"]
    path.write_text("text1,text2\n" + "".join(lines))
    return path


def started(folder: Path) -> subprocess.Popen:
    """A slow run, when its first shard is on the disk."""
    command = [sys.executable, "-c", SLOW.format(tests=str(TESTS)), "score"]
    command += [str(table(folder)), "--out", str(folder / "out.csv")]
    run = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if list((folder / "out.csv.run").glob("shards/*.parquet")):
            return run
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    raise AssertionError("nothing was finished")


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_the_run_after_a_block_and_says_how_to_go_on(
    gaussians, tmp_path, monkeypatch, capsys, name, status
):
    run = started(tmp_path)
    run.send_signal(getattr(signal, name))
    _, told = run.communicate(timeout=60)
    assert run.returncode == status
    lines = told.splitlines()
    assert "once more stops at once" in told
    assert "kept in" in lines[-2]
    assert lines[-2].endswith("the same command goes on from there")
    assert lines[-1] == f"conjure: stopped by {name}"
    assert "Traceback" not in told
    count = int(lines[-2].split()[1])
    process = gaussians(batch_size=4, steps=3)
    monkeypatch.setattr(conjure, "load", lambda *_, **__: process, raising=False)
    assert main(["score", str(tmp_path / "pairs.csv"), "--out", str(tmp_path / "out.csv")]) == 0
    assert f"16 pairs, {count} of them finished earlier" in capsys.readouterr().err
    assert len(read_pairs(tmp_path / "out.csv").rows) == 16


def test_a_second_signal_ends_it_at_once(tmp_path):
    run = started(tmp_path)
    for _ in range(5):
        run.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, told = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in told
    assert list((tmp_path / "out.csv.run").glob("shards/*.parquet"))


STARTING = """
import sys
from conjure.__main__ import main

class Tell:  # when the program begins to import its command line
    def find_spec(self, name, path=None, target=None):
        if name == "conjure.cli":
            sys.meta_path.remove(self)
            print("begun", flush=True)

sys.meta_path.insert(0, Tell())
sys.argv[:] = ["conjure", "distance", "a dog", "a puppy"]
sys.exit(main())
"""


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.4, 1.2])
def test_an_interruption_while_modules_load_prints_no_traceback(seconds):
    command = [sys.executable, "-c", STARTING]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    run = subprocess.Popen(command, env=environment(), text=True, **pipes)
    assert run.stdout.readline() == "begun\n"
    time.sleep(seconds)
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=60)
    assert "Traceback" not in told
    assert run.returncode in (130, 0)


# disks


@pytest.fixture
def scored(gaussians, monkeypatch, capsys):
    """Score pairs into a folder: (status, lines of stderr, rows computed)."""

    def score(folder: Path, *flags: str, process=None, out: str = "out.csv"):
        process = process or gaussians(batch_size=4)
        monkeypatch.setattr(runs.cost, "LONG", 10**9)  # no probe, whose rows would be counted
        monkeypatch.setattr(conjure, "load", lambda *_, **__: process, raising=False)
        capsys.readouterr()
        pairs = folder.parent / "pairs.csv"
        if not pairs.exists():
            table(folder.parent)
        status = main(["score", str(pairs), "--out", str(folder / out), *flags])
        return status, capsys.readouterr().err.splitlines(), process.rows

    return score


def mounted(folder: Path, options: str) -> None:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small disk can be mounted by root alone, and not in every container")


def test_a_full_disk_stops_the_run_with_what_is_finished_intact(
    tmp_path, scored, monkeypatch, gaussians
):
    from conjure.runs import store

    monkeypatch.setattr(store, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(store, "SHARE", 0.0)

    class Slow(gaussians):
        def predict(self, x, step, conditioning):
            time.sleep(0.005)  # the thread that writes comes between
            return super().predict(x, step, conditioning)

    disk = tmp_path / "disk"
    mounted(disk, "size=40k")
    try:
        status, lines, _ = scored(disk, process=Slow(batch_size=4))
        assert status == 2
        assert "No space left on device" in lines[-1]
        kept = int(lines[-2].split()[1])
        assert 0 < kept < 16
        assert subprocess.run(["mount", "-o", "remount,size=4m", str(disk)]).returncode == 0
        status, lines, rows = scored(disk)
        assert status == 0
        assert lines[0].startswith(f"conjure: 16 pairs, {kept} of them finished earlier: {rows}")
        assert len(read_pairs(disk / "out.csv").rows) == 16
        assert sorted(path.name for path in disk.iterdir()) == ["out.csv"]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_read_only_folder_is_refused_before_anything_is_computed(tmp_path, scored):
    disk = tmp_path / "disk"
    mounted(disk, "size=4m")
    try:
        assert subprocess.run(["mount", "-o", "remount,ro", str(disk)]).returncode == 0
        run = str(disk / "run")
        status, lines, rows = scored(tmp_path / "disk", "--run", run, out="../out.csv")
        assert (status, rows) == (2, 0)
        assert lines == [f"conjure: cannot write to {disk}: Read-only file system"]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_complete_run_on_a_read_only_disk_is_still_read(tmp_path, scored):
    disk = tmp_path / "disk"
    mounted(disk, "size=4m")
    try:
        run = str(disk / "run")
        assert scored(tmp_path / "disk", "--run", run, out="../one.csv")[0] == 0
        assert subprocess.run(["mount", "-o", "remount,ro", str(disk)]).returncode == 0
        status, _, rows = scored(tmp_path / "disk", "--run", run, out="../two.csv")
        assert (status, rows) == (0, 0)
        assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


# units that fail


@pytest.fixture
def failing(gaussians):
    """A process that gives NaN for "b", or for all texts."""

    def make(*texts: str):
        class Failing(gaussians):
            def predict(self, x, step, conditioning):
                found = super().predict(x, step, conditioning)
                for text in texts or "abcdefgh":
                    own = conditioning.tensors["mean"] == self.components[text][0]
                    found[own.all(dim=1)] = float("nan")
                return found

        return Failing(batch_size=4)

    return make


def test_a_unit_that_fails_is_told_and_the_others_are_scored(tmp_path, scored, failing):
    folder = tmp_path / "results"
    folder.mkdir()
    status, lines, rows = scored(folder, process=failing("b"))
    assert status == 1
    failed = [line for line in lines if "left out: the network, for" in line]
    assert len(failed) == 4
    assert failed[0].startswith('conjure: line 6 left out: the network, for "b", gave NaN')
    assert "4 pairs failed and have no row in the output" in lines[-2]
    assert lines[-1] == f"conjure: 12 pairs scored: {folder / 'out.csv'}"
    assert len(read_pairs(folder / "out.csv").rows) == 12
    assert (folder / "out.csv.run").is_dir()  # it has the reasons
    status, lines, rows = scored(folder, "--overwrite", process=failing("b"))
    assert (status, rows) == (1, 0)  # what failed is not tried again


@pytest.mark.parametrize("texts", ["b", ""], ids=["one", "all"])
def test_units_that_fail_stop_nothing_where_nothing_is_kept(
    tmp_path, monkeypatch, capsys, failing, texts
):
    process, rated = failing(*texts), tmp_path / "rated.tsv"
    monkeypatch.setattr(conjure, "load", lambda *_, **__: process, raising=False)
    pairs = [f"{n}\t{a}\t{b}\n" for n, (a, b) in enumerate(zip("aabcde", "bcdefg", strict=True))]
    rated.write_text("score\tsentence1\tsentence2\n" + "".join(pairs))
    assert main(["score", str(rated), "--out", "-"]) == 1
    done = capsys.readouterr()
    assert len(done.out.splitlines()) == (1 + 4 if texts else 1)
    assert f"{2 if texts else 6} pairs failed and have no row in the output" in done.err
    assert main(["evaluate", str(rated), "--json"]) == (1 if texts else 2)
    done = capsys.readouterr()
    if texts:
        assert json.loads(done.out)["n"] == 4
    else:
        assert done.err.splitlines()[-1].endswith("at least 3 pairs; there are 0")


def test_a_process_that_always_fails_ends_soon(tmp_path, scored, gaussians):
    class Broken(gaussians):
        def predict(self, x, step, conditioning):
            return super().predict(x, step, conditioning) * float("nan")

    folder = tmp_path / "results"
    folder.mkdir()
    (tmp_path / "pairs.csv").write_text(
        "text1,text2\n" + "".join(f"{a},{b}\n" for a in "abcdefgh" for b in "abcdefgh" if a < b)
    )
    status, lines, _ = scored(folder, process=Broken(batch_size=4))
    assert status == 2 or "28 pairs failed" in " ".join(lines)
    assert not (folder / "out.csv").exists() or status == 1


# memory


def failing_at_f(gaussians, error):
    """A process whose text encoder fails at the text "f"; those before it are finished."""

    class Failing(gaussians):
        def embed(self, prompts):
            if "f" in prompts:
                raise error
            return super().embed(prompts)

    return Failing(batch_size=1)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8")],
    ids=["Python", "torch"],
)
def test_memory_that_runs_out_beside_the_network_is_one_line(tmp_path, scored, gaussians, error):
    """In the text encoder, say, where no smaller batch helps."""

    folder = tmp_path / "results"
    folder.mkdir()
    (tmp_path / "pairs.csv").write_text("text1,text2\na,b\nc,d\ne,f\n")
    status, lines, _ = scored(folder, process=failing_at_f(gaussians, error))
    assert status == 2
    assert lines[-1].startswith(f"conjure: memory ran out ({type(error).__name__}): ")
    kept = int(lines[-2].split()[1]) if "kept in" in lines[-2] else 0
    status, lines, _ = scored(folder)
    assert status == 0
    assert kept == 0 or f"{kept} of them finished earlier" in lines[0]
    assert kept > 0


@pytest.mark.filterwarnings("always:batch_size")
def test_a_batch_that_python_has_no_memory_for_is_halved(tmp_path, scored, gaussians):
    class Small(gaussians):
        def predict(self, x, step, conditioning):
            if len(x) > 2:
                raise MemoryError
            return super().predict(x, step, conditioning)

    folder = tmp_path / "results"
    folder.mkdir()
    status, lines, _ = scored(folder, process=Small(batch_size=8))
    assert status == 0
    assert any("going on with 2" in line for line in lines)


def test_too_small_an_address_space_is_refused_at_once(tmp_path):
    """Libraries crash there, with no error that could be caught."""
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (15 * 10**8,) * 2);"
    command = [
        sys.executable,
        "-c",
        f"{limited} from conjure.__main__ import main; sys.exit(main())",
    ]
    command += ["score", str(table(tmp_path)), "--out", str(tmp_path / "out.csv")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("conjure: this shell allows 1.4 GiB of address space (ulimit -v), and")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.csv"]


# how it goes on


def test_verify_finds_a_stored_number_that_is_another(tmp_path, scored, gaussians):
    folder = tmp_path / "results"
    folder.mkdir()
    run = str(tmp_path / "run")
    assert scored(folder, "--run", run)[0] == 0
    status, lines, rows = scored(folder, "--run", run, "--resume", "verify", "--overwrite")
    assert (status, rows > 0) == (0, True)
    assert "16 units of 16 computed again: they agree (largest relative difference" in lines[0]

    class Other(gaussians):
        def predict(self, x, step, conditioning):
            return 1.01 * super().predict(x, step, conditioning)

    other = Other(batch_size=4)
    status, lines, _ = scored(
        folder, "--run", run, "--resume", "verify", "--overwrite", process=other
    )
    assert status == 2
    assert "are not those that are measured now" in lines[-1]


def test_fresh_begins_again(tmp_path, scored, gaussians):
    folder = tmp_path / "results"
    folder.mkdir()
    run = str(tmp_path / "run")
    rows = scored(folder, "--run", run)[2]
    other = gaussians(guidance=2.0, batch_size=4)
    status, lines, _ = scored(folder, "--run", run, "--overwrite", process=other)
    assert status == 2
    assert "guidance_scale 1.0, now 2.0" in lines[-1]
    assert scored(folder, "--run", run, "--overwrite")[2] == 0
    assert scored(folder, "--run", run, "--overwrite", "--resume", "fresh")[2] == rows
    fresh = ("--run", run, "--overwrite", "--resume", "fresh")
    assert scored(folder, *fresh, process=other)[0] == 0


@pytest.fixture
def stopped(tmp_path, scored, gaussians):
    """The folder of a run that ended early, with its shards in ``out.csv.run``."""

    folder = tmp_path / "results"
    folder.mkdir()
    (tmp_path / "pairs.csv").write_text("text1,text2\na,b\nc,d\ne,f\n")
    assert scored(folder, process=failing_at_f(gaussians, MemoryError()))[0] == 2
    assert shards(folder)
    return folder


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("out.csv.run/shards/*.parquet")}


def test_overwrite_replaces_a_run_of_other_settings_beside_the_output(stopped, scored, gaussians):
    before = shards(stopped)
    status, lines, rows = scored(stopped, process=gaussians(guidance=2.0, batch_size=4))
    assert (status, rows) == (2, 0)
    assert "guidance_scale 1.0, now 2.0" in lines[-1]
    assert shards(stopped) == before
    other = gaussians(guidance=2.0, batch_size=4)
    status, lines, _ = scored(stopped, "--overwrite", process=other)
    assert (status, lines[-1]) == (0, f"conjure: 3 pairs scored: {stopped / 'out.csv'}")
    assert not any("earlier" in line for line in lines)


def test_overwrite_replaces_no_run_that_cannot_be_read(stopped, scored, gaussians, monkeypatch):
    before, read_bytes = shards(stopped), Path.read_bytes
    with monkeypatch.context() as patch:

        def refused(path: Path) -> bytes:
            if path.suffix == ".parquet":
                raise PermissionError(13, "Permission denied")
            return read_bytes(path)

        patch.setattr(Path, "read_bytes", refused)
        status, lines, rows = scored(stopped, "--overwrite")
    assert (status, rows) == (2, 0)
    assert lines[-1].startswith("conjure: cannot read ")
    assert lines[-1].endswith(": Permission denied")
    assert shards(stopped) == before
    status, lines, _ = scored(stopped, "--overwrite")  # with the same settings it goes on
    assert status == 0
    assert "of them finished earlier" in lines[0]

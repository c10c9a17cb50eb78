"""Workers of Ray: the same numbers as here, and nothing lost whatever becomes of the workers.

One Ray serves all tests: a head with room for two workers, and nodes that come and go.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest
import ray
from ray_tools import FAILING, POISON, Slow, differing, slow

import conjure
from conjure.cli.main import main
from conjure.core.errors import ConjureError, InputError
from conjure.core.planner import distinct
from conjure.core.spec import Spec
from conjure.runs.folder import RunFolder
from conjure.runs.ray import RayEngine, RayOptions
from conjure.runs.terms import TermStore
from conjure.runs.units import read_units
from conjure.similarity import bundled, stream

TESTS, SOURCE = Path(__file__).parents[1], Path(conjure.__file__).parents[1]
pytestmark = pytest.mark.filterwarnings("default")  # those of Ray itself


@pytest.fixture(scope="session")
def cluster():
    """A Ray of one head; it and its workers end with the tests."""
    from ray.cluster_utils import Cluster

    paths = os.pathsep.join([str(SOURCE), str(TESTS)])
    settings = {"PYTHONPATH": paths, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    head = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    signal.signal(signal.SIGTERM, handler)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def terms_of(process, pairs, folder, spec=Spec()):  # noqa: B008
    """Distances by place, measured into a folder."""
    with TermStore(folder, process) as kept:
        found = dict(stream(pairs, process, spec, measure=kept.measure))
        return found, dict(kept.failures)


def units_of(folder: Path) -> list[tuple]:
    """The units on the disk that have numbers, one for each time that it was computed."""
    found = []
    for shard in RunFolder.read(folder).contents.shards.values():
        units = read_units(shard.table)
        found += [(pair, seed) for pair, _, seed, unit in units if not isinstance(unit, str)]
    return sorted(found)


def pids(engine: RayEngine) -> list[int]:
    return ray.get([m.actor.placed.remote() for m in engine._crew._members if m.ready])


def let_start(engine: RayEngine, process) -> None:
    """Start workers for a new node, and wait until they are ready."""
    crew = engine._crew
    crew._recruit(process.recipe)
    ray.get([ref for ref, (_, call) in crew._calls.items() if call == "ready"])


def numbers(found) -> dict[int, list]:
    return {
        n: [d.value, d.terms.forward.tolist(), d.terms.backward.tolist()] for n, d in found.items()
    }


def test_a_worker_that_is_killed_costs_its_block_and_the_numbers_are_those_of_here(
    cluster, tmp_path
):
    texts = ["a dog", "a puppy", "a car", "a king", "the sea", "a red apple", "a cat"]
    pairs = [*combinations(texts, 2)]
    settings = {"steps": 2, "batch_size": 1}
    with RayEngine(RayOptions(workers=1), conjure.load) as engine:
        process = engine.load(**settings)
        first, killed, found = pids(engine)[0], False, {}
        with TermStore(tmp_path / "ray", process) as kept:
            for place, distance in stream(pairs, process, Spec(), measure=kept.measure):
                found[place] = distance
                if len(found) == 4:
                    os.kill(first, signal.SIGKILL)
                    killed = True
        assert killed
        assert first not in pids(engine)
        other = process.with_settings(guidance=3.0)
        unguided, _ = terms_of(other, pairs[:1], tmp_path / "unguided")
    assert units_of(tmp_path / "ray") == sorted((pair, 0) for pair in distinct(pairs))
    own = bundled().with_settings(steps=2)
    own.batch_size = 1
    here, _ = terms_of(own, pairs, tmp_path / "here")
    assert numbers(found) == numbers(here)
    assert found[0].signature.object() == here[0].signature.object()
    other, _ = terms_of(own.with_settings(guidance=3.0), pairs[:1], tmp_path / "other")
    assert numbers(unguided) == numbers(other)


def test_nodes_come_and_go_and_a_pair_that_fails_is_told_of(cluster, tmp_path):
    """Without --workers there are as many as the nodes have room for, at any time."""
    pairs = [*combinations("abcdefgh" + FAILING, 2), ("a", "a"), ("b", "a")]
    spec = Spec()
    node, found, most = None, {}, 0  # the head has room for two workers, the node for one
    with RayEngine(RayOptions(), slow) as engine:
        process = engine.load()
        with TermStore(tmp_path / "ray", process) as kept:
            for place, distance in stream(pairs, process, spec, measure=kept.measure):
                found[place] = distance
                busy = sum(bool(member.jobs) for member in engine._crew._members)
                most = max(most, busy)
                if node is None:
                    node = cluster.add_node(num_cpus=1)
                    let_start(engine, process)
                elif busy == 3 and node in cluster.worker_nodes:
                    cluster.remove_node(node)
            failures = dict(kept.failures)
    assert most == 3
    assert node not in cluster.worker_nodes
    here, same = terms_of(Slow(), pairs, tmp_path / "here", spec)
    assert numbers(found) == numbers(here)
    assert failures == same
    assert {FAILING} < {text for pair in failures for text in pair}
    assert units_of(tmp_path / "ray") == units_of(tmp_path / "here")


def test_sigterm_ends_the_run_and_the_same_command_goes_on(cluster, tmp_path, capsys):
    table = tmp_path / "pairs.csv"
    table.write_text(
        "text1,text2\n" + "".join(f"{a},{b}\n" for a, b in combinations("abcdefgh", 2))
    )
    command = ["score", str(table), "--process", "ray_tools:slow", "--allow-code"]
    out = ["--out", str(tmp_path / "ray.csv"), "--engine", "ray", "--workers", "1"]
    folder = tmp_path / "ray.csv.run"

    def stop() -> None:
        while not list(folder.glob("shards/*.parquet")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    assert main([*command, *out]) == 143
    thread.join()
    told = capsys.readouterr().err
    assert "the same command goes on from there" in told
    assert "Traceback" not in told
    before = units_of(folder)
    assert 0 < len(before) < 28
    assert f"{len(before)} finished row" in told
    assert main([*command, *out, "--run", str(folder)]) == 0
    assert f"28 pairs, {len(before)} of them finished earlier" in capsys.readouterr().err
    after = units_of(folder)
    assert after == [(pair, 0) for pair in combinations("abcdefgh", 2)]
    assert main([*command, "--out", str(tmp_path / "here.csv")]) == 0
    assert (tmp_path / "ray.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()


def test_a_worker_with_another_process_ends_the_run(cluster, tmp_path):
    with RayEngine(RayOptions(workers=2), partial(differing, tmp_path)) as engine:
        process = engine.load()
        another = "another process than the others .schedule "
        with TermStore(tmp_path / "run", process) as kept, pytest.raises(InputError, match=another):
            dict(stream([*combinations("abcdef", 2)], process, measure=kept.measure))


def test_pairs_that_end_every_worker_end_the_run_and_are_named(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("conjure.runs.crew.ATTEMPTS", 2)
    with RayEngine(RayOptions(workers=1), slow) as engine:
        process = engine.load()
        pairs = [("a", "b"), ("c", "d"), ("e", POISON)]
        named = f"2 workers failed at .* 'e' and '{POISON}'"
        with TermStore(tmp_path / "run", process) as kept, pytest.raises(ConjureError, match=named):
            dict(stream(pairs, process, measure=kept.measure))
    assert units_of(tmp_path / "run") == [(("a", "b"), 0), (("c", "d"), 0)]

"""Trajectories that are kept while a run goes on, so that they are not walked again."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from conjure.core.divergence import measure
from conjure.core.errors import DamagedWorkWarning
from conjure.core.planner import Sizes
from conjure.core.spec import Spec
from conjure.runs import terms, trajectories
from conjure.runs.terms import TermStore

PAIRS = list(combinations("abcdef", 2))
EVERYTHING = Spec(record=frozenset({"output", "coupled"}))


class Killed(BaseException):
    """Not an Exception, so that nothing handles it."""


@pytest.fixture
def process(gaussians):
    class Dying(gaussians):
        """Ends before it would have computed so many rows."""

        most = 10**9

        def predict(self, x, step, conditioning):
            if self.rows + len(x) > self.most:
                raise Killed
            return super().predict(x, step, conditioning)

    return Dying(guidance=2.0, batch_size=4, steps=4)


def killed(process, run: Path, rows: int, seeds=(0,), spec=Spec(), pairs=PAIRS) -> None:  # noqa: B008
    """A run that ends after so many rows; what was finished is on the disk."""
    process.rows, process.most = 0, rows
    with TermStore(run, process) as kept, pytest.raises(Killed):
        list(kept.measure(process, pairs, seeds, spec))
    process.most = 10**9


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize("spec", [Spec(), EVERYTHING])
def test_nothing_that_is_whole_is_computed_again(process, tmp_path, seeds, spec):
    expected = dict(measure(process, PAIRS, seeds, spec))
    whole = process.rows
    most = 4 * len(seeds) * 8 + 8  # a group that is being walked, and a batch
    for rows in range(40, whole, whole // 5):
        run = tmp_path / f"run-{rows}"
        killed(process, run, rows, seeds, spec)
        before, process.rows = process.rows, 0
        with TermStore(run, process) as kept:
            planned = kept.plan(process, PAIRS, seeds, spec).rows
            found = dict(kept.measure(process, PAIRS, seeds, spec))
        assert process.rows == planned  # what is told beforehand
        assert whole <= before + planned <= whole + most
        assert not (run / "trajectories").exists()
        for place, one in expected.items():
            assert torch.allclose(found[place].forward, one.forward, rtol=1e-12)
            if spec is EVERYTHING:
                assert torch.allclose(found[place].coupled, one.coupled, rtol=1e-12)
                assert torch.allclose(found[place].output, one.output, rtol=1e-12)


def test_a_run_that_is_often_killed_comes_to_its_end(process, tmp_path):
    list(measure(process, PAIRS, [0]))
    whole, total = process.rows, 0
    for _ in range(20):
        process.rows, process.most = 0, 45  # a group of four texts takes 29 rows
        try:
            with TermStore(tmp_path / "run", process) as kept:
                list(kept.measure(process, PAIRS, [0]))
        except Killed:
            total += process.rows
        else:
            break
    assert process.rows <= 45  # the last run had an end
    assert total + process.rows <= whole * 1.2


def test_pairs_that_share_no_text_keep_no_trajectory(process, tmp_path):
    killed(process, tmp_path / "run", 50, pairs=[("a", "b"), ("c", "d"), ("e", "f")])
    assert not (tmp_path / "run" / "trajectories").exists()


def test_a_large_number_of_samples_is_kept_in_portions(process, tmp_path):
    seeds = tuple(range(12))  # three batches
    list(measure(process, [("a", "b")], seeds))
    whole = process.rows
    killed(process, tmp_path / "run", whole // 2, seeds, pairs=[("a", "b")])
    with TermStore(tmp_path / "run", process) as kept:
        assert {seed for _, _, seed in kept.units()} == {0, 1, 2, 3}
        process.rows = 0
        [(_, found)] = kept.measure(process, [("a", "b")], seeds)
    assert process.rows == whole * 8 // 12
    [(_, expected)] = measure(process, [("a", "b")], seeds)
    assert torch.allclose(found.forward, expected.forward, rtol=1e-12)


def test_samples_that_do_not_fit_the_memory_are_kept_one_after_the_other(process, tmp_path):
    sizes = Sizes.of(process, "a")
    memory = 6 * (2 * 4 * sizes.latent_bytes + sizes.cond_bytes)  # six texts with one sample each
    seeds = (0, 1, 2)
    list(measure(process, PAIRS, seeds, Spec(), memory))
    whole, process.rows, process.most = process.rows, 0, process.rows * 3 // 4
    with TermStore(tmp_path / "run", process) as kept, pytest.raises(Killed):
        list(kept.measure(process, PAIRS, seeds, Spec(), memory))
    process.rows, process.most = 0, 10**9
    with TermStore(tmp_path / "run", process) as kept:
        assert len([seed for _, _, seed in kept.units() if seed < 2]) == 2 * len(PAIRS)
        assert len(dict(kept.measure(process, PAIRS, seeds, Spec(), memory))) == len(PAIRS)
    assert process.rows < whole / 2.5


def write_as(process, run: Path, path: Path, data: bytes) -> None:
    """Write other bytes under the key of a file that was there, with a checksum that fits."""
    keeper = trajectories.KeptTrajectories(run, terms.sign_process(process).key, process, Spec())
    keys = [keeper._key(text, 0) for text in "abcdef"]
    [key] = [key for key in keys if path.name.startswith(terms.Signature(key).digest)]
    keeper._files.write(key, data)


def a_file(run: Path) -> Path:
    return sorted((run / "trajectories").iterdir())[0]


@pytest.mark.parametrize("fault", ["flipped", "cut", "nan", "shape", "pickle", "link"])
def test_a_damaged_trajectory_is_walked_again(process, tmp_path, fault, recwarn):
    expected = dict(measure(process, PAIRS, [0]))
    run = tmp_path / "run"
    killed(process, run, 60)
    path = a_file(run)
    data = bytearray(path.read_bytes())
    if fault == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif fault == "cut":
        path.write_bytes(data[:50])
    elif fault == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:  # a whole file under a name that fits, of what is no trajectory
        with np.load(path) as file:
            arrays = dict(file)
        path.unlink()
        if fault == "nan":
            arrays["x"][:] = np.nan
        elif fault == "shape":
            arrays["x"] = arrays["x"][1:]
        else:
            arrays["x"] = np.array([Booby()], dtype=object)
        np.savez(tmp_path / "other.npz", **arrays)
        data = (tmp_path / "other.npz").read_bytes()
        write_as(process, run, path, data)
    with TermStore(run, process) as kept:
        found = dict(kept.measure(process, PAIRS, [0]))
    for place, one in expected.items():
        assert torch.allclose(found[place].forward, one.forward, rtol=1e-12)
    told = [str(w.message) for w in recwarn if w.category is DamagedWorkWarning]
    assert bool(told) == (fault in ("flipped", "cut"))


@pytest.mark.filterwarnings("default::conjure.core.errors.DamagedWorkWarning")
def test_a_file_under_the_name_of_another_is_not_used(process, tmp_path):
    expected = dict(measure(process, PAIRS, [0]))
    run = tmp_path / "run"
    killed(process, run, 60)
    first, second = sorted((run / "trajectories").iterdir())[:2]
    key, checksum = first.name.split("-")[0], second.name.split("-")[1]
    first.unlink()
    second.rename(second.with_name(f"{key}-{checksum}"))
    with TermStore(run, process) as kept, pytest.warns(DamagedWorkWarning, match="checksum"):
        found = dict(kept.measure(process, PAIRS, [0]))
    for place, one in expected.items():
        assert torch.allclose(found[place].forward, one.forward, rtol=1e-12)


class Booby:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was read')",))


def test_a_disk_without_room_keeps_no_trajectory(process, tmp_path, monkeypatch):
    monkeypatch.setattr(trajectories, "RESERVE", 2**62)
    killed(process, tmp_path / "run", 60)
    assert not (tmp_path / "run" / "trajectories").exists()


def test_another_process_and_another_spec_find_none(process, gaussians, tmp_path):
    killed(process, tmp_path / "run", 60)
    with TermStore(tmp_path / "run", process) as kept:
        mine = kept._trajectories(process, Spec())
        assert any(mine.has(text, [0]) for text in "abcdef")
        assert not any(mine.has(text, [1]) for text in "abcdef")
        other = kept._trajectories(process, EVERYTHING)
        assert not any(other.has(text, [0]) for text in "abcdef")
    key = dict(terms.sign_process(gaussians(guidance=3.0, batch_size=4, steps=4)).key)
    foreign = trajectories.KeptTrajectories(tmp_path / "run", key, process, Spec())
    assert not any(foreign.has(text, [0]) for text in "abcdef")


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])  # cut by pairs, and by seeds
def test_each_part_removes_its_own(process, tmp_path, seeds):
    run = tmp_path / "run"
    for part in ((1, 2), (2, 2)):
        process.rows, process.most = 0, 40
        with TermStore(run, process, part=part) as kept, pytest.raises(Killed):
            list(kept.measure(process, PAIRS, seeds))
        process.most = 10**9
        assert (run / "trajectories").exists()
    for part in ((1, 2), (2, 2)):
        with TermStore(run, process, part=part) as kept:
            list(kept.measure(process, PAIRS, seeds))
    assert not (run / "trajectories").exists()


def test_units_are_on_the_disk_before_trajectories_go(process, tmp_path, monkeypatch):
    remove, unwritten = trajectories.KeptTrajectories.remove, []
    with TermStore(tmp_path / "run", process) as kept:

        def removing(self, done):
            unwritten.append(len(kept.store.unwritten))
            remove(self, done)

        monkeypatch.setattr(trajectories.KeptTrajectories, "remove", removing)
        list(kept.measure(process, PAIRS, [0]))
    assert unwritten == [0]


def test_the_folder_is_listed_as_often_for_many_texts_as_for_few(process, tmp_path, monkeypatch):
    glob, listed = Path.glob, []

    def listing(self, pattern):
        listed.append(self.name)
        return glob(self, pattern)

    monkeypatch.setattr(Path, "glob", listing)
    counts = []
    for texts in ("abcd", "abcdefgh"):
        run, pairs = tmp_path / texts, list(combinations(texts, 2))
        killed(process, run, 6 * (len(texts) + len(pairs)), pairs=pairs)  # one row too few
        assert len(list((run / "trajectories").iterdir())) == len(texts)
        listed.clear()
        with TermStore(run, process) as kept:
            list(kept.measure(process, pairs, [0]))
        counts.append(listed.count("trajectories"))
        listed.clear()
        for part in ((1, 2), (2, 2)):
            with TermStore(tmp_path / f"{texts}-parts", process, part=part) as kept:
                list(kept.measure(process, pairs, [0]))
        counts.append(listed.count("trajectories"))
    assert counts[0] == counts[2] > 0
    assert counts[1] == counts[3] > 0


def test_another_process_that_writes_and_removes_costs_a_walk_alone(process, tmp_path):
    run = tmp_path / "run"
    killed(process, run, 60)
    key = dict(terms.sign_process(process).key)
    mine, other = (trajectories.KeptTrajectories(run, key, process, Spec()) for _ in range(2))
    [text, *_] = [text for text in "abcdef" if mine.has(text, [0])]  # lists the folder
    cond = process.embed([text])
    found = mine.load(text, [0], cond)
    assert found is not None

    other.remove({(text, text): [0]})
    assert not other.has(text, [0])
    assert mine.load(text, [0], cond) is None
    mine.save(text, [0], found)  # it is walked again
    assert torch.equal(mine.load(text, [0], cond).x, found.x)

    other.save("g", [0], found)
    assert mine.load("g", [0], cond) is None
    mine.save("g", [0], found)  # both have the same bytes, and so the same name
    assert mine.load("g", [0], cond) is not None
    late = trajectories.KeptTrajectories(run, key, process, Spec())
    assert late.has(text, [0])
    assert late.has("g", [0])
    late.remove(dict.fromkeys([*PAIRS, ("g", "g")], [0]))
    assert not (run / "trajectories").exists()


@pytest.fixture
def left(process, tmp_path, monkeypatch):
    """Run folders of work that was killed after its last unit, before its trajectories went."""

    def remove(self, done):
        raise Killed

    def make(name: str, pairs=PAIRS, **given) -> Path:
        with monkeypatch.context() as patch, TermStore(tmp_path / name, process, **given) as kept:
            patch.setattr(trajectories.KeptTrajectories, "remove", remove)
            with pytest.raises(Killed):
                list(kept.measure(process, pairs, [0]))
        assert any((tmp_path / name / "trajectories").iterdir())
        process.rows = 0
        return tmp_path / name

    return make


def again(process, run: Path, pairs=PAIRS, **given) -> bool:
    """Open a run with nothing missing; whether trajectories are there afterwards."""
    with TermStore(run, process, **given) as kept:
        assert len(dict(kept.measure(process, pairs, [0]))) == len(pairs)
    assert process.rows == 0
    return (run / "trajectories").exists()


def test_trajectories_that_a_kill_left_go_when_nothing_is_missing(process, left):
    assert not again(process, left("run"))
    assert not again(process, left("part", part=(1, 1)), part=(1, 1))


def test_trajectories_that_a_kill_left_stay_while_another_process_is_at_work(process, left):
    run = left("run")
    with TermStore(run, process) as other:
        work = other.measure(process, [("g", "h")], [0])
        next(work)  # it has the lock
        process.rows = 0
        assert again(process, run)
        work.close()
    assert not again(process, run)


def test_of_what_a_kill_left_only_finished_work_goes(process, left):
    few = list(combinations("abc", 2))
    run = left("run")
    assert again(process, run, few)
    kept = TermStore(run, process)._trajectories(process, Spec())
    assert [text for text in "abcdef" if kept.has(text, [0])] == ["d", "e", "f"]

    run = left("stages", few)
    with TermStore(run, process) as store:
        list(store.measure(process, few, [0]))
        process.most = 0  # a second stage, which needs these texts, too, is stopped
        with pytest.raises(Killed):
            list(store.measure(process, PAIRS, [0]))
    kept = TermStore(run, process)._trajectories(process, Spec())
    assert [text for text in "abcdef" if kept.has(text, [0])] == ["a", "b", "c"]

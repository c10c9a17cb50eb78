"""Passes: what is measured once is never measured again, and reading it changes nothing."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from conjure import similarity
from conjure.core.errors import InputError
from conjure.core.registry import estimands, per_sample
from conjure.runs.passes import Passes

PAIRS = [("a", "b"), ("c", "b"), ("b", "a"), ("d", "d"), ("c", "a")]


@pytest.mark.parametrize(
    "estimand", [name for name, entry in estimands().items() if not entry.at_step]
)
def test_every_estimand_is_what_the_library_measures(gaussians, tmp_path, estimand):
    sampler = "euler-ancestral" if estimand == "chain" else "euler"
    process = gaussians(guidance=2.0, sampler=sampler)
    with Passes(tmp_path, samples=3, seed=5) as passes:
        found = passes.measure(process, PAIRS)
    for (a, b), terms in zip(PAIRS, found, strict=True):
        alone = similarity.distance(a, b, process=process, samples=3, seed=5, estimand=estimand)
        assert float(per_sample(terms, estimand).mean()) == pytest.approx(alone.value, rel=1e-9)


def test_one_pass_asks_for_the_rows_that_its_plan_tells(gaussians, tmp_path):
    process = gaussians(guidance=2.0)
    with Passes(tmp_path, samples=2) as passes:
        plan = passes.cost(process, PAIRS)
        assert process.rows == 0
        passes.measure(process, PAIRS)
        assert process.rows == plan.rows > 0
        assert passes.cost(process, PAIRS).rows == 0


def test_a_second_run_asks_for_nothing_and_returns_the_same_bits(gaussians, tmp_path):
    with Passes(tmp_path) as passes:
        first = passes.measure(gaussians(dtype=torch.float32), PAIRS)
    process = gaussians(dtype=torch.float32)
    with Passes(tmp_path) as passes:
        second = passes.measure(process, PAIRS)
    assert process.rows == 0
    for one, other in zip(first, second, strict=True):
        for name in ("forward", "backward", "output", "coupled"):
            assert torch.equal(getattr(one, name), getattr(other, name))


def test_more_samples_measure_only_the_missing_seeds(gaussians, tmp_path):
    process = gaussians(guidance=2.0)
    with Passes(tmp_path) as passes:
        one = passes.measure(process, PAIRS, samples=1)
        spent = process.rows
        three = passes.measure(process, PAIRS, samples=3)
        assert process.rows == 3 * spent
        again = passes.measure(process, PAIRS, samples=1)
    assert process.rows == 3 * spent
    whole = gaussians(guidance=2.0)
    with Passes(tmp_path / "fresh") as passes:
        at_once = passes.measure(whole, PAIRS, samples=3)
    for few, many, repeated, together in zip(one, three, again, at_once, strict=True):
        assert torch.equal(few.forward, many.forward[:1])
        assert torch.equal(few.forward, repeated.forward)
        assert torch.allclose(many.forward, together.forward, rtol=1e-9)


def test_other_settings_are_another_file(gaussians, tmp_path):
    with Passes(tmp_path) as passes:
        near = passes.measure(gaussians(guidance=2.0), PAIRS)
        far = passes.measure(gaussians(guidance=3.0), PAIRS)
        assert not torch.equal(near[0].forward, far[0].forward)
    heads = [json.loads(path.read_text().splitlines()[0]) for path in tmp_path.iterdir()]
    assert sorted(head["key"]["guidance_scale"] for head in heads) == [2.0, 3.0]


def test_a_torn_line_is_cut_and_measured_again(gaussians, tmp_path):
    with Passes(tmp_path) as passes:
        whole = passes.measure(gaussians(), PAIRS)
    [path] = tmp_path.iterdir()
    lines = path.read_bytes()
    path.write_bytes(lines[:-10] + b"x" * 1000)  # longer than what comes in its place
    process = gaussians()
    with Passes(tmp_path) as passes:
        assert passes.cost(process, PAIRS).rows > 0
        found = passes.measure(process, PAIRS)
    assert path.read_bytes() == lines
    assert all(torch.equal(a.forward, b.forward) for a, b in zip(whole, found, strict=True))


def test_an_interrupted_run_keeps_every_finished_pair(gaussians, tmp_path):
    """The network fails half-way; what was finished before is not measured again."""

    class Failing(gaussians):
        def predict(self, x, step, conditioning):
            if self.rows > 15:
                raise KeyboardInterrupt
            return super().predict(x, step, conditioning)

    with pytest.raises(KeyboardInterrupt), Passes(tmp_path) as passes:
        passes.measure(Failing(batch_size=4, steps=3), PAIRS)
    process, fresh = gaussians(batch_size=4, steps=3), gaussians(batch_size=4, steps=3)
    with Passes(tmp_path) as passes:
        found = passes.measure(process, PAIRS)
    with Passes(tmp_path / "fresh") as passes:
        whole = passes.measure(fresh, PAIRS)
    assert process.rows < fresh.rows
    assert all(torch.allclose(a.forward, b.forward) for a, b in zip(whole, found, strict=True))


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from conftest import CountingGaussians
from conjure.runs.passes import Passes

class Slow(CountingGaussians):
    def predict(self, x, step, conditioning):
        time.sleep(0.05)
        return super().predict(x, step, conditioning)

pairs = [(a, b) for a in "abcd" for b in "efgh"]
with Passes(Path({folder!r})) as passes:
    passes.measure(Slow(batch_size=4), pairs)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_killed_run_loses_nothing_finished(gaussians, tmp_path):
    tests = str(Path(__file__).parents[1])
    program = KILLED.format(tests=tests, folder=str(tmp_path))
    source = str(Path(similarity.__file__).parents[1])
    run = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": source}
    )
    try:
        for _ in range(600):
            if any(path.read_bytes().count(b"\n") > 4 for path in tmp_path.iterdir()):
                break
            assert run.poll() is None, "the run ended before it could be killed"
            time.sleep(0.1)
    finally:
        run.kill()
        run.wait()
    [path] = tmp_path.iterdir()
    finished = path.read_bytes().count(b"\n") - 1
    pairs = [(a, b) for a in "abcd" for b in "efgh"]
    assert 0 < finished < len(pairs)
    process = gaussians(batch_size=4)
    with Passes(tmp_path) as passes:
        assert passes.cost(process, pairs).rows > 0
        found = passes.measure(process, pairs)
    assert len(found) == len(pairs)
    assert path.read_bytes().count(b"\n") == len(pairs) + 1


def test_what_is_no_file_of_terms_is_refused(gaussians, tmp_path):
    with Passes(tmp_path) as passes:
        passes.measure(gaussians(), PAIRS)
    [path] = tmp_path.iterdir()
    path.write_text('{"signature": "another"}\n')
    with Passes(tmp_path) as passes, pytest.raises(InputError, match="remove it"):
        passes.measure(gaussians(), PAIRS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -5.0])
def test_kept_terms_that_there_cannot_be_are_refused(gaussians, tmp_path, value):
    with Passes(tmp_path) as passes:
        passes.measure(gaussians(dtype=torch.float32), PAIRS)
    [path] = tmp_path.iterdir()
    head, first, *rest = path.read_text().splitlines()
    record = json.loads(first)
    terms = np.frombuffer(base64.b64decode(record["terms"]), "<f4").copy()
    terms[3] = value
    record["terms"] = base64.b64encode(terms.tobytes()).decode()
    path.write_text("\n".join([head, json.dumps(record), *rest]) + "\n")
    with Passes(tmp_path) as passes, pytest.raises(InputError, match="or is damaged: remove it"):
        passes.measure(gaussians(dtype=torch.float32), PAIRS)


def test_a_long_run_tells_rows_and_time_beforehand(gaussians, tmp_path):
    said: list[str] = []
    with Passes(tmp_path, say=said.append, samples=20) as passes:
        rows = passes.cost(gaussians(batch_size=2), PAIRS).rows
        passes.measure(gaussians(batch_size=2), PAIRS)
    assert said == [said[0]]
    assert said[0].startswith(f"3 pairs: {rows:,} network rows to compute, about ")
    assert "on cpu by a short probe" in said[0]

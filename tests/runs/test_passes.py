"""Passes: what is measured once is never measured again, and reading it changes nothing."""

from __future__ import annotations

import json

import pytest
import torch

from conjure import similarity
from conjure.core.errors import NonFiniteError
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


def test_other_settings_are_another_folder(gaussians, tmp_path):
    with Passes(tmp_path) as passes:
        near = passes.measure(gaussians(guidance=2.0), PAIRS)
        far = passes.measure(gaussians(guidance=3.0), PAIRS)
        assert not torch.equal(near[0].forward, far[0].forward)
    heads = [json.loads(path.read_text()) for path in tmp_path.glob("*/manifest.json")]
    assert sorted(head["key"]["guidance_scale"] for head in heads) == [2.0, 3.0]


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


def test_a_pair_that_fails_is_told_after_the_others_are_kept(gaussians, tmp_path):
    class Failing(gaussians):
        def predict(self, x, step, conditioning):
            found = super().predict(x, step, conditioning)
            of_d = conditioning.tensors["mean"] == self.components["d"][0]
            found[of_d.all(dim=1)] = torch.nan
            return found

    pairs = [("a", "b"), ("d", "b"), ("a", "c"), ("a", "d")]
    process = Failing(batch_size=4)
    with (
        Passes(tmp_path) as passes,
        pytest.raises(NonFiniteError, match=r'for "d", gave NaN .*\(and 1 more pairs failed\)'),
    ):
        passes.measure(process, pairs)
    spent = process.rows
    with Passes(tmp_path) as passes:
        assert len(passes.measure(process, [("b", "a"), ("a", "c")])) == 2
        with pytest.raises(NonFiniteError, match="1 more"):
            passes.measure(process, pairs)
    assert process.rows == spent  # failures are kept, too


def test_a_long_run_tells_rows_and_time_beforehand(gaussians, tmp_path):
    said: list[str] = []
    with Passes(tmp_path, say=said.append, samples=20) as passes:
        rows = passes.cost(gaussians(batch_size=2), PAIRS).rows
        passes.measure(gaussians(batch_size=2), PAIRS)
    assert said == [said[0]]
    assert said[0].startswith(f"3 pairs: {rows:,} network rows to compute, about ")
    assert "on cpu by a short probe" in said[0]

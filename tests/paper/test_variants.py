"""Processes side by side: each is what loading it so would give, all on the same pairs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from conjure import load, similarity
from conjure.core.errors import InputError
from conjure.paper.variants import guided, named, sample_distances, sampled
from conjure.processes.settings import SAMPLERS
from conjure.runs.passes import Passes

PAIRS = [("a dog", "a cat"), ("a car", "a dog"), ("a cat", "a car")]


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    from small_pipelines import save_pipeline

    return load(save_pipeline(tmp_path_factory.mktemp("v") / "tiny"), steps=3, device="cpu")


def test_guidance_alone_differs(process):
    variants = guided(process)
    assert [*variants] == ["w = 1", "w = 3", "w = 5", "w = 7.5", "w = 10", "w = 15"]
    assert [p.guidance for p in variants.values()] == [1, 3, 5, 7.5, 10, 15]
    assert {(p.sampler, len(p.schedule), id(p.pipeline)) for p in variants.values()} == {
        ("lms", 3, id(process.pipeline))
    }


def test_every_sampler_is_taken_and_one_that_cannot_be_is_named(process):
    variants, faults = sampled(process)
    assert tuple(variants) == SAMPLERS
    assert [p.sampler for p in variants.values()] == list(SAMPLERS)
    assert {p.guidance for p in variants.values()} == {7.5}
    assert faults == []
    no_lms = SimpleNamespace(sampler="ddim", with_settings=refuse_lms)
    variants, [fault] = sampled(no_lms)
    assert "lms" not in variants
    assert fault == "lms is left out: lms does not know the noise schedule"


def test_the_pipelines_own_sampler_comes_first_where_it_is_in_use(process):
    variants, faults = sampled(process.with_settings(sampler="native"))
    assert tuple(variants) == ("native", *SAMPLERS)
    assert faults == []


def refuse_lms(sampler):
    if sampler == "lms":
        raise InputError("lms does not know the noise schedule")
    return sampler


def test_variants_share_a_store_and_keep_their_own_distances(process, tmp_path):
    variants = {"lms": process, "ddim": process.with_settings(sampler="ddim")}
    with Passes(tmp_path, samples=2) as passes:
        measured = {
            name: sample_distances(passes.measure(variant, PAIRS), "jeffreys")
            for name, variant in variants.items()
        }
    for name, variant in variants.items():
        expected = [d.value for d in similarity.distances(PAIRS, process=variant, samples=2)]
        assert measured[name].mean(axis=0) == pytest.approx(expected, rel=1e-5)
    assert not np.allclose(measured["lms"], measured["ddim"], rtol=1e-3)


def test_processes_are_told_apart():
    one, other, third = (
        SimpleNamespace(name=name, revision=revision)
        for name, revision in (("sd", "a1"), ("sd", "b2"), ("emoji", "c3"))
    )
    assert [*named([one, third])] == ["sd", "emoji"]
    assert [*named([one, other, third])] == ["sd (a1)", "sd (b2)", "emoji"]
    with pytest.raises(InputError, match=r"process sd \(a1\) is given twice"):
        named([one, other, one])

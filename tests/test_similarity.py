"""Two texts in, a distance out: properties, refusals, and processes of one's own."""

import math
import sys
import zlib
from dataclasses import FrozenInstanceError
from importlib import metadata
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conjure import similarity
from conjure.core.errors import InputError, NonFiniteError
from conjure.core.gaussian import GaussianProcess
from conjure.core.registry import estimands
from conjure.core.schedule import Schedule
from conjure.core.spec import Spec, sign
from conjure.core.types import Conditioning
from conjure.similarity import distance, distances, stream

NAMES = [name for name, entry in estimands().items() if not entry.at_step]

TEXTS = ["a dog", "a puppy", "a violin", "é ∅ 語"]
ANYWHERE = [name for name in NAMES if name != "chain"]  # which needs noise in the steps


def process_of(seed=0, dimensions=2, **settings):
    """Every text a random Gaussian; "a hound" is the same one as "a dog"."""
    noise = torch.Generator().manual_seed(seed)
    components = {}
    for text in ["", *TEXTS]:
        root = torch.randn(dimensions, dimensions, generator=noise)
        covariance = root @ root.T + 0.3 * torch.eye(dimensions)
        components[text] = 2 * torch.randn(dimensions, generator=noise), covariance
    components["a hound"] = components["a dog"]
    return GaussianProcess(components, **{"guidance": 3.0, "steps": 4} | settings)


processes = st.builds(
    process_of,
    seed=st.integers(0, 1000),
    dimensions=st.integers(1, 3),
    sampler=st.sampled_from(["euler", "euler-maruyama"]),
    guidance=st.sampled_from([0.5, 1.0, 7.5]),
    steps=st.integers(1, 5),
    batch_size=st.integers(1, 40),
)
pair_lists = st.lists(st.tuples(st.sampled_from(TEXTS), st.sampled_from(TEXTS)), max_size=6)
measures = st.fixed_dictionaries(
    {
        "samples": st.integers(1, 3),
        "seed": st.integers(0, 2**32 - 16),
        "estimand": st.sampled_from([*ANYWHERE, "pointwise:1", "cumulative:1"]),
    }
)
properties = settings(max_examples=40, deadline=None)


def close(found, expected):
    return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)


@properties
@given(processes, st.sampled_from(TEXTS), st.sampled_from(TEXTS), measures)
def test_non_negative_and_positive_only_between_different_texts(process, text1, text2, measure):
    value = distance(text1, text2, process=process, **measure).value
    assert value == 0 if text1 == text2 else value > 0


@properties
@given(processes, measures)
def test_zero_for_texts_that_conjure_the_same(process, measure):
    assert distance("a dog", "a hound", process=process, **measure).value < 1e-20


@properties
@given(processes, st.sampled_from(TEXTS), st.sampled_from(TEXTS), measures)
def test_symmetric_to_the_last_bit(process, text1, text2, measure):
    there = distance(text1, text2, process=process, **measure)
    back = distance(text2, text1, process=process, **measure)
    assert torch.equal(there.terms.forward, back.terms.backward)
    if measure["estimand"] != "kl":
        assert (there.value, there.interval) == (back.value, back.interval)


def test_kl_has_a_direction():
    process = process_of()
    there, back = (
        distance(*pair, process=process, estimand="kl").value
        for pair in (("a dog", "a violin"), ("a violin", "a dog"))
    )
    assert there != back
    assert close(there + back, distance("a dog", "a violin", process=process).value)


@properties
@given(processes, pair_lists, st.integers(1, 40), measures)
def test_unchanged_by_batch_size(process, pairs, batch_size, measure):
    found = distances(pairs, process=process, **measure)
    process.batch_size = batch_size
    for one, other in zip(found, distances(pairs, process=process, **measure), strict=True):
        assert close(one.value, other.value)


@properties
@given(processes, pair_lists.flatmap(lambda p: st.tuples(st.just(p), st.permutations(p))), measures)
def test_unchanged_by_order_and_company(process, lists, measure):
    pairs, shuffled = lists
    alone = {pair: distance(*pair, process=process, **measure) for pair in set(pairs)}
    for order in (pairs, shuffled):
        found = distances(order, process=process, **measure)
        assert [(d.text1, d.text2) for d in found] == order
        assert all(close(d.value, alone[d.text1, d.text2].value) for d in found)


@properties
@given(processes, st.sampled_from(TEXTS[1:]), st.integers(1, 3))
def test_equal_to_the_sum_of_its_terms(process, text, samples):
    found = distance(TEXTS[0], text, process=process, samples=samples)
    steps = len(process.schedule)
    assert found.terms.forward.shape == found.terms.backward.shape == (samples, steps)
    entries = found.terms.forward.flatten().tolist() + found.terms.backward.flatten().tolist()
    assert close(found.value, math.fsum(entries) / (samples * steps))
    assert min(entries) >= 0


@properties
@given(processes, measures)
def test_a_sample_is_a_distance_from_its_own_seed(process, measure):
    whole = distance("a dog", "a violin", process=process, **measure)
    parts = [
        distance("a dog", "a violin", process=process, **measure | {"samples": 1, "seed": seed})
        for seed in range(measure["seed"], measure["seed"] + measure["samples"])
    ]
    assert close(whole.value, math.fsum(part.value for part in parts) / len(parts))


def test_a_distance_says_what_it_is():
    process = process_of()
    found = distance("a dog", "a puppy", process=process, samples=3, seed=7)
    assert (found.text1, found.text2, found.estimand) == ("a dog", "a puppy", "jeffreys")
    assert (found.samples, found.steps, found.guidance, found.seed) == (3, 4, 3.0, 7)
    assert found.standard_error > 0
    assert found.interval[0] < found.value < found.interval[1]
    assert found.terms.output is None
    with pytest.raises(FrozenInstanceError):
        found.value = 0.0
    assert "tensor" not in repr(found)
    assert found == distance("a dog", "a puppy", process=process, samples=3, seed=7)
    single = distance("a dog", "a puppy", process=process)
    assert single.standard_error is single.interval is None


def test_what_is_asked_for_is_recorded():
    process = process_of()
    output = distance("a dog", "a puppy", process=process, samples=2, estimand="output")
    assert output.terms.output.shape == (2,)
    coupled = distance("a dog", "a puppy", process=process, samples=2, estimand="coupled")
    assert coupled.terms.coupled.shape == (2, 4)


def test_the_signature_repeats_the_run():
    process = process_of(batch_size=32)
    found = distance("a dog", "a puppy", process=process, samples=2, seed=5)
    try:
        version = metadata.version("conjure")
    except metadata.PackageNotFoundError:
        version = "0+unknown"
    assert str(found.signature) == (
        f"process:gaussian|rev:{process.revision}|sampler:euler|T:4"
        f"|schedule:{process.schedule.digest}|w:3|size:{process.latent_shape[0]}|dtype:float64"
        f"|k:2|seed:5|estimand:jeffreys|batch:32|device:cpu|v:{version}"
    )


@pytest.mark.parametrize(
    ("sampler", "guidance", "reading"),
    [
        ("euler", 1.0, "marginal"),
        ("euler", 3.0, "trajectory"),
        ("euler-maruyama", 1.0, "path"),
        ("euler-maruyama", 3.0, "path"),
    ],
)
def test_the_signature_says_how_girsanov_is_read(sampler, guidance, reading):
    process = process_of(sampler=sampler, guidance=guidance)
    line = str(sign(process, Spec(estimand="girsanov")))
    assert f"|estimand:girsanov|reading:{reading}|" in line


def test_pairs_come_as_they_are_finished():
    process = process_of(batch_size=2)
    sizes = []
    plain = process.predict
    process.predict = lambda x, step, told: sizes.append(len(x)) or plain(x, step, told)
    pairs = [
        ("a dog", "a puppy"),
        ("é ∅ 語", "é ∅ 語"),
        ("a violin", "é ∅ 語"),
        ("a puppy", "a dog"),
    ]
    results = stream(pairs, process, Spec(2))
    assert not sizes  # nothing runs before it is asked for
    place, found = next(results)
    assert (place, found.value, sizes) == (1, 0.0, [])
    assert [next(results)[0] for _ in range(2)] == [0, 3]
    # two prompts walk, two rows at a time, and their pair is finished before the next two walk
    assert sum(sizes) == 2 * (1 + 2 * 6 + 2 * 3)
    [(place, found)] = results
    assert (place, found.text1) == (2, "a violin")
    assert sum(sizes) == 2 * (1 + 4 * 6 + 2 * 2 * 3)


@properties
@given(processes, pair_lists, st.integers(2, 6), measures)
def test_unchanged_by_the_memory_there_is(process, pairs, held, measure):
    """Room for two to six trajectories of one sample: components are tiled, samples taken apart."""
    latent = 8 * process.latent_shape[0]
    bound = held * (3 * len(process.schedule) * latent + 10 * latent * latent)
    found = distances(pairs, process=process, **measure)
    for one, other in zip(
        found, distances(pairs, process=process, max_memory=bound, **measure), strict=True
    ):
        assert close(one.value, other.value)
        torch.testing.assert_close(one.terms.forward, other.terms.forward, rtol=1e-9, atol=1e-12)


def test_more_samples_than_a_block_holds_still_go():
    process = process_of(batch_size=1)
    pairs = [("a dog", "a puppy"), ("a dog", "a violin")]
    assert len(distances(pairs, process=process, samples=9)) == 2


def test_progress_counts_to_the_end():
    calls = []
    pairs = [("a dog", "a puppy"), ("a dog", "a dog"), ("a puppy", "a dog")]
    distances(iter(pairs), process=process_of(), progress=lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert distances([], process=process_of()) == []


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ("ab", "not a single text"),
        (["ab"], "pair 1 must be two texts, not 'ab'"),
        ([("a dog", "a cat", "a bird")], "pair 1 must be two texts"),
        ([("a dog", "a puppy"), ("a dog",)], "pair 2 must be two texts"),
        ([("a dog", "a puppy"), 3], "pair 2 must be two texts"),
        ([("a dog", "")], "pair 1: a text is empty"),
        ([(" \t\n", "a dog")], "pair 1: a text is empty"),
        ([("a dog", None)], "pair 1: a text must be a str, not None"),
        ([("a dog", b"a cat")], "must be a str"),
    ],
)
def test_bad_pairs_are_refused_before_anything_runs(pairs, message):
    process = process_of()
    process.predict = None
    for ask in (distances, stream):
        with pytest.raises(InputError, match=message):
            ask(pairs, process=process)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 0}, "samples must be a whole number, at least 1, not 0"),
        ({"samples": 1.5}, "samples must be a whole number"),
        ({"samples": "2"}, "samples must be a whole number"),
        ({"seed": -1}, "seed must be a whole number, at least 0, not -1"),
        ({"seed": 2**63}, "seed must be a whole number"),
        ({"seed": None}, "seed must be a whole number"),
        ({"estimand": "hellinger"}, "unknown estimand 'hellinger'"),
        ({"estimand": "pointwise:5"}, "a step from 1 to 4"),
        ({"max_memory": 0}, "max_memory must be a whole number, at least 1, not 0"),
        ({"cross_steps": 0}, "cross_steps must be a whole number"),
        ({"cross_steps": 4}, "cross_steps must be at most 3"),
        (
            {"cross_steps": 2, "estimand": "final"},
            "estimand 'final' needs every step",
        ),
        ({"tolerance": 0.0, "samples": 2}, "tolerance must be a pos"),
        ({"tolerance": 0.1}, "samples of 2 or more"),
        (
            {"tolerance": 0.1, "max_samples": 3, "samples": 4},
            "max_samples must be a whole number, at least 4, not 3",
        ),
        ({"process": "emoji"}, r"'emoji' has no name, .*conjure\.load"),
    ],
)
def test_bad_settings_are_refused_before_anything_runs(settings, message):
    with pytest.raises(InputError, match=message):
        distances([("a dog", "a puppy")], **{"process": process_of()} | settings)


def test_nan_names_the_prompt_and_the_step():
    process = process_of()
    plain = process.predict
    process.predict = lambda x, step, told: torch.where(
        step.unsqueeze(1) == 2, math.nan, plain(x, step, told)
    )
    with pytest.raises(NonFiniteError, match=r'for "a dog", gave NaN or infinity at step 3'):
        distance("a dog", "a puppy", process=process)


class Painter:
    """Somebody's own process: nothing inherited, latents like pictures, no score of anything."""

    name, revision, sampler, guidance = "painter", "v2", "halving", 2.0
    guidance_mode = "classifier-free"
    schedule = Schedule((2.0, 1.0), (2.0, 1.0, 0.0), 2.0, stochastic=False)
    latent_shape, latent_dtype, dtype = (1, 2, 2), torch.float32, "float32"
    device, batch_size = torch.device("cpu"), 3

    def embed(self, prompts):
        pitch = [zlib.crc32(text.encode()) % 97 / 97 for text in prompts]
        return Conditioning({"pitch": torch.tensor(pitch)})

    def unconditional(self):
        return self.embed([""])

    def predict(self, x, step, conditioning):
        pitch = conditioning.tensors["pitch"].reshape(-1, 1, 1, 1)
        return torch.tanh(x * pitch) + step.reshape(-1, 1, 1, 1)

    def solver(self):
        return SimpleNamespace(step=lambda x, prediction, step, generators: (x - prediction) / 2)


def test_a_class_of_ones_own_works_without_inheriting():
    painter = Painter()
    pitch = painter.embed(["red", "blue", ""]).tensors["pitch"].double()
    x = 2 * torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(4)).double()
    total, at = 0.0, [x, x]
    for step in (0, 1):
        red, blue, null = range(3)

        def guided(x, who, step=step, null=null):
            empty = torch.tanh(x * pitch[null]) + step
            return empty + 2.0 * (torch.tanh(x * pitch[who]) + step - empty)

        total += sum(float((guided(x, red) - guided(x, blue)).square().sum()) for x in at)
        at = [(x - guided(x, who)) / 2 for who, x in enumerate(at)]
    found = distance("red", "blue", process=painter, seed=4)
    assert found.value == pytest.approx(total / 2, rel=1e-5)
    assert str(found.signature).startswith("process:painter|rev:v2|sampler:halving|T:2|")


def test_the_bundled_process_is_loaded_once_and_only_when_needed(monkeypatch):
    loads = []
    fake = SimpleNamespace(load=lambda: loads.append(1) or process_of())
    monkeypatch.setitem(sys.modules, "conjure.processes", fake)
    similarity.bundled.cache_clear()
    try:
        distance("a dog", "a puppy", process=process_of())
        assert not loads
        distance("a dog", "a puppy")
        distances([("a dog", "a violin")])
        assert loads == [1]
    finally:
        similarity.bundled.cache_clear()

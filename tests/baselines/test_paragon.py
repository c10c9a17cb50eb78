"""The process's own text encoder, pooled: against the encoder itself, one text at a time."""

import warnings

import pytest
import torch
from small_pipelines import albert_text, save_pipeline
from torch.nn.functional import cosine_similarity
from transformers import AlbertModel

import conjure
from conjure import baselines
from conjure.core.errors import InputError

TEXTS = ["a dog", "two cats", "a", "no dogs"]
PAIRS = [(TEXTS[0], TEXTS[1]), (TEXTS[2], TEXTS[0]), (TEXTS[3], TEXTS[1])]


def wide_albert():
    """With the usual small weights its first state hardly depends on the text."""
    tokenizer, network = albert_text()
    network.config.initializer_range = 0.3
    return tokenizer, AlbertModel(network.config)


@pytest.fixture(scope="module")
def processes(tiny_pipeline, tmp_path_factory):
    albert = save_pipeline(tmp_path_factory.mktemp("albert") / "albert", text=wide_albert)
    return {"clip": conjure.load(tiny_pipeline), "albert": conjure.load(albert)}


@torch.no_grad()
def naive(process, pooling, text):
    """The encoder on one text without padding: the states that padding must not change."""
    encoder = process.pipeline.text_encoder
    ids = torch.tensor([process.pipeline.tokenizer(text).input_ids])
    states = encoder(ids).last_hidden_state[0]
    return {"mean": states.mean(0), "cls": states[0], "eos": states[-1]}[pooling]


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [("clip", "mean"), ("clip", "eos"), ("albert", "mean"), ("albert", "cls"), ("albert", "eos")],
)
def test_equals_the_encoder_alone(kind, pooling, processes):
    process = processes[kind]
    vectors = {text: naive(process, pooling, text) for text in TEXTS}
    expected = [1 - float(cosine_similarity(vectors[a], vectors[b], dim=0)) for a, b in PAIRS]
    baseline = baselines.load(f"paragon:{pooling}", process=process)
    assert baseline.distances(PAIRS) == pytest.approx(expected, abs=1e-5)
    assert min(expected) > 1e-4


def test_the_end_mark_is_clips_own_pooled_output(processes):
    """What CLIP itself calls the text's vector, before its projection."""
    pipeline = processes["clip"].pipeline
    tokens = pipeline.tokenizer(TEXTS, padding="max_length", max_length=16, return_tensors="pt")
    with torch.no_grad():
        pooled = pipeline.text_encoder(tokens.input_ids).pooler_output
    vectors = baselines.load("paragon", process=processes["clip"]).vectors(TEXTS)
    for text, expected in zip(TEXTS, pooled, strict=True):
        assert torch.allclose(vectors[text], (expected / expected.norm()).double(), atol=1e-6)


@pytest.mark.parametrize(("kind", "pooling"), [("clip", "eos"), ("albert", "mean")])
def test_the_choice_is_what_the_encoder_was_trained_by(kind, pooling, processes):
    baseline = baselines.load("paragon", process=processes[kind])
    named = baselines.load(f"paragon:{pooling}", process=processes[kind])
    assert baseline.distances(PAIRS) == named.distances(PAIRS)
    assert f"|pool:{pooling}|" in str(baseline.signature)
    assert (baseline.name, named.name) == ("paragon", f"paragon:{pooling}")


def test_what_cannot_be_a_paragon_is_refused(processes, gaussians):
    with pytest.raises(InputError, match="sees no text .* choose eos or mean"):
        baselines.load("paragon:cls", process=processes["clip"])
    with pytest.raises(InputError, match="has no text encoder of its own"):
        baselines.load("paragon", process=gaussians())
    with pytest.raises(InputError, match="give the process"):
        baselines.load("paragon")
    with pytest.raises(InputError, match="leave dtype, seed out"):
        baselines.load("paragon", process=processes["clip"], dtype="float16", seed=1)


def test_the_bundled_process_has_one():
    process = conjure.load("emoji")
    baseline = baselines.load("paragon", process=process)
    near, far = baseline.distances([("a dog", "a puppy"), ("a dog", "a violin")])
    assert near < far
    assert f"|rev:{process.revision}|encoder:albert|pool:mean|" in str(baseline.signature)


def test_texts_that_are_cut_are_said_once_a_call(processes):
    baseline = baselines.load("paragon", process=processes["clip"])
    pairs = [("a" * n, "b" * n) for n in range(100, 160)]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        baseline.distances(pairs)
    [one] = seen
    assert one.filename == __file__
    assert "120 texts have more, so their ends do not count; the first has 102" in str(one.message)

"""Text encoders against plain loops over transformers, and a real one against its figures."""

import math
import os
import shutil
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import spearmanr
from small_pipelines import clip_text
from torch.nn.functional import cosine_similarity
from transformers import (
    AutoModel,
    AutoTokenizer,
    CLIPConfig,
    CLIPModel,
    CLIPTextModelWithProjection,
    T5EncoderModel,
)

from conjure import baselines
from conjure.core.errors import (
    InputError,
    NonFiniteError,
    PromptTruncatedWarning,
    UnknownTokensWarning,
)
from conjure.datasets.tables import read_pairs

TEXTS = ["a dog", "two cats sleep", "a", "no dogs at all"]
PAIRS = [(TEXTS[0], TEXTS[1]), (TEXTS[2], TEXTS[0]), (TEXTS[3], TEXTS[1])]
CLASSES = {"clip": CLIPTextModelWithProjection, "t5": T5EncoderModel}


@torch.no_grad()
def naive(folder, kind, pooling, text):
    """One text, no batch, no padding, no mask."""
    network = CLASSES.get(kind, AutoModel).from_pretrained(folder).eval()
    ids = torch.tensor([AutoTokenizer.from_pretrained(folder)(text).input_ids])
    out = network(ids)
    if kind == "clip" and pooling == "eos":
        return out.text_embeds[0]
    states = out.last_hidden_state[0]
    return {"mean": states.mean(0), "cls": states[0], "eos": states[-1]}[pooling]


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [
        (kind, pooling)
        for kind in ("bert", "roberta", "t5", "clip")
        for pooling in ("mean", "cls", "eos")
        if (kind, pooling) != ("clip", "cls")
    ],
)
def test_equals_a_plain_loop(kind, pooling, encoders):
    vectors = {text: naive(encoders[kind], kind, pooling, text) for text in TEXTS}
    expected = [1 - float(cosine_similarity(vectors[a], vectors[b], dim=0)) for a, b in PAIRS]
    baseline = baselines.load(f"encoder={encoders[kind]}:{pooling}")
    assert baseline.distances(PAIRS) == pytest.approx(expected, abs=1e-5)
    assert min(expected) > 1e-3
    projected = "+projection" if (kind, pooling) == ("clip", "eos") else ""
    assert f"|pool:{pooling}{projected}|" in str(baseline.signature)


@pytest.mark.parametrize("kind", ["bert", "roberta", "t5", "clip"])
def test_a_distance_does_not_depend_on_its_batch(kind, encoders):
    together = baselines.load(f"encoder={encoders[kind]}").distances(PAIRS)
    for size in (1, 3):
        baseline = baselines.load(f"encoder={encoders[kind]}", batch_size=size)
        assert baseline.distances([(b, a) for a, b in PAIRS]) == pytest.approx(together, abs=1e-5)


def test_each_text_is_encoded_once(encoders):
    baseline, seen = baselines.load(f"encoder={encoders['bert']}", batch_size=3), []
    pairs = [*PAIRS, PAIRS[0], ("a", "a")]
    assert baseline.distances(pairs, lambda *counts: seen.append(counts))[-1] == 0.0
    assert seen == [(3, 4), (4, 4)]
    assert baseline.cost(pairs) == 4


def test_without_a_choice_clip_pools_its_end_mark_and_others_the_mean(encoders):
    for kind, pooling in {"clip": "eos", "bert": "mean", "t5": "mean"}.items():
        named = baselines.load(f"encoder={encoders[kind]}:{pooling}")
        assert baselines.load(f"encoder={encoders[kind]}").distances(PAIRS) == named.distances(
            PAIRS
        )


def test_a_clip_encoder_without_its_projection_pools_the_state_itself(encoders, tmp_path):
    """As the text_encoder of a Stable Diffusion pipeline is saved."""
    folder = tmp_path / "bare"
    shutil.copytree(encoders["clip"], folder)
    weights = load_file(folder / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    baseline = baselines.load(f"encoder={folder}:eos")
    assert "|pool:eos|" in str(baseline.signature)
    whole = CLIPTextModelWithProjection.from_pretrained(encoders["clip"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        a, b = (
            whole(torch.tensor([tokenizer(t).input_ids])).last_hidden_state[0, -1] for t in PAIRS[0]
        )
    expected = 1 - float(cosine_similarity(a, b, dim=0))
    assert baseline.distances(PAIRS[:1]) == pytest.approx([expected], abs=1e-5)


def test_of_a_whole_clip_the_text_half_is_read(tmp_path):
    """As openai/clip-vit-large-patch14 is published, pictures and all."""
    tokenizer, text = clip_text()
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config={**text.config.to_dict(), "initializer_factor": 10.0, "projection_dim": 16},
        vision_config={"image_size": 8, "patch_size": 4, "intermediate_size": 32, **small},
        projection_dim=16,
    )
    network = CLIPModel(config).eval()
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with torch.no_grad():
        a, b = (network.text_model(torch.tensor([tokenizer(t).input_ids])) for t in PAIRS[0])
        a, b = (network.text_projection(each.pooler_output)[0] for each in (a, b))
    expected = 1 - float(cosine_similarity(a, b, dim=0))
    baseline = baselines.load(f"encoder={tmp_path}")
    assert baseline.distances(PAIRS[:1]) == pytest.approx([expected], abs=1e-5)
    assert "|pool:eos+projection|" in str(baseline.signature)


def test_a_text_that_is_cut_is_said(encoders):
    """RoBERTa's 34 places are 32 tokens; what is behind them does not count."""
    baseline = baselines.load(f"encoder={encoders['roberta']}")
    with pytest.warns(PromptTruncatedWarning, match="reads 32 tokens .* this text has 42"):
        baseline.distances([("a" * 40, "a" * 29)])
    with pytest.warns(PromptTruncatedWarning):
        [distance] = baseline.distances([("a" * 40, "a" * 29 + "b" * 11)])
    assert distance > 0
    with pytest.warns(PromptTruncatedWarning):
        assert baseline.distances([("a" * 40, "a" * 31 + "b" * 9)]) == pytest.approx(
            [0.0], abs=1e-9
        )


def told(ask, *given):
    """The one warning of a call."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        ask(*given)
    [one] = seen
    return one


def test_texts_that_are_cut_are_said_once_a_call(encoders, minilm):
    """With how many they are and an example, at the line of the caller, however many batches."""
    pairs = [("a" * n, "b" * n) for n in range(28, 50)]
    for folder in (encoders["roberta"], encoders["clip"]):
        one = told(baselines.load(f"encoder={folder}", batch_size=3).distances, pairs)
        assert one.filename == __file__
        assert issubclass(one.category, PromptTruncatedWarning)
    one = told(baselines.load(f"encoder={encoders['roberta']}").distances, pairs)
    assert "and 38 texts have more, so their ends do not count; the first has 33: 'aaa" in str(
        one.message
    )
    texts = [("one " * n, "two " * n) for n in (10, 300, 400)]
    one = told(baselines.load(f"encoder={minilm}", batch_size=2).distances, texts)
    assert "reads 256 tokens" in str(one.message)
    assert "4 texts have more" in str(one.message)
    assert one.filename == __file__


def test_dtype_and_device_are_taken(encoders):
    exact = baselines.load(f"encoder={encoders['bert']}", dtype="float64", device="cpu")
    half = baselines.load(f"encoder={encoders['bert']}", dtype="bfloat16")
    usual = baselines.load(f"encoder={encoders['bert']}").distances(PAIRS)
    assert exact.distances(PAIRS) == pytest.approx(usual, abs=1e-6)
    assert exact.distances(PAIRS) != usual
    assert half.distances(PAIRS) == pytest.approx(usual, rel=0.2)
    assert "dtype:float64|batch:32|device:cpu" in str(exact.signature)
    usual = baselines.load(f"encoder={encoders['clip']}").distances(PAIRS)
    half = baselines.load(f"encoder={encoders['clip']}", dtype="float16")
    assert half.distances(PAIRS) == pytest.approx(usual, rel=0.2)


def test_a_vector_without_a_direction_is_said(encoders, bert):
    weights = load_file(bert / "model.safetensors")
    weights["encoder.layer.1.output.LayerNorm.bias"].fill_(math.nan)
    save_file(weights, bert / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NonFiniteError, match="gives 'two cats sleep' no direction"):
        baselines.load(f"encoder={bert}").distances(PAIRS)


@pytest.mark.parametrize("text", ["", "  ", None, 5, ["a"], b"a", "\ud800"])
def test_a_text_that_cannot_be_compared_is_refused(text, encoders):
    with pytest.raises(InputError, match="a text must be"):
        baselines.load(f"encoder={encoders['bert']}").distances([("a", text)])


@pytest.mark.parametrize("pairs", [None, "ab", 5, [("a",)], [("a", "b", "c")], ["ab"], [5]])
def test_what_is_no_list_of_pairs_is_refused(pairs, encoders):
    with pytest.raises(InputError, match="pair"):
        baselines.load(f"encoder={encoders['bert']}").distances(pairs)


# ------------------------------------------------------- a real one: all-MiniLM-L6-v2


def test_a_real_encoder_knows_a_paraphrase(minilm):
    baseline = baselines.load(f"encoder={minilm}")
    near, far = baseline.distances(
        [
            ("A man is playing a guitar.", "Someone plays the guitar."),
            ("A man is playing a guitar.", "Shares fell sharply on Monday."),
        ]
    )
    assert near < 0.3 < 0.7 < far
    assert "|pool:its-own|" in str(baseline.signature)


def test_its_own_modules_are_masked_means_of_unit_length(minilm):
    """sentence-transformers' vectors, our pooling of the same model, and a plain loop."""
    texts = ["A man is playing a guitar.", "A dog", "Shares fell sharply on Monday, they said."]
    own = baselines.load(f"encoder={minilm}").vectors(texts)
    ours = baselines.load(f"encoder={minilm}:mean").vectors(texts)
    network = AutoModel.from_pretrained(minilm).eval()
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    for text in texts:
        with torch.no_grad():
            states = network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        plain = torch.nn.functional.normalize(states.mean(0), dim=0).double()
        assert torch.allclose(own[text], plain, atol=1e-6)
        assert torch.allclose(ours[text], plain, atol=1e-6)


def test_a_sentence_transformers_model_asks_for_its_extra(minilm, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r"pip install 'conjure\[baselines\]', or name a pooling"):
        baselines.load(f"encoder={minilm}")
    assert baselines.load(f"encoder={minilm}:mean").distances([("a", "a")]) == [0.0]


PUBLISHED = {
    "stsb-test": 82.03,
    "sts12": 72.37,
    "sts13": 80.60,
    "sts14": 75.60,
    "sts15": 85.39,
    "sts16": 78.99,
}


# Three of the sets hold emoji and rare letters.
@pytest.mark.filterwarnings("ignore::conjure.core.errors.UnknownTokensWarning")
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_real_encoder_has_its_published_figures(name, minilm):
    """Spearman × 100 over all pairs, to be run where CONJURE_DATA_DIR names the sets' folder."""
    folder = os.environ.get("CONJURE_DATA_DIR")
    if not folder:
        pytest.skip("set CONJURE_DATA_DIR to the folder of the human-annotated sets")
    table = read_pairs(Path(folder, f"{name}.tsv"))
    scores = [float(row.cells["score"]) for row in table.rows]
    distances = baselines.load(f"encoder={minilm}").distances(table.pairs())
    assert 100 * spearmanr(scores, distances).statistic == pytest.approx(-PUBLISHED[name], abs=0.05)


def test_what_a_model_does_not_know_is_told_and_a_text_of_nothing_else_is_refused(minilm):
    """Or two emoji, both one unknown token, would be at distance 0."""
    baseline = baselines.load(f"encoder={minilm}")
    with pytest.warns(UnknownTokensWarning, match="does not know '🐶' of this prompt"):
        [distance] = baseline.distances([("a dog", "a dog 🐶")])
    assert distance > 0
    with pytest.raises(InputError, match="can read nothing of '🐶'"):
        baseline.distances([("🐶", "🐱")])

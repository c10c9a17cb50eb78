"""The distance by continuations, against a plain loop without batches, padding or cache."""

import json
import shutil

import pytest
import torch
from small_models import byte_tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    MambaConfig,
    MambaForCausalLM,
    TopKLogitsWarper,
)

from conjure import baselines
from conjure.baselines.autoregressive import prepare
from conjure.baselines.trajectories import Continuations, draws, misreading, sample, score
from conjure.core.errors import InputError, NonFiniteError

KINDS = ["gpt2", "llama", "falcon"]
TEXTS = ["a dog runs", "two cats sleep on the warm stones of a wall", "no", "is it raining?"]
PAIRS = [(TEXTS[0], TEXTS[1]), (TEXTS[2], TEXTS[0]), (TEXTS[3], TEXTS[2])]


def load(folder, **settings):
    row = f"lm={folder}"
    return baselines.load(row, **{"continuations": 5, "tokens": 6, **settings})


class Naive:
    """One text at a time, everything read anew for each token, no attention mask."""

    def __init__(self, folder, top_k=0):
        self.likeliest = TopKLogitsWarper(top_k) if top_k else lambda ids, logits: logits
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.no_grad()
    def continuation(self, text, uniforms):
        """Inverse-transform sampling, token by token, up to the end mark."""
        ids, found = self.tokenizer(text).input_ids, []
        for u in uniforms:
            logits = self.network(torch.tensor([ids + found])).logits[:, -1]
            [kept] = self.likeliest(None, logits.double())
            rising = kept.softmax(-1).cumsum(-1)
            found.append(int((rising <= u * rising[-1]).sum()))
            if found[-1] == self.tokenizer.eos_token_id:
                break
        return found

    @torch.no_grad()
    def score(self, text, continuation):
        """The mean log-probability a token of a continuation after a text."""
        ids = self.tokenizer(text).input_ids
        logits = self.network(torch.tensor([ids + continuation])).logits[0]
        log_p = logits[len(ids) - 1 : -1].double().log_softmax(-1)
        return float(log_p[range(len(continuation)), continuation].mean())

    def distance(self, a, b, n, length, seed):
        total = 0.0
        for owner in (a, b):
            for uniforms in draws(owner, seed, n, length):
                found = self.continuation(owner + ("" if owner[-1] == "?" else "."), uniforms)
                total += abs(
                    self.score(prepare(a, False), found) - self.score(prepare(b, False), found)
                )
        return total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top_k", [0, 8, 50, 1000])
def test_equals_a_plain_loop(kind, top_k, language_models):
    naive = Naive(language_models[kind], top_k)
    expected = [naive.distance(a, b, 5, 6, seed=3) for a, b in PAIRS]
    found = load(language_models[kind], seed=3, top_k=top_k).distances(PAIRS)
    assert found == pytest.approx(expected, abs=1e-4)
    assert min(expected) > 0.1  # far above what is allowed for rounding


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_cache_change_nothing(kind, language_models):
    """Every continuation and every score of a batch of mixed lengths, one by one."""
    naive = Naive(language_models[kind])
    tokens = [naive.tokenizer(text).input_ids for text in TEXTS]
    uniforms = torch.stack([draws(text, 0, 4, 8) for text in TEXTS])
    with torch.inference_mode():
        found = sample(naive.network, tokens, uniforms, [0])
        crossed = score(naive.network, tokens, found[1:] + found[:1])
    for text, own, other, row in zip(TEXTS, found, found[1:] + found[:1], crossed, strict=True):
        for i, u in enumerate(draws(text, 0, 4, 8)):
            continuation = own.tokens[i, : own.lengths[i]].tolist()
            assert continuation == naive.continuation(text, u)
            assert float(own.scores[i]) == pytest.approx(naive.score(text, continuation), abs=1e-4)
            continuation = other.tokens[i, : other.lengths[i]].tolist()
            assert float(row[i]) == pytest.approx(naive.score(text, continuation), abs=1e-4)


def test_a_distance_depends_on_its_pair_and_the_seed_alone(language_models):
    folder = language_models["gpt2"]
    together = load(folder).distances(PAIRS)
    alone = [load(folder, batch_size=1).distances([pair])[0] for pair in PAIRS]
    back = load(folder, batch_size=15).distances([(b, a) for a, b in reversed(PAIRS)])[::-1]
    assert alone == pytest.approx(together, abs=1e-5)
    assert back == pytest.approx(together, abs=1e-5)
    assert load(folder, seed=1).distances(PAIRS) != pytest.approx(together, abs=1e-2)


def test_the_same_text_is_at_zero(language_models):
    baseline = load(language_models["gpt2"])
    assert baseline.distances([("a dog", "a dog")]) == [0.0]
    # read as one text, though each has its own continuations
    baseline = load(language_models["gpt2"], strip=True)
    assert baseline.distances([("a dog", "a dog. ")]) == pytest.approx([0.0], abs=1e-4)


@pytest.mark.parametrize("top_k", [0, 10, 50])
def test_tokens_are_drawn_as_generate_draws_them(top_k, language_models):
    """20,000 first tokens of one text against what generate(do_sample=True) would draw from."""
    naive = Naive(language_models["gpt2"])
    ids = naive.tokenizer("a dog runs.").input_ids
    with torch.inference_mode():
        uniforms = draws("x", 0, 20_000, 1).unsqueeze(0)
        [found] = sample(naive.network, [ids], uniforms, [0], top_k)
        told = naive.network.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            pad_token_id=0,
            do_sample=True,
            max_new_tokens=1,
            top_k=top_k,
            output_scores=True,
            return_dict_in_generate=True,
        )
        whole = naive.network(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)
    p = told.scores[0][0].double().softmax(-1)
    assert (p > 0).sum() == (top_k or 257)
    seen = torch.bincount(found.tokens[:, 0], minlength=257) / 20_000
    spread = (p * (1 - p) / 20_000).sqrt()
    assert ((seen - p).abs() <= 5 * spread + 5e-5 * (p > 0)).all()  # 0 where p is
    # scored by the whole vocabulary all the same
    assert torch.allclose(found.scores, whole[found.tokens[:, 0]], atol=1e-5)


def test_of_tokens_that_are_left_out_none_is_drawn_at_the_very_end(language_models):
    """The last number below 1, where rounding could reach past the tokens that are left."""
    naive = Naive(language_models["gpt2"])
    ids = naive.tokenizer("a dog runs.").input_ids
    last = torch.tensor(1.0, dtype=torch.float64).nextafter(torch.tensor(0.0, dtype=torch.float64))
    with torch.inference_mode():
        [found] = sample(naive.network, [ids], last.reshape(1, 1, 1), [0], 5)
        logits = naive.network(torch.tensor([ids])).logits[0, -1]
    assert int(found.tokens) in logits.topk(5).indices.tolist()


def test_what_the_authors_code_does_is_the_default(language_models):
    baseline = load(language_models["gpt2"])
    named = baselines.load(f"lm={language_models['gpt2']}:top50", continuations=5, tokens=6)
    assert named.distances(PAIRS) == baseline.distances(PAIRS)
    assert named.signature == baseline.signature
    whole = baselines.load(f"lm={language_models['gpt2']}:strip:top0", continuations=5, tokens=6)
    assert whole.distances(PAIRS) == load(language_models["gpt2"], top_k=0).distances(PAIRS)
    assert "|topk:all|strip:yes|" in str(whole.signature)
    with pytest.raises(InputError, match="already sets top_k; leave top_k out"):
        baselines.load(f"lm={language_models['gpt2']}:top0", top_k=50)


def test_an_early_end_counts_and_nothing_behind_it(language_models):
    naive = Naive(language_models["gpt2"])
    ids = naive.tokenizer("a dog runs.").input_ids
    uniforms = draws("x", 0, 40, 8).unsqueeze(0)
    with torch.inference_mode():
        [free] = sample(naive.network, [ids], uniforms, [])
        end = int(free.tokens[:, 3].mode().values)
        [found] = sample(naive.network, [ids], uniforms, [end])
        changed = found.tokens.clone()
        for row, length in zip(changed, found.lengths, strict=True):
            row[length:] = 7
        again = score(naive.network, [ids], [Continuations(changed, found.lengths, found.scores)])
    assert free.lengths.tolist() == [8] * 40
    for row, length in zip(free.tokens.tolist(), found.lengths.tolist(), strict=True):
        assert length == (row.index(end) + 1 if end in row else 8)
    assert set(found.lengths.tolist()) > {8}
    assert again[0].tolist() == pytest.approx(found.scores.tolist(), abs=1e-5)


def test_the_prompted_form_asks_what_a_sentence_implies(language_models):
    folder = language_models["gpt2"]
    prompted = baselines.load(f"lm={folder}:prompted", continuations=5, tokens=6)
    assert prompted.distances(PAIRS) != pytest.approx(load(folder).distances(PAIRS), abs=1e-2)
    assert "prompt:prompted" in str(prompted.signature)
    assert prepare("A dog", True) == 'This sentence: "A dog." implies: '


@pytest.mark.parametrize(
    ("text", "read", "stripped"),
    [
        ("a", "a.", "a."),
        ("a. ", "a. .", "a."),
        ("a!", "a!", "a!"),
        ('he said "a"', 'he said "a"', 'he said "a"'),
    ],
)
def test_texts_end_with_a_stop(text, read, stripped):
    assert prepare(text, False) == read
    assert prepare(text, False, strip=True) == stripped


def test_continuations_are_drawn_once_for_each_text(language_models):
    baseline, seen, read = load(language_models["gpt2"]), [], []

    def count(module, given, named):
        if named.get("past_key_values") is None:
            read.append(len(named["input_ids"]))

    baseline._network.register_forward_pre_hook(count, with_kwargs=True)
    pairs = [*PAIRS, PAIRS[0], PAIRS[0][::-1], ("no", "no")]
    baseline.distances(pairs, lambda done, total: seen.append((done, total)))
    # four texts to sample from, and three pairs to score both ways, with 5 continuations each
    assert sum(read) == 4 + 2 * 3
    assert baseline.cost(pairs) == 5 * sum(read)
    assert seen[-1] == (50, 50)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_the_signature_says_what_it_takes_to_repeat_it(language_models):
    baseline = load(language_models["llama"], seed=4, batch_size=12)
    assert str(baseline.signature).startswith("baseline:lm|model:llama|rev:sha256-")
    settings = (
        "prompt:none|n:5|tokens:6|temperature:1|topk:50|strip:no|seed:4|distance:L1|dtype:float32"
        "|batch:10"
    )
    assert settings in str(baseline.signature)
    assert isinstance(baseline, baselines.Baseline)


def test_half_precision_stays_close(language_models):
    exact = load(language_models["llama"], continuations=40).distances(PAIRS)
    half = load(language_models["llama"], continuations=40, dtype="bfloat16")
    assert half.distances(PAIRS) == pytest.approx(exact, rel=0.1)
    assert "dtype:bfloat16" in str(half.signature)


def test_a_network_that_predicts_nan_is_said(language_models):
    baseline = load(language_models["gpt2"])
    with torch.no_grad():
        baseline._network.transformer.ln_f.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="NaN or infinity for \\('a dog runs'"):
        baseline.distances(PAIRS)


def refusal(row, **settings):
    with pytest.raises(InputError) as caught:
        baselines.load(row, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_text_that_leaves_no_room_is_refused(language_models):
    baseline = load(language_models["gpt2"])
    with pytest.raises(InputError, match=r"reads 128 tokens, 6 of them .* has 124"):
        baseline.distances([("a" * 123, "b")])
    assert baseline.distances([("a" * 121, "b")])[0] > 0


def test_what_is_no_language_model_is_refused(encoders, language_models, tmp_path):
    assert "is of the kind bert, which is not a causal" in refusal(f"lm={encoders['bert']}")
    assert "which is not a causal" in refusal(f"lm={encoders['t5']}")
    headless = shutil.copytree(language_models["gpt2"], tmp_path / "headless")
    config = json.loads((headless / "config.json").read_text())
    (headless / "config.json").write_text(json.dumps({**config, "n_layer": 3}))
    assert "headless is incomplete or renamed: it lacks" in refusal(f"lm={headless}")


def test_a_network_that_cannot_share_a_batch_is_refused(tmp_path):
    """Mamba has no cache of keys and values, and would read padding as text."""
    config = MambaConfig(vocab_size=257, hidden_size=16, num_hidden_layers=1, state_size=4)
    MambaForCausalLM(config).save_pretrained(tmp_path / "mamba")
    byte_tokenizer().save_pretrained(tmp_path / "mamba")
    line = refusal(f"lm={tmp_path / 'mamba'}")
    assert line.startswith("mamba is of the kind mamba, and lm= needs a network that has a cache")


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_changes_what_is_predicted_is_seen(kind, language_models):
    """The same network, once as it is and once told wrong positions."""
    network = Naive(language_models[kind]).network
    texts = [[5, 6, 7, 8, 9, 10], [11, 12, 13]]
    with torch.inference_mode():
        assert misreading(network, texts) < 1e-4
        network.register_forward_pre_hook(
            lambda module, given, named: (given, {**named, "attention_mask": None}),
            with_kwargs=True,
        )
        assert misreading(network, texts) > 1e-2


def test_a_tokenizer_of_another_model_is_said(language_models, tmp_path):
    """Before the network is asked: on a GPU an index beyond its table ends the process."""
    folder = shutil.copytree(language_models["gpt2"], tmp_path / "mixed")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["horse"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(InputError, match="mixed has 257 embeddings, .* gives token 257 for"):
        load(folder).distances([("a cat", "a horse")])

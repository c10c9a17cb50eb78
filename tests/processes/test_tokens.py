"""What a tokenizer does not know or drops is told; where nothing else is left, it is refused."""

import inspect
import json
import re
import warnings

import pytest
from folder_tools import refusal
from small_pipelines import clip_text, wordpiece_tokenizer
from tokenizers import Regex, normalizers

import conjure
from conjure.core.errors import InputError, PromptTruncatedWarning, UnknownTokensWarning
from conjure.processes import load
from conjure.processes.tokens import TextReader, settle_limit
from conjure.similarity import stream


@pytest.fixture(scope="module")
def emoji():
    return load(steps=2, device="cpu")


@pytest.fixture
def fresh(emoji):
    """The bundled process, which has told nothing yet."""
    emoji._reader = TextReader(emoji.name, emoji.pipeline.tokenizer)
    return emoji


def clip_reader():
    return TextReader("toy", clip_text()[0])


UNREADABLE = ["犬", "我爱你", "他恨她", "שלום", "مرحبا", "犬 猫", "\u200b", "[PAD]", "[UNK] [SEP]"]


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_text_of_which_nothing_is_known_is_refused(fresh, text):
    for ask in (
        lambda: conjure.distance(text, "a cat", process=fresh),
        lambda: conjure.distances([("a cat", "a dog"), ("a cat", text)], process=fresh),
        lambda: stream([("a cat", text)], process=fresh),
        lambda: fresh.embed([text]),
    ):
        with pytest.raises(InputError, match=rf"emoji can read nothing of {re.escape(repr(text))}"):
            ask()


def test_what_is_known_is_read_without_a_word(fresh):
    texts = [
        "a dog",
        "café",
        "e\u0301tude",
        "naïve — “quoted”",
        "1,234.5 %",
        "a dog ❤",
        "a dog 犬",
        "don't",
    ]
    assert fresh.unreadable([*texts, "", " "]) == {}
    assert not fresh.remarks([t for t in texts if "犬" not in t])


def test_no_text_of_the_annotated_sets_is_refused_or_lossy_for_nothing(fresh, data_dir):
    from conjure.datasets.cards import DATASETS
    from conjure.datasets.read import read_dataset

    for name in DATASETS:
        pairs = read_dataset(name, data_dir).table.pairs()
        texts = {text for pair in pairs for text in pair}
        assert fresh.unreadable(sorted(texts)) == {}
        for text, reading in fresh._reader.readings(sorted(texts)).items():
            for part in reading.lost:
                assert not part.isascii(), (name, text, part)


def test_one_warning_a_call_with_count_example_and_the_callers_line(fresh):
    long = [f"a dog and a cat number {n} " + "and another " * 40 for n in range(100)]
    odd = [f"dog number {n} 犬" for n in range(50)]
    pairs = [(text, "a cat") for text in long + odd]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        line = inspect.currentframe().f_lineno + 1
        found = conjure.distances(pairs[:1] + pairs[-1:], process=fresh)
        stream(pairs, process=fresh)
    assert len(found) == 2
    kinds = [PromptTruncatedWarning, UnknownTokensWarning] * 2
    assert [w.category for w in told] == kinds
    assert {w.filename for w in told} == {__file__}
    assert [w.lineno for w in told] == [line, line, line + 1, line + 1]
    cut, unknown = (str(w.message) for w in told[2:])
    assert re.search(r"reads 32 tokens .* and 99 prompts have more.* number 1 and", cut)
    assert re.search(r"a part of 49 prompts; of the first of them '犬': 'dog number 0 犬'", unknown)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conjure.distances(pairs[:1] + pairs[-1:], process=fresh)  # told already
        stream(pairs, process=fresh.with_settings(steps=3))


def test_embedding_tells_too_from_the_callers_line(fresh):
    with pytest.warns(UnknownTokensWarning, match="does not know '犬' of this prompt") as told:
        fresh.embed(["dog 犬", "dog 犬"])
    assert [w.filename for w in told] == [__file__]


def test_clips_unknown_token_is_its_end_mark():
    reader = clip_reader()
    assert reader.unreadable(["a dog", "é", "🐶", "3", "<|endoftext|>", ""]).keys() == {
        "é",
        "🐶",
        "3",
        "<|endoftext|>",
    }
    assert not reader.remarks(["a dog", "a cat", "", "a dog <|endoftext|>"])
    [warning] = reader.remarks(["a dog 3"])
    assert "does not know '3' of this prompt: 'a dog 3'" in str(warning)


def test_what_a_normaliser_takes_out_is_told_and_refused():
    tokenizer = wordpiece_tokenizer(16)
    backend = tokenizer.backend_tokenizer
    only_ascii = normalizers.Replace(Regex(r"[^\x00-\x7f]"), "")
    backend.normalizer = normalizers.Sequence([only_ascii, normalizers.Lowercase()])
    reader = TextReader("toy", tokenizer)
    assert reader.unreadable(["🐶", "שלום", "我爱你", "a — b", "❤️"]).keys() == {
        "🐶",
        "שלום",
        "我爱你",
        "❤️",
    }
    [warning] = reader.remarks(["dog 🐶 שלום cat"])
    assert "does not know '🐶', 'שלום' of this prompt" in str(warning)


def test_unknown_beyond_what_fits_does_not_save_a_text():
    reader = TextReader("toy", wordpiece_tokenizer(6))
    assert list(reader.unreadable(["3 4 5 6 a dog", "3 4 5 a dog"])) == ["3 4 5 6 a dog"]


def test_half_a_character_is_refused():
    assert list(clip_reader().unreadable(["a \ud83d dog", "a dog"])) == ["a \ud83d dog"]


def test_a_process_need_not_read_texts(gaussians):
    assert conjure.distance("a", "b", process=gaussians()).value > 0


class Config:
    def __init__(self, **given):
        self.__dict__.update({"model_type": "clip", **given})


XLM = {"max_position_embeddings": 514, "model_type": "xlm-roberta", "pad_token_id": 1}


@pytest.mark.parametrize(
    ("stated", "config", "limit"),
    [
        (16, {"max_position_embeddings": 77}, 16),
        (512, {"max_position_embeddings": 77}, 77),
        (10**30, {"max_position_embeddings": 77}, 77),
        (10**30, XLM, 512),
        (16, {}, 16),
    ],
)
def test_the_limit_is_the_smaller_of_those_stated(stated, config, limit):
    tokenizer = wordpiece_tokenizer(stated)
    encoder = Config(config=Config(**config))
    settle_limit("toy", tokenizer, encoder)
    assert tokenizer.model_max_length == limit


@pytest.mark.parametrize("stated", [10**30, 0, -1, "x", None])
def test_without_any_limit_it_is_refused(stated):
    tokenizer = wordpiece_tokenizer(16)
    tokenizer.model_max_length = stated
    with pytest.raises(InputError, match="does not say how many tokens it reads"):
        settle_limit("toy", tokenizer, Config(config=Config()))


def test_a_tokenizer_without_vocabulary_is_refused(folder):
    path = folder / "tokenizer" / "tokenizer.json"
    tokens = json.loads(path.read_text())
    tokens["model"]["vocab"] = {}
    path.write_text(json.dumps(tokens))
    assert "tokenizer" in refusal(folder)

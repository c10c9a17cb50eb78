"""Emoji become their names before a tokenizer that names them; other texts keep their tokens."""

import copy
import unicodedata
from pathlib import Path

import pytest
import torch
from folder_tools import edit_json, refusal
from hypothesis import given
from hypothesis import strategies as st

import conjure
from conjure import baselines
from conjure.cli import main as cli
from conjure.core.errors import InputError, PromptTruncatedWarning, UnknownTokensWarning
from conjure.processes import load
from conjure.processes.spelling import emoji_names, spell, spelled
from conjure.processes.tokens import TextReader, padded_tokens

ROOT = Path(__file__).parents[2]
SELECTOR, JOINER = "\ufe0f", "\u200d"

# Written by hand from Unicode's own names, in the words that the process has learnt.
READ = {
    "🐶": "dog",
    "🐱": "cat",
    "🍕": "pizza",
    "a 🐶 and a 🐱": "a dog and a cat",
    "I❤️NY": "i red heart ny",
    "I❤NY": "i red heart ny",
    "I❤\ufe0eNY": "i red heart ny",
    "👋🏽": "medium skin tone waving hand",
    "👩🏿\u200d🚀": "dark skin tone woman astronaut",
    "👨\u200d👩\u200d👧": "man, woman, girl family",
    "🏳️\u200d🌈": "rainbow flag",
    "🏳\u200d🌈": "rainbow flag",
    "👁️\u200d🗨️": "eye in speech bubble",
    "🇫🇷": "france flag",
    "🇫🇷🇩🇪": "france flag germany flag",
    "🇨🇦🇦🇨🇦🇩": "canada flag ascension island flag andorra flag",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f": "scotland flag",
    "1️⃣": "1 keycap",
    "#⃣": "# keycap",
    "🐶\u200d🚀": "dog rocket",  # no sequence of Unicode's: its parts
    "©": "copyright",
}
# None of these is spelled, whether or not the tokenizer knows it.
KEPT = ["1 # * 2", "™", "™️", "犬", "α + β", "→", "½ – “x” …", "e\u0301tude", "", " ", SELECTOR]


@pytest.fixture(scope="module")
def emoji():
    return load(steps=2, device="cpu")


@pytest.fixture(scope="module")
def tokenizer(emoji):
    return emoji.pipeline.tokenizer


@pytest.fixture(scope="module")
def plain(tokenizer):
    """The same tokenizer without names."""
    other = copy.deepcopy(tokenizer)
    del other.init_kwargs["emoji_names"]
    assert emoji_names(other) == {}
    return other


def ids(tokenizer, texts):
    return padded_tokens(tokenizer, list(texts)).input_ids.tolist()


@pytest.mark.parametrize("text", READ)
def test_an_emoji_is_read_as_its_name(tokenizer, plain, text) -> None:
    assert ids(tokenizer, [text]) == ids(plain, [READ[text]])
    assert tokenizer.unk_token_id not in ids(tokenizer, [text])[0]


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_emoji_is_not_spelled(tokenizer, text) -> None:
    assert spelled(tokenizer, [text]) == [text]


def test_each_emoji_is_known_and_its_selectors_do_not_matter(tokenizer, plain) -> None:
    names = emoji_names(tokenizer)
    assert len(names) > 3900
    read = ids(tokenizer, names)
    assert read == ids(plain, names.values())
    assert not any(tokenizer.unk_token_id in row for row in read)
    styled = [code[0] + SELECTOR + code[1:] + SELECTOR for code in names]
    assert ids(tokenizer, styled) == read


def test_blocks_that_are_all_emoji_are_all_named(tokenizer) -> None:
    names = emoji_names(tokenizer)
    blocks = [(0x1F600, 0x1F64F), (0x1F90C, 0x1F9FF), (0x1F32D, 0x1F335), (0x1F947, 0x1F9AF)]
    for first, last in blocks:
        for code in map(chr, range(first, last + 1)):
            if unicodedata.category(code) != "Cn" and code not in "\U0001f93b\U0001f946":
                assert code in names, unicodedata.name(code)
    letters = [chr(0x1F1E6 + n) for n in range(26)]
    assert len([a + b for a in letters for b in letters if a + b in names]) >= 258  # flags


def test_a_text_without_emoji_keeps_its_tokens(tokenizer, plain) -> None:
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    lines = {line for path in files for line in path.read_text(encoding="utf-8").splitlines()}
    letters = {chr(n) for n in range(0x20, 0x600) if unicodedata.category(chr(n)) != "Cs"}
    texts = sorted(lines | {f"a {letter} b" for letter in letters})
    named = set(emoji_names(tokenizer))
    unnamed = [text for text in texts if not any(code in named for code in text) and "⃣" not in text]
    assert len(unnamed) > 3000
    assert ids(tokenizer, unnamed) == ids(plain, unnamed)


def test_of_the_annotated_sets_two_texts_hold_emoji(tokenizer, plain, data_dir) -> None:
    from conjure.datasets.cards import DATASETS
    from conjure.datasets.read import read_dataset

    found = [pair for name in DATASETS for pair in read_dataset(name, data_dir).table.pairs()]
    texts = sorted({text for pair in found for text in pair})
    rows = zip(texts, ids(tokenizer, texts), ids(plain, texts), strict=True)
    changed = [text for text, read, before in rows if read != before]
    assert len(changed) == 2
    assert all("😢" in text for text in changed)


NAMES = {"A": "x", "AB": "y", "BC": "z", "ABCD": "w"}


def naive(text: str) -> str:
    """The longest name at each place, from left to right, by its definition."""
    if not text:
        return ""
    for code in sorted(NAMES, key=len, reverse=True):
        if text.startswith(code):
            return f" {NAMES[code]} " + naive(text[len(code) :])
    return text[0] + naive(text[1:])


@given(st.text(alphabet="ABCD-", max_size=12))
def test_the_longest_match_goes_first(text) -> None:
    assert spell(text, NAMES) == naive(text)


def test_other_scripts_are_told_of_and_emoji_are_not(emoji) -> None:
    with pytest.warns(UnknownTokensWarning, match="does not know '犬' of this prompt: '🐶 犬'"):
        emoji.embed(["🐶 犬"])
    with pytest.raises(InputError, match="can read nothing of '犬'"):
        emoji.embed(["犬"])


def test_names_count_towards_the_limit(tokenizer) -> None:
    [warning] = TextReader("emoji", tokenizer).remarks(["👩🏿\u200d🚀" * 7])
    assert isinstance(warning, PromptTruncatedWarning)
    assert "this prompt has 37" in str(warning)  # 7 × 5, and both marks


def test_emoji_are_as_far_apart_as_what_they_show() -> None:
    pairs = [("🐶", "🐱"), ("a dog", "🐶"), ("a dog", "🐱"), ("🐶", "dog"), ("🇫🇷", "🍕")]
    cats, dog, cat, same, flag = (d.value for d in conjure.distances(pairs))
    assert 0 < dog < cat
    assert cats > dog
    assert same == pytest.approx(0, abs=1e-6 * cats)  # in one batch the rounding may differ
    assert flag > 0


def test_the_ideal_denoiser_reads_them_too() -> None:
    process = load("emoji-ideal", steps=3, device="cpu")
    [log_p] = process.embed(["🐶", "dog", "🐱"]).tensors.values()
    assert torch.allclose(log_p[0], log_p[1], atol=1e-4)
    assert not torch.allclose(log_p[0], log_p[2], atol=1e-1)
    pairs = [("a dog", "🐶"), ("a dog", "🐱"), ("🐶", "🐱")]
    dog, cat, both = (d.value for d in conjure.distances(pairs, process=process))
    assert dog < cat
    assert dog < both


def test_the_command_line_reads_them(capsys) -> None:
    assert cli.main(["distance", "🐶", "🐱", "--steps", "2"]) == 0
    assert "jeffreys" in capsys.readouterr().out


def test_the_paragon_reads_them_too(emoji) -> None:
    same, other = baselines.load("paragon", process=emoji).distances([("🐶", "dog"), ("🐶", "🐱")])
    assert same == pytest.approx(0, abs=1e-6)
    assert other > 0.01


@pytest.mark.parametrize("names", [["🐶"], {"🐶": ""}, {"": "dog"}, {"a": "dog"}, {"🐶": 1}, "🐶"])
def test_names_that_are_none_are_refused(folder, names) -> None:
    edit_json(folder / "tokenizer" / "tokenizer_config.json", emoji_names=names)
    assert "emoji_names in tokenizer_config.json must map emoji to their names" in refusal(folder)

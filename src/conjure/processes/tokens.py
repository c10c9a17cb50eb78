"""How a tokenizer reads a text: how many tokens it has, and what is unknown or dropped."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import InputError, PromptTruncatedWarning, UnknownTokensWarning
from .spelling import emoji_names, spelled

_AT_ONCE = 1000  # texts that are tokenised together
_LONGEST = 100_000  # tokens; transformers writes 10³⁰ for a limit that is not known
_SHOWN = 80  # characters of a text in a message


@dataclass(frozen=True)
class Reading:
    """How one text is read.

    tokens:  how many it has, start and end marks included
    lost:    the parts of it that are unknown or dropped; "" for one that cannot be located
    nothing: whether nothing but these is left, of what fits
    """

    tokens: int
    lost: tuple[str, ...]
    nothing: bool


class TextReader:
    """How a process reads each text. Results are kept, and each text is warned of once."""

    def __init__(self, name: str, tokenizer: Any) -> None:
        """tokenizer: one whose ``model_max_length`` is what the text encoder reads.

        Raises InputError if its ``emoji_names`` are none.
        """
        emoji_names(tokenizer)
        self._name = name
        self._tokenizer = tokenizer
        self._read: dict[str, Reading] = {}
        self._warned: set[str] = set()

    def readings(self, texts: Sequence[str]) -> dict[str, Reading]:
        """Each text → how it is read."""
        for text in texts:
            if not _is_unicode(text):  # half a character, which no tokenizer takes
                self._read[text] = Reading(0, (), nothing=True)
        missing = [text for text in dict.fromkeys(texts) if text not in self._read]
        for start in range(0, len(missing), _AT_ONCE):
            part = missing[start : start + _AT_ONCE]
            self._read.update(zip(part, self._tokenised(part), strict=True))
        return {text: self._read[text] for text in texts}

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which nothing is read → why. A blank text is allowed: it is meant."""
        return {
            text: f"{self._name} can read nothing of {_quoted(text)}: it knows no token of it"
            for text, reading in self.readings(texts).items()
            if reading.nothing and text.strip()
        }

    def of_unknown(self, texts: Sequence[str]) -> UnknownTokensWarning | None:
        """One warning for all texts that are known in part; None if all are known."""
        lossy = {text: r for text, r in self.readings(texts).items() if r.lost}
        return UnknownTokensWarning(self._of_lost(lossy)) if lossy else None

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """One warning for new texts that are cut, one for new texts that are known in part."""
        new = {t: r for t, r in self.readings(texts).items() if t not in self._warned}
        self._warned.update(new)
        limit = self._tokenizer.model_max_length
        cut = {text: reading for text, reading in new.items() if reading.tokens > limit}
        lossy = {text: reading for text, reading in new.items() if reading.lost}
        found: list[Warning] = []
        if cut:
            found.append(PromptTruncatedWarning(self._of_cut(cut, limit)))
        if lossy:
            found.append(UnknownTokensWarning(self._of_lost(lossy)))
        return found

    def _of_cut(self, cut: dict[str, Reading], limit: int) -> str:
        text, reading = next(iter(cut.items()))
        reads = f"{self._name} reads {limit} tokens (start and end marks included)"
        if len(cut) == 1:
            end = f"and this prompt has {reading.tokens}, so its end does not count"
        else:
            end = (
                f"and {len(cut):,} prompts have more, so their ends do not count;"
                f" the first of them has {reading.tokens}"
            )
        return f"{reads} {end}: {_quoted(text)}"

    def _of_lost(self, lossy: dict[str, Reading]) -> str:
        text, reading = next(iter(lossy.items()))
        parts = ", ".join(dict.fromkeys(_quoted(part) for part in reading.lost[:5] if part))
        what = parts or "a part"
        if len(lossy) == 1:
            return f"{self._name} does not know {what} of this prompt: {_quoted(text)}"
        return (
            f"{self._name} does not know a part of {len(lossy):,} prompts;"
            f" of the first of them {what}: {_quoted(text)}"
        )

    def _tokenised(self, texts: list[str]) -> list[Reading]:
        tokenizer = self._tokenizer
        texts = spelled(tokenizer, texts)
        fast = bool(getattr(tokenizer, "is_fast", False))
        found = tokenizer(
            texts,
            verbose=False,
            add_special_tokens=True,
            return_special_tokens_mask=True,
            return_offsets_mapping=fast,
        )
        spans = found["offset_mapping"] if fast else [None] * len(texts)
        rows = zip(texts, found["input_ids"], found["special_tokens_mask"], spans, strict=True)
        return [self._reading(*row) for row in rows]

    def _reading(
        self, text: str, ids: list[int], marks: list[int], spans: list[tuple[int, int]] | None
    ) -> Reading:
        """marks: 1 for what the tokenizer added, by place. CLIP's unknown token is its end mark,
        so a token's number alone does not tell one from the other."""
        tokenizer = self._tokenizer
        special = set(tokenizer.all_special_ids)
        content = [place for place, mark in enumerate(marks) if not mark]
        fits = max(tokenizer.model_max_length - sum(marks), 0)
        kept = content[-fits:] if tokenizer.truncation_side == "left" and fits else content[:fits]
        lost: list[str] = []
        for place in content:
            if ids[place] == tokenizer.unk_token_id:
                part = text[slice(*spans[place])] if spans else ""
                blank = bool(spans) and not part.strip()  # a token of spaces says nothing
                if part != tokenizer.unk_token and not blank:  # which somebody may write
                    lost.append(part)
        if spans:
            lost += _dropped(text, [spans[place] for place in content])
        said = [ids[place] for place in kept if ids[place] not in special]
        # SentencePiece puts a blank before a text of which it knows nothing else
        nothing = not any(str(t).strip("▁ ") for t in tokenizer.convert_ids_to_tokens(said))
        return Reading(len(ids), tuple(lost), nothing)


def _dropped(text: str, spans: Iterable[tuple[int, int]]) -> list[str]:
    """Runs of letters, digits and symbols that no token covers: a normaliser took them out.

    Marks, spaces, controls and punctuation are taken out for good reasons.
    """
    left = [unicodedata.category(character)[0] in "LNS" for character in text]
    for start, end in spans:
        left[start:end] = [False] * len(left[start:end])
    runs: list[str] = []
    run = ""
    for character, is_left in zip([*text, ""], [*left, False], strict=True):
        if is_left:
            run += character
        elif run:
            runs.append(run)
            run = ""
    return runs


def padded_tokens(tokenizer: Any, prompts: list[str]) -> Any:
    """``input_ids`` and ``attention_mask`` (n, tokens), each padded or cut to what is read."""
    return tokenizer(
        spelled(tokenizer, prompts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )


def settle_limit(name: str, tokenizer: Any, encoder: Any) -> None:
    """Give the tokenizer the number of tokens that the text encoder reads, where it lacks it.

    Raises InputError where nobody says, or where no text would fit.
    """
    stated = [tokenizer.model_max_length, _positions(encoder.config)]
    known = [n for n in stated if isinstance(n, int) and 0 < n <= _LONGEST]
    if not known:
        raise InputError(
            f"{name} does not say how many tokens it reads: set model_max_length in its"
            " tokenizer_config.json"
        )
    if min(known) <= tokenizer.num_special_tokens_to_add():
        raise InputError(f"{name} reads {min(known)} tokens, which leaves none for a text")
    tokenizer.model_max_length = min(known)


def check_vocabulary(name: str, tokenizer: Any, encoder: Any) -> None:
    """Raise InputError where the tokenizer knows tokens that have no embedding."""
    vocabulary = max(tokenizer.get_vocab().values(), default=-1)
    embeddings = encoder.get_input_embeddings().weight
    if vocabulary >= len(embeddings):
        raise InputError(
            f"{name} does not fit together: its tokenizer knows {vocabulary + 1}"
            f" tokens, its text encoder {len(embeddings)}"
        )


def _positions(config: Any) -> int | None:
    found = getattr(config, "max_position_embeddings", None)
    padding = getattr(config, "pad_token_id", None)
    if isinstance(found, int) and isinstance(padding, int) and "roberta" in config.model_type:
        return found - padding - 1  # its positions are counted from the padding's number on
    return found


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quoted(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"

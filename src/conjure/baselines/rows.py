"""The baseline rows of the paper, and how the name of a row is read. Loads nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..core.errors import InputError

Kind = Literal["paragon", "encoder", "lm"]

POOLINGS = ("mean", "cls", "eos")
PROMPTED, STRIP = "prompted", "strip"


@dataclass(frozen=True)
class Row:
    """One row: a model and the way it is used.

    source:  hub id or folder of the model; None for the paragon, which is part of a process
    choice:  the pooling of an encoder (None: the model's own), or "prompted" for a language model
    title:   its name in the paper
    missing: why there is no model to load; "" if there is one
    top_k:   ``BaselineSettings.top_k`` of a language model, if the row's name sets it
    strip:   ``BaselineSettings.strip`` of a language model, if the row's name sets it
    """

    kind: Kind
    source: str | None = None
    choice: str | None = None
    title: str = ""
    missing: str = ""
    top_k: int | None = None
    strip: bool | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """The options after the model in the row's name."""
        named = (self.choice, self.top_k is not None and f"top{self.top_k}", self.strip and STRIP)
        return tuple(option for option in named if option)

    def settings(self) -> dict[str, Any]:
        """The fields of ``BaselineSettings`` that the row's name sets."""
        named = {"top_k": self.top_k, "strip": self.strip}
        return {name: value for name, value in named.items() if value is not None}


# Table 1 of Liu & Soatto (ICLR 2026) takes these rows from Table 1 of Liu et al. (ICLR 2024).
# docs/baselines.md says where each id and pooling comes from.
ROWS: dict[str, Row] = {
    "clip": Row("encoder", "openai/clip-vit-large-patch14", "eos", "CLIP ViT-L/14 (text)"),
    "is-bert": Row(
        "encoder",
        title="IS-BERT",
        missing="its authors published code but no weights: train it with"
        " github.com/yanzhangnlp/IS-BERT and give encoder=FOLDER:mean",
    ),
    "simcse-bert": Row(
        "encoder", "princeton-nlp/unsup-simcse-bert-base-uncased", "cls", "SimCSE-BERT"
    ),
    "bert-cls": Row("encoder", "google-bert/bert-base-uncased", "cls", "BERT (CLS)"),
    "bert-mean": Row("encoder", "google-bert/bert-base-uncased", "mean", "BERT (mean)"),
    "bert-large-mean": Row(
        "encoder", "google-bert/bert-large-uncased", "mean", "BERT Large (mean)"
    ),
    "roberta-large-mean": Row(
        "encoder", "FacebookAI/roberta-large", "mean", "RoBERTa Large (mean)"
    ),
    "st5-large-mean": Row("encoder", "google-t5/t5-large", "mean", "ST5-Enc (mean, Large)"),
    "st5-11b-mean": Row("encoder", "google-t5/t5-11b", "mean", "ST5-Enc (mean, 11B)"),
    "gpt2": Row("lm", "openai-community/gpt2", title="GPT-2"),
    "gpt2-xl": Row("lm", "openai-community/gpt2-xl", title="GPT-2-XL"),
    "falcon-7b": Row("lm", "tiiuae/falcon-7b", title="Falcon-7B"),
    "llama-13b": Row("lm", "huggyllama/llama-13b", title="LLaMA-13B"),
    "llama-33b": Row("lm", "huggyllama/llama-30b", title="LLaMA-33B"),
}

FORMS = "encoder=ID_OR_FOLDER[:mean|cls|eos] or lm=ID_OR_FOLDER[:prompted][:topK][:strip]"

_POOLED = " or ".join(POOLINGS)
_TOP = re.compile(r"top(\d{1,9})", re.ASCII)


def read_row(name: str) -> Row:
    """The row of a name.

    name: one of ROWS; "paragon[:mean|cls|eos]"; "encoder=ID_OR_FOLDER[:mean|cls|eos]"; or
          "lm=ID_OR_FOLDER[:prompted][:topK][:strip]", with its options in any order. The
          language models of ROWS take these options too. ":top50" draws continuations from the
          50 most likely tokens, ":top0" from all. ":strip" removes blanks at a text's end

    Raises InputError for any other name.

    >>> read_row("encoder=my/model:cls").choice
    'cls'
    >>> read_row("gpt2:prompted:top0").settings()
    {'top_k': 0}
    """
    if not isinstance(name, str):
        raise InputError(f"a row is a name, not {name!r:.80}")
    if name in ROWS:
        return ROWS[name]
    head, colon, rest = name.partition(":")
    if head in ROWS and ROWS[head].kind == "lm":
        row = ROWS[head]
        row = _with_options(name, row, rest.split(":"))
        return replace(row, title=", ".join([row.title, *row.options]))
    if head == "paragon":
        return Row("paragon", None, _pooling(name, rest) if colon else None, "Paragon")
    written, given, source = name.partition("=")
    if given and source and written in ("encoder", "lm"):
        # Text after a colon is an option, unless it holds a slash and so belongs to the path.
        path, *options = _split(source)
        if path and written == "lm":
            return _with_options(name, Row("lm", path), options)
        if path and len(options) < 2:
            return Row("encoder", path, _pooling(name, options[0]) if options else None)
    raise InputError(
        f"unknown row {name!r:.200}; choose one of {', '.join(['paragon', *ROWS])}, or give {FORMS}"
    )


def _split(source: str) -> list[str]:
    """A path, which may hold colons, and the options after it."""
    path, *parts = source.split(":")
    while parts and any("/" in part or "\\" in part for part in parts):
        path += ":" + parts.pop(0)
    return [path, *parts]


def _pooling(name: str, option: str) -> str:
    if option not in POOLINGS:
        raise InputError(
            f"{name!r:.200}: what follows the colon must be {_POOLED}, not {option!r:.80}"
        )
    return option


def _with_options(name: str, row: Row, options: list[str]) -> Row:
    """A language model's row with the options after its name."""
    for option in options:
        top = _TOP.fullmatch(option)
        if option == PROMPTED and row.choice is None:
            row = replace(row, choice=PROMPTED)
        elif option == STRIP and row.strip is None:
            row = replace(row, strip=True)
        elif top and row.top_k is None:
            row = replace(row, top_k=int(top[1]))
        else:
            raise InputError(
                f"{name!r:.200}: what follows a colon must be {PROMPTED}, {STRIP} or top and a"
                f" number (top50; top0 for all tokens), each once, not {option!r:.80}"
            )
    return row

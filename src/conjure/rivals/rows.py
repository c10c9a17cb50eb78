"""The rows that the paper names, and how the name of a row is read. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..core.errors import InputError

Kind = Literal["paragon", "encoder", "lm"]

POOLINGS = ("mean", "cls", "eos")
PROMPTED = "prompted"


@dataclass(frozen=True)
class Row:
    """One row: a model and the way it is used.

    source:  hub id or folder of the model; None for the paragon, which is part of a process
    choice:  pooling of an encoder (None: the model's own), or "prompted" for a language model
    title:   what the paper calls it
    missing: why there is no model to load, where there is none
    """

    kind: Kind
    source: str | None = None
    choice: str | None = None
    title: str = ""
    missing: str = ""


# Table 1 of Liu & Soatto (ICLR 2026) takes these from Table 1 of Liu et al. (ICLR 2024).
# docs/rivals.md says where each id and pooling comes from.
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

_CHOICES: dict[str, tuple[str, ...]] = {
    "paragon": POOLINGS,
    "encoder": POOLINGS,
    "lm": (PROMPTED,),
}


def read_row(name: str) -> Row:
    """The row that a name means.

    name: one of ROWS (a language model's also with ":prompted"); "paragon[:mean|cls|eos]";
          "encoder=ID_OR_FOLDER[:mean|cls|eos]"; or "lm=ID_OR_FOLDER[:prompted]"

    Raises InputError for any other.

    >>> read_row("encoder=my/model:cls")
    Row(kind='encoder', source='my/model', choice='cls', title='', missing='')
    """
    if not isinstance(name, str):
        raise InputError(f"a row is a name, not {name!r:.80}")
    if name in ROWS:
        return ROWS[name]
    head, _, choice = name.partition(":")
    if head in ROWS and ROWS[head].kind == "lm":
        row = ROWS[head]
        return Row(row.kind, row.source, _choice(name, row.kind, choice), f"{row.title}, prompted")
    if head == "paragon":
        return Row("paragon", None, _choice(name, head, choice) if ":" in name else None, "Paragon")
    written, given, source = name.partition("=")
    kind: Kind = "lm" if written == "lm" else "encoder"
    if given and source and written == kind:
        # What is behind the last colon is a choice, unless a path goes on there.
        path, colon, choice = source.rpartition(":")
        if not colon or "/" in choice or "\\" in choice:
            return Row(kind, source)
        return Row(kind, path, _choice(name, kind, choice))
    raise InputError(
        f"unknown row {name!r}; choose one of {', '.join(['paragon', *ROWS])}, or give"
        " encoder=ID_OR_FOLDER[:mean|cls|eos] or lm=ID_OR_FOLDER[:prompted]"
    )


def _choice(name: str, kind: str, choice: str) -> str:
    if choice not in _CHOICES[kind]:
        raise InputError(
            f"{name!r}: what follows the colon must be {' or '.join(_CHOICES[kind])},"
            f" not {choice!r}"
        )
    return choice

"""What a rival is: anything that gives pairs of texts a distance, to be compared with ours."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Protocol, cast, runtime_checkable

from .. import __version__
from ..core.errors import InputError, escape_field

_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep

Pair = tuple[str, str]
Progress = Callable[[int, int], object]  # (network rows done, network rows in all)


@runtime_checkable
class Rival(Protocol):
    """A way of telling how far apart two texts are. Nothing needs to be inherited.

    name:      the row that it fills: "bert-mean", "encoder=my/model:cls", "paragon"
    signature: one line that says how it measures: model, revision, pooling or settings, dtype,
               version; enough to repeat it
    """

    name: str
    signature: str

    def distances(self, pairs: Sequence[Pair], progress: Progress | None = None) -> list[float]:
        """The distance of each pair, in the order given: 0 for the same text, larger = less alike.

        Raises InputError for a text that cannot be compared, NonFiniteError where the network
        predicts NaN or infinity.
        """
        ...

    def cost(self, pairs: Sequence[Pair]) -> int:
        """How many texts or continuations go through the network for these pairs."""
        ...


def distinct_texts(pairs: Sequence[Pair]) -> list[str]:
    """Each text of the pairs once, in order of appearance; InputError for one that is none."""
    if isinstance(pairs, str) or not isinstance(pairs, Sequence):
        raise InputError(f"pairs must be a sequence of pairs of texts, not {pairs!r:.80}")
    for pair in pairs:
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise InputError(f"a pair must be two texts, not {pair!r:.80}")
    found: dict[str, None] = {}
    for text in (text for pair in pairs for text in pair):
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"a text must be a str that is not empty, not {text!r:.80}")
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise InputError(f"a text must be valid Unicode, not {text!r:.80}")
        found[text] = None
    return list(found)


def signature_line(**facts: object) -> str:
    """``key:value|key:value``, the version of conjure at its end; one line, whatever a value is.

    >>> signature_line(model="a|rev:1").rpartition("|")[0]
    'model:a%7Crev:1'
    """
    return "|".join(
        f"{key}:{escape_field(value)}" for key, value in {**facts, "v": __version__}.items()
    )


def warn_caller(message: str, category: type[Warning]) -> None:
    """A warning that points at the line outside of this package which asked for what it is about.

    ``skip_file_prefixes`` does that from Python 3.12 on.
    """
    level, frame = 2, cast(FrameType | None, sys._getframe(1))
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)

"""Check how much of each text a process reads, before it measures anything.

A process may offer this check; it need not.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from .errors import InputError
from .process import GenerativeProcess
from .types import Pair

_PACKAGE = str(Path(__file__).parent.parent)


@runtime_checkable
class ReadsTexts(Protocol):
    """A process that can say how much of a text it reads. These methods are optional."""

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """{text: reason} for the texts that the process cannot read; a reason names the text."""
        ...

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings about texts that are read in part only: one of each kind."""
        ...


def unreadable(process: GenerativeProcess, texts: Sequence[str]) -> dict[str, str]:
    """{text: reason} for the texts that the process cannot read; empty if it has no such check."""
    return process.unreadable(texts) if isinstance(process, ReadsTexts) else {}


def check_texts(process: GenerativeProcess, pairs: Sequence[Pair]) -> None:
    """Raise InputError for a text that cannot be read; warn of texts that are read in part."""
    if not isinstance(process, ReadsTexts):
        return
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    for reason in process.unreadable(texts).values():
        raise InputError(reason)
    for warning in process.remarks(texts):
        tell(warning)


def tell(warning: Warning) -> None:
    """Give a warning with the location of the caller's line outside this package."""
    level, outermost = 1, 1
    frame = sys._getframe()
    while frame.f_back is not None:
        frame, level = frame.f_back, level + 1
        if frame.f_code.co_filename.startswith(_PACKAGE):
            outermost = level
    warnings.warn(warning, stacklevel=min(outermost + 1, level))

"""What a process makes of texts before it measures anything: optional, and asked in one place."""

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
    """A process that can say beforehand how much it reads of a text. None needs to."""

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which the process reads nothing → why, in a sentence that names the text."""
        ...

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """What is to be told of texts read in part: one warning of a kind, each text once."""
        ...


def unreadable(process: GenerativeProcess, texts: Sequence[str]) -> dict[str, str]:
    """The texts of which the process reads nothing → why; none where it cannot tell."""
    return process.unreadable(texts) if isinstance(process, ReadsTexts) else {}


def check_texts(process: GenerativeProcess, pairs: Sequence[Pair]) -> None:
    """Refuse texts of which the process reads nothing, and tell once of those it reads in part."""
    if not isinstance(process, ReadsTexts):
        return
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    for reason in process.unreadable(texts).values():
        raise InputError(reason)
    for warning in process.remarks(texts):
        tell(warning)


def tell(warning: Warning) -> None:
    """Warn, as from the line outside this package that led here."""
    level, outermost = 1, 1
    frame = sys._getframe()
    while frame.f_back is not None:
        frame, level = frame.f_back, level + 1
        if frame.f_code.co_filename.startswith(_PACKAGE):
            outermost = level
    warnings.warn(warning, stacklevel=min(outermost + 1, level))

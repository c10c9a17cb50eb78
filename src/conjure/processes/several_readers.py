"""How several tokenizers of one process read a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .tokens import TextReader


class SeveralReaders:
    """``core.reading.ReadsTexts`` for a process with several tokenizers, all given every text.

    A text is refused if no tokenizer reads anything of it. It is remarked on for each tokenizer
    that cuts it or does not know a part of it; tokenizers that say the same say it once.
    """

    def __init__(self, name: str, tokenizers: Mapping[str, Any]) -> None:
        """tokenizers: part of the pipeline → tokenizer, as ``TextReader`` wants it."""
        self._labels = [f"{name}, by its {part}," for part in tokenizers]
        pairs = zip(self._labels, tokenizers.values(), strict=True)
        self._readers = [TextReader(label, tokenizer) for label, tokenizer in pairs]
        self._name = name

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which no tokenizer reads anything → why."""
        found = [reader.unreadable(texts) for reader in self._readers]
        first, label = found[0], self._labels[0]
        return {
            text: first[text].replace(label, self._name, 1)
            for text in first
            if all(text in other for other in found)
        }

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are read in part, each text once for each tokenizer."""
        said: dict[str, Warning] = {}
        for label, reader in zip(self._labels, self._readers, strict=True):
            for warning in reader.remarks(texts):
                said.setdefault(str(warning).replace(label, "", 1), warning)
        return list(said.values())

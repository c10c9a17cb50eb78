"""How a process reads a text by several tokenizers, or after a change of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.errors import InputError
from ..core.text import first_line
from .tokens import TextReader


class SeveralReaders:
    """``core.reading.ReadsTexts`` for a process whose tokenizers are all given every text.

    A text is refused if no tokenizer reads anything of it. It is remarked on for each tokenizer
    that cuts it or does not know a part of it; tokenizers that say the same say it once.
    """

    def __init__(
        self,
        name: str,
        tokenizers: Mapping[str, Any],
        prepare: Callable[[str], str] = lambda text: text,
    ) -> None:
        """tokenizers: part of the pipeline → tokenizer, as ``TextReader`` wants it.

        prepare: what the pipeline does to a text before it is tokenised, such as lower-casing
        """
        several = len(tokenizers) > 1
        self._labels = [f"{name}, by its {part}," if several else name for part in tokenizers]
        pairs = zip(self._labels, tokenizers.values(), strict=True)
        self._readers = [TextReader(label, tokenizer) for label, tokenizer in pairs]
        self._name, self._prepare = name, prepare

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts of which no tokenizer reads anything → why."""
        prepared = {text: self._prepare(text) for text in texts}
        found = [reader.unreadable([*prepared.values()]) for reader in self._readers]
        return {
            text: found[0][read].replace(self._labels[0], self._name, 1)
            for text, read in prepared.items()
            if all(read in other for other in found)
        }

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        """Warnings of texts that are read in part, each text once for each tokenizer."""
        prepared = [self._prepare(text) for text in texts]
        said: dict[str, Warning] = {}
        for label, reader in zip(self._labels, self._readers, strict=True):
            for warning in reader.remarks(prepared):
                said.setdefault(str(warning).replace(label, "", 1), warning)
        return list(said.values())


def chat_limit(name: str, tokenizer: Any, tokens: int, **template: Any) -> int:
    """How many tokens a text may have, its tokenizer's own marks included, inside a chat template.

    tokens:   how many are read in all; template: arguments of the template

    Raises InputError where the tokenizer has no chat template, or where no text would fit.
    """
    try:
        around = tokenizer.apply_chat_template(
            [{"role": "user", "content": ""}],
            tokenize=False,
            add_generation_prompt=True,
            **template,
        )
    except Exception as error:
        raise InputError(
            f"{name} has no chat template that can be used: {first_line(error)}"
        ) from error
    limit = tokens - len(tokenizer(around).input_ids) + tokenizer.num_special_tokens_to_add()
    if limit <= tokenizer.num_special_tokens_to_add():
        raise InputError(f"{name} reads {tokens} tokens, and its chat template takes them all")
    return limit

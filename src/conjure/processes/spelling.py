"""Emoji in a text → their names, for a tokenizer whose configuration names them.

``emoji_names`` in a ``tokenizer_config.json`` maps each emoji, a sequence of one or more characters
without variation selectors, to its name in words. The bundled processes have it. The tokenizer
itself does not know the field, so whoever tokenises texts passes them through ``spelled`` first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import InputError
from ..core.text import brief

_FIELD = "emoji_names"
_EMOJI_STYLE = "\ufe0f"  # "show the character before as an emoji": says nothing about the meaning


def emoji_names(tokenizer: Any) -> Mapping[str, str]:
    """The names of emoji that a tokenizer's configuration holds; empty without any.

    Raises InputError if they are no mapping of emoji to names.
    """
    names = getattr(tokenizer, "init_kwargs", {}).get(_FIELD, {})
    good = isinstance(names, dict) and all(
        isinstance(name, str) and name.strip() and emoji and not emoji.isascii()
        for emoji, name in names.items()
    )
    if not good:
        raise InputError(
            f"{_FIELD} in tokenizer_config.json must map emoji to their names, not {brief(names)}"
        )
    return names


def spelled(tokenizer: Any, texts: Sequence[str]) -> list[str]:
    """The texts as a tokenizer is to read them: each emoji that it names is replaced by its name.

    Texts without one are returned unchanged.
    """
    if all(text.isascii() for text in texts):
        return [*texts]
    names = emoji_names(tokenizer)
    return [spell(text, names) for text in texts] if names else [*texts]


def spell(text: str, names: Mapping[str, str]) -> str:
    """Each emoji of ``names`` in the text → its name between spaces, the longest match first.

    Variation selectors do not matter. A sequence that has no name is read emoji by emoji.

    >>> spell("a \\N{WHITE SMILING FACE}\\ufe0f dog", {"\\N{WHITE SMILING FACE}": "smile"})
    'a  smile  dog'
    """
    bare = text.replace(_EMOJI_STYLE, "")
    longest = max(map(len, names), default=0)
    out: list[str] = []
    place, found = 0, False
    while place < len(bare):
        sizes = range(min(longest, len(bare) - place), 0, -1)
        size = next((n for n in sizes if bare[place : place + n] in names), 0)
        out.append(f" {names[bare[place : place + size]]} " if size else bare[place])
        found = found or size > 0
        place += max(size, 1)
    return "".join(out) if found else text

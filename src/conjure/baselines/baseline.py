"""The contract of a baseline: anything that gives pairs of texts a distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..core.errors import InputError
from ..core.spec import Fact, Signature, package_version

if TYPE_CHECKING:  # torch loads when a baseline is loaded
    from ..core.types import Pair

Progress = Callable[[int, int], object]  # (network rows done, network rows in all)


@runtime_checkable
class Baseline(Protocol):
    """Any object that has these attributes; it inherits from nothing.

    name:      its row: "bert-mean", "encoder=my/model:cls", "paragon"
    signature: how it measures: model, revision, pooling or settings, dtype; enough to repeat it
    """

    name: str
    signature: Signature

    def distances(self, pairs: Sequence[Pair], progress: Progress | None = None) -> list[float]:
        """The distance of each pair, in the order given: 0 for equal texts, larger = less similar.

        Raises InputError for a text that cannot be compared, and NonFiniteError if the network
        predicts NaN or infinity.
        """
        ...

    def cost(self, pairs: Sequence[Pair]) -> int:
        """The number of texts or continuations that go through the network for these pairs."""
        ...


def distinct_texts(pairs: Sequence[Pair]) -> list[str]:
    """The distinct texts of the pairs, in order of appearance. Raises InputError for a non-text."""
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


def sign(**facts: Fact) -> Signature:
    """The signature of a baseline; ``batch`` and ``device`` go into its provenance."""
    rounding: dict[str, Fact] = {}
    for name in ("batch", "device"):
        if name in facts:
            rounding[name] = facts.pop(name)
    return Signature(facts, {**rounding, "conjure": package_version("conjure")})

"""Explanations on the store: terms of pairs in shards, maps and pictures in files beside them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..core.errors import InputError, NonFiniteError
from ..core.spec import Fact, Spec, sign
from ..core.types import Observer, Pair
from ..explanation.files import FORMAT, from_bytes, to_bytes
from ..explanation.measuring import Prepared
from ..explanation.record import Explanation
from ..similarity import Measure
from .beside import EXPLANATIONS, Beside
from .terms import TermStore


class ExplanationStore:
    """What ``Prepared.run`` goes on from, in a run folder of terms.

    Pairs are units of the folder, those of words, too. The maps and pictures of two texts are one
    file, written when all their samples are measured and drawn.
    """

    def __init__(self, terms: TermStore) -> None:
        self.terms = terms

    @property
    def _files(self) -> Beside:
        """The files as they are now: explanations are few, and take long."""
        return Beside(self.terms.store.folder, EXPLANATIONS)

    def measure(self, observer: Observer | None) -> Measure:
        return partial(self.terms.measure, observer=observer)

    def missing(self, pairs: Sequence[Pair], spec: Spec) -> set[Pair]:
        lacking = self.terms.missing(pairs, range(spec.seed, spec.seed + spec.samples), spec)
        found = {pair for group in lacking.values() for pair in group}
        return {pair for pair in pairs if (min(pair), max(pair)) in found}

    def explanation(self, prepared: Prepared) -> Explanation | None:
        if self.terms.store.fresh:  # it will be removed
            return None
        data = self._files.read(_key(prepared))
        if data is None:
            return None
        try:
            return from_bytes(data, "a kept explanation")
        except InputError:  # of another version, which has another key as a rule
            return None

    def keep(self, prepared: Prepared, found: Explanation) -> None:
        self._files.write(_key(prepared), to_bytes(found))

    def failure(self) -> NonFiniteError:
        failures = self.terms.failures
        pair, why = next(iter(failures.items()))
        return NonFiniteError(f"{why} ({len(failures):,} pairs failed; the others are kept)", pair)


def _key(prepared: Prepared) -> dict[str, Fact]:
    """Everything that determines the maps and pictures of two texts."""
    text1, text2 = prepared.pairs[0]
    return {
        **sign(prepared.process, prepared.spec).key,
        "explanation": FORMAT,
        "text1": text1,
        "text2": text2,
        "shown": prepared.collector.shown,  # the sample, or None without pictures
    }

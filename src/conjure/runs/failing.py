"""Measure pairs of which some fail: each failure is reported with its reason; others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..core import divergence
from ..core.errors import NonFiniteError
from ..core.planner import places_of
from ..core.process import GenerativeProcess
from ..core.spec import Spec
from ..core.types import Observer, Pair, Terms
from .stopping import check_stop

MOST_FAILURES = 20  # one after the other: then the process is at fault, not a pair


def measure_others(
    pairs: Sequence[Pair],
    begin: Callable[[list[Pair]], Iterator[tuple[int, Terms]]],
    fail: Callable[[Pair, int | None, str], object],
) -> Iterator[tuple[Pair, Terms]]:
    """Yield (pair, terms) as pairs are finished.

    pairs: each once
    begin: measures a list of pairs, as ``divergence.measure`` does; begun anew after a failure
    fail:  given a pair that fails, the seed where it is known, and the reason

    Raises NonFiniteError if very many fail one after the other, and ``Stopped``.
    """
    left, in_a_row = dict.fromkeys(pairs), 0
    while left:
        group = list(left)
        try:
            for n, terms in begin(group):
                del left[group[n]]
                in_a_row = 0
                yield group[n], terms
                check_stop()
        except NonFiniteError as error:
            if not (failing := _failing(error, left)):
                raise
            for pair in failing:
                del left[pair]
                fail(pair, error.seed, str(error))
            in_a_row += 1
            if in_a_row >= MOST_FAILURES:
                raise
            check_stop()


def leaving_out(failures: dict[Pair, str]) -> Callable[..., Iterator[tuple[int, Terms]]]:
    """``divergence.measure`` that leaves out pairs that fail. failures: filled: pair → reason."""

    def measure(
        process: GenerativeProcess,
        pairs: Sequence[Pair],
        seeds: Sequence[int],
        spec: Spec = Spec(),  # noqa: B008  (frozen)
        max_memory: int | None = None,
        observer: Observer | None = None,
    ) -> Iterator[tuple[int, Terms]]:
        places = places_of(pairs)
        equal = [place for place, (a, b) in enumerate(pairs) if a == b]
        for n, terms in divergence.measure(process, [pairs[n] for n in equal], seeds, spec):
            yield equal[n], terms

        def begin(group: list[Pair]) -> Iterator[tuple[int, Terms]]:
            return divergence.measure(process, group, seeds, spec, max_memory, observer)

        def fail(pair: Pair, seed: int | None, why: str) -> None:
            failures[pair] = why

        for pair, terms in measure_others([*places], begin, fail):
            for place, swapped in places[pair]:
                yield place, terms.swapped() if swapped else terms

    return measure


def _failing(error: NonFiniteError, pairs: Mapping[Pair, Any]) -> list[Pair]:
    """The pairs that an error concerns: one, or all with a text whose trajectory failed."""
    prompts = error.prompts
    if len(prompts) == 2:
        return [pair for pair in (prompts, prompts[::-1]) if pair in pairs][:1]
    return [pair for pair in pairs if prompts and prompts[0] in pair]

"""Many texts in, a ``Matrix`` out: all pairs in one stream; two numbers a pair are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from ..core.errors import InputError
from ..core.process import GenerativeProcess
from ..core.spec import Signature, Spec, sign
from ..core.types import Pair
from ..core.uncertainty import Estimate, estimate
from ..runs.journal import Journal
from ..runs.scorers import distance_of
from ..similarity import bundled, stream
from .record import Matrix, checked_classes, checked_texts

Progress = Callable[[int, int], object]
Both = tuple[Estimate, Estimate]  # d(a, b) and d(b, a)


def matrix(
    texts: Sequence[str],
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    seed: int = 0,
    estimand: str = "jeffreys",
    cross_steps: int | None = None,
    classes: Sequence[str] | None = None,
    progress: Progress | None = None,
    max_memory: int | None = None,
) -> Matrix:
    """The distance of any two of n texts. Each text is walked once, and all pairs share batches.

    texts:      two or more, all different
    classes:    a class for each text, for the test and the figures
    progress:   called with (pairs done, pairs in all) after each pair
    max_memory: as in ``conjure.distances``: bytes for the trajectories

    n texts have n(n − 1)/2 pairs, which the cost grows with. Both directions of a directed estimand
    come from the same terms, at no further cost. Two numbers are kept of a direction of a pair: the
    value and its standard error.

    The other arguments and the errors are those of ``conjure.distance``.

    >>> import torch
    >>> from conjure.core.gaussian import GaussianProcess
    >>> eye = torch.eye(2)
    >>> process = GaussianProcess({text: (n * eye[0], eye) for n, text in enumerate("abc")})
    >>> found = matrix(["a", "b", "c"], process=process)
    >>> found.values.shape, [near.text for near in found.nearest(2)["a"]]
    ((3, 3), ['b', 'c'])
    """
    spec = Spec(samples, seed, estimand, cross_steps)
    return measure_matrix(
        texts, process, spec, classes=classes, progress=progress, max_memory=max_memory
    )


def measure_matrix(
    texts: Sequence[str],
    process: GenerativeProcess | None,
    spec: Spec,
    *,
    classes: Sequence[str] | None = None,
    progress: Progress | None = None,
    max_memory: int | None = None,
    kept: KeptPairs | None = None,
) -> Matrix:
    """``matrix`` by a ``Spec``. kept: where finished pairs are looked up, and kept as they finish.

    Raises InputError for a spec with a tolerance, which gives pairs unlike numbers of samples.
    """
    texts, classes = checked_texts(texts), checked_classes(classes, len(texts))
    if spec.adaptive:
        raise InputError("a matrix has one number of samples for all pairs: leave tolerance out")
    process = bundled() if process is None else process
    n, place = len(texts), {text: n for n, text in enumerate(texts)}
    values, errors = np.zeros((n, n)), np.zeros((n, n))
    total = n * (n - 1) // 2
    for done, ((a, b), (there, back)) in enumerate(
        _measured(texts, process, spec, max_memory, kept), start=1
    ):
        i, j = place[a], place[b]
        values[i, j], values[j, i] = there.value, back.value
        errors[i, j], errors[j, i] = there.standard_error or 0.0, back.standard_error or 0.0
        if progress is not None:
            progress(done, total)
    return Matrix(
        texts,
        values,
        errors if spec.samples > 1 else None,
        classes,
        spec.estimand,
        spec.samples,
        sign(process, spec),
    )


def _measured(
    texts: Sequence[str],
    process: GenerativeProcess,
    spec: Spec,
    max_memory: int | None,
    kept: KeptPairs | None,
) -> Iterator[tuple[Pair, Both]]:
    """Each pair once: those that were kept, then the others as they finish."""
    if kept is not None:
        yield from (
            (pair, kept.pairs[pair]) for pair in combinations(texts, 2) if pair in kept.pairs
        )
    missing = missing_pairs(texts, kept)
    for place, found in stream(missing, process, spec, max_memory=max_memory):
        both = estimate(spec.entry(found.terms)), estimate(spec.entry(found.terms.swapped()))
        if kept is not None:
            kept.add(missing[place], both)
        yield missing[place], both


def missing_pairs(texts: Sequence[str], kept: KeptPairs | None) -> list[Pair]:
    """The pairs that are still to be measured, row by row."""
    known = {} if kept is None else kept.pairs
    return [pair for pair in combinations(texts, 2) if pair not in known]


class KeptPairs:
    """Finished pairs of one key in a folder, so that a stopped matrix goes on; a context manager.

    The file is found by the signature's key. A pair is found by its texts, so more texts reuse what
    is there.
    """

    def __init__(self, folder: Path, signature: Signature) -> None:
        self._journal = Journal(folder, signature)
        self.pairs: dict[Pair, Both] = {}
        try:
            for record in self._journal.records:
                a, b = record["texts"]
                there, back = map(_read, (record["there"], record["back"]))
                self.pairs |= {(a, b): (there, back), (b, a): (back, there)}
        except (ValueError, LookupError, TypeError) as error:
            raise self._journal.refusal() from error
        self._journal.records.clear()

    def __enter__(self) -> KeptPairs:
        return self

    def __exit__(self, *error: object) -> None:
        self._journal.close()

    def add(self, pair: Pair, both: Both) -> None:
        """Keep a finished pair: on disk when this returns."""
        there, back = ([one.value, one.standard_error] for one in both)
        self._journal.add({"texts": pair, "there": there, "back": back})


def _read(numbers: Sequence[float | None]) -> Estimate:
    value, error = numbers
    return Estimate(distance_of(value), None if error is None else distance_of(error), None)

"""Many texts in, a ``Matrix`` out: all pairs in one stream; two numbers a pair are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ..core import divergence
from ..core.errors import InputError, NonFiniteError
from ..core.process import GenerativeProcess
from ..core.spec import Spec, sign
from ..core.types import Pair
from ..core.uncertainty import Estimate, estimate
from ..runs.parts import PartFinished
from ..similarity import bundled, stream
from .record import Matrix, checked_classes, checked_texts

if TYPE_CHECKING:
    from ..runs.terms import TermStore

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
    kept: TermStore | None = None,
) -> Matrix:
    """``matrix`` by a ``Spec``. kept: where finished terms are looked up, and kept as they finish.

    Raises InputError for a spec with a tolerance, which gives pairs unlike numbers of samples, and
    PartFinished if other parts of the work are not finished.
    """
    texts, classes = checked_texts(texts), checked_classes(classes, len(texts))
    if spec.adaptive:
        raise InputError("a matrix has one number of samples for all pairs: leave tolerance out")
    process = bundled() if process is None else process
    n, place = len(texts), {text: n for n, text in enumerate(texts)}
    values, errors = np.zeros((n, n)), np.zeros((n, n))
    done, total = 0, n * (n - 1) // 2
    for (a, b), (there, back) in _measured(texts, process, spec, max_memory, kept):
        done += 1
        i, j = place[a], place[b]
        values[i, j], values[j, i] = there.value, back.value
        errors[i, j], errors[j, i] = there.standard_error or 0.0, back.standard_error or 0.0
        if progress is not None:
            progress(done, total)
    if done < total and kept is not None and kept.part is not None:
        raise PartFinished(kept.part)
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
    kept: TermStore | None,
) -> Iterator[tuple[Pair, Both]]:
    """Each pair once: those that are kept, then the others as they finish."""
    pairs = list(combinations(texts, 2))
    how = divergence.measure if kept is None else kept.measure
    for place, found in stream(pairs, process, spec, max_memory=max_memory, measure=how):
        yield (
            pairs[place],
            (estimate(spec.entry(found.terms)), estimate(spec.entry(found.terms.swapped()))),
        )
    if kept is not None and kept.failures:  # a matrix has no holes
        why = next(iter(kept.failures.values()))
        raise NonFiniteError(f"{why} ({len(kept.failures):,} pairs failed; the others are kept)")

"""``Matrix``: the distance of any two of n texts, in plain NumPy, and what can be read off it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError
from ..core.spec import Signature
from ..core.text import brief, number_of
from ..stats.arrangement import Clusters, Scaling, cluster, scale
from ..stats.resampling import Array
from ..stats.separation import Separation, separation

if TYPE_CHECKING:
    import os

    import pandas
    from matplotlib.axes import Axes

NOT_A_METRIC = (
    "A divergence is no metric: the map shows √d as well as so many dimensions can, and the stress"
    " says how well."
)


@dataclass(frozen=True)
class Neighbour:
    """A text, its place in the matrix, and its distance with the standard error."""

    text: str
    place: int
    value: float
    standard_error: float | None


@dataclass(frozen=True, eq=False)
class Matrix:
    """The distance of any two of n different texts in one process.

    texts:           the n texts, in the order given
    values:          (n, n) float64; ``values[i, j]`` is d(texts[i], texts[j]), a mean over the
                     samples, at least 0. The diagonal is exactly 0. Symmetric, unless the estimand
                     is directed (``kl``)
    standard_errors: (n, n) float64, of these means; None for one sample
    classes:         the class of each text, or None
    estimand:        the estimand's name
    samples:         k, the samples of each pair
    signature:       how it was measured; ``str(signature)`` is one line

    Clusters, map and test need one number a pair. For a directed estimand they read the mean of
    both directions, ``symmetric_values``.

    Raises InputError where shapes, texts and numbers do not go together.
    """

    texts: tuple[str, ...]
    values: Array
    standard_errors: Array | None
    classes: tuple[str, ...] | None
    estimand: str
    samples: int
    signature: Signature = field(repr=False)

    def __post_init__(self) -> None:
        n = len(self.texts)
        if n < 2 or len({*self.texts}) < n:
            raise InputError("a matrix needs two different texts or more, each once")
        for name, array in (("values", self.values), ("standard_errors", self.standard_errors)):
            if array is None:
                continue
            if array.shape != (n, n):
                raise InputError(f"{name} must be ({n}, {n}) for {n} texts, not {array.shape}")
            if not (np.isfinite(array).all() and (array >= 0).all()):
                raise InputError(f"{name} must be finite and at least 0")
        if self.values.diagonal().any():
            raise InputError("the distance of a text to itself must be 0")
        if self.classes is not None and len(self.classes) != n:
            raise InputError(f"{len(self.classes)} classes for {n} texts: give one for each text")

    @classmethod
    def of_samples(
        cls,
        texts: Sequence[str],
        samples: Array,
        estimand: str,
        signature: Signature,
        classes: Sequence[str] | None = None,
    ) -> Matrix:
        """The matrix of (k, n, n) distances, one (n, n) matrix a sample."""
        k = len(samples)
        errors = samples.std(axis=0, ddof=1) / np.sqrt(k) if k > 1 else None
        labels = None if classes is None else tuple(classes)
        mean = samples.mean(axis=0)
        return cls(tuple(texts), mean, errors, labels, estimand, k, signature)

    def __repr__(self) -> str:
        k = number_of(self.samples, "sample")
        return f"Matrix({len(self)} texts, {self.estimand}, {k}, {self.signature})"

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def is_symmetric(self) -> bool:
        """Whether d(a, b) = d(b, a) for all texts, to the last bit."""
        return bool(np.array_equal(self.values, self.values.T))

    @cached_property
    def symmetric_values(self) -> Array:
        """(n, n) the mean of both directions; ``values`` itself where it is symmetric."""
        return self.values if self.is_symmetric else (self.values + self.values.T) / 2

    def cluster(self) -> Clusters:
        """Hierarchical clustering with average linkage and optimal leaf order (SciPy)."""
        return cluster(self.symmetric_values)

    def mds(self, dimensions: int = 2) -> Scaling:
        """A map of the texts: classical scaling of √d, with its stress.

        An estimand sums squared differences, so √d plays the part of a distance. A divergence is
        no metric: the result says which share of the spectrum is ``negative``, which no map can
        show. Raises InputError if all distances are 0.
        """
        return scale(self.symmetric_values, dimensions)

    def nearest(self, n: int = 5) -> dict[str, list[Neighbour]]:
        """The n nearest other texts of each text, nearest first: {text: neighbours}.

        With a directed estimand it is the distance *from* the text, d(text, other). Equal distances
        stay in the order of the texts.
        """
        found = {}
        for i, text in enumerate(self.texts):
            order = [j for j in np.argsort(self.values[i], kind="stable") if j != i][:n]
            found[text] = [self._neighbour(i, int(j)) for j in order]
        return found

    def _neighbour(self, i: int, j: int) -> Neighbour:
        error = None if self.standard_errors is None else float(self.standard_errors[i, j])
        return Neighbour(self.texts[j], j, float(self.values[i, j]), error)

    def between_within(
        self,
        *,
        permutations: int = 9999,
        seed: int = 0,
        classes: Sequence[str] | None = None,
    ) -> Separation:
        """Are texts of one class nearer to each other than to other classes? A permutation test.

        p = (1 + #)/(1 + N), one-sided: # of N other divisions of the texts into classes of these
        sizes have a gap between − within that is at least as large.

        permutations: N, at most. If there are no more other divisions, all are tried: the test is
                      exact. Otherwise N are drawn with ``seed``
        classes:      the class of each text; by default those of the matrix

        Raises InputError without classes, and where there is nothing to compare.
        """
        labels = self.classes if classes is None else tuple(classes)
        if labels is None:
            raise InputError("the matrix has no classes: give a class for each text")
        if len(labels) != len(self):
            raise InputError(f"{len(labels)} classes for {len(self)} texts: give one for each text")
        return separation(self.symmetric_values, labels, permutations=permutations, seed=seed)

    def to_pandas(self) -> pandas.DataFrame:
        """``values`` as a DataFrame, with the texts as its index and columns."""
        try:
            import pandas
        except ImportError as error:
            raise InputError("a DataFrame needs pandas: pip install pandas") from error
        return pandas.DataFrame(self.values, index=self.texts, columns=self.texts)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the matrix as CSV, TSV, JSON lines, Parquet or NumPy (.npz); ``load`` reads it.

        Tables have a row a pair. All but Parquet and NumPy keep texts, classes and signature in a
        second file beside them: ``words.csv`` comes with ``words.csv.json``.
        """
        from .files import save

        save(self, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Matrix:
        """What ``save`` wrote, to the last bit. Raises InputError for anything else."""
        from .files import load

        return load(Path(path))

    def plot(self, ax: Axes | None = None, *, kind: str = "heatmap") -> Axes:
        """Draw the matrix; returns the axes, whose ``figure`` can be saved.

        ax:   axes of your own; None makes a new figure, in which a heat map has its dendrogram
        kind: "heatmap", ordered by clustering, or "map", the two dimensions of ``mds``
        """
        from .display import plot

        return plot(self, ax, kind)

    def _repr_png_(self) -> bytes | None:
        from .display import png

        return png(self)

    def _repr_html_(self) -> str:
        from .display import html

        return html(self)


def checked_texts(texts: Sequence[str]) -> tuple[str, ...]:
    """Raise InputError unless these are two texts or more, all different."""
    from ..decoding import checked_texts as checked

    found = checked(texts)
    if len(found) < 2:
        raise InputError("a matrix compares texts with each other: give two or more")
    seen: dict[str, int] = {}
    for place, text in enumerate(found, start=1):
        if text in seen:
            raise InputError(
                f"text {place} is text {seen[text]} again: {brief(text)}; leave it out"
            )
        seen[text] = place
    return tuple(found)


def checked_classes(classes: Sequence[str] | None, count: int) -> tuple[str, ...] | None:
    """Raise InputError unless there is a class for each of ``count`` texts."""
    if classes is None:
        return None
    if isinstance(classes, str) or not isinstance(classes, Sequence):
        raise InputError(f"classes must be a list of names, not {brief(classes)}")
    for place, name in enumerate(classes, start=1):
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"the class of text {place} must be a name, not {brief(name)}")
    if len(classes) != count:
        raise InputError(f"{len(classes):,} classes for {count:,} texts: give one for each text")
    return tuple(classes)

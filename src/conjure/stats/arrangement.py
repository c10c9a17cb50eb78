"""A matrix of distances → an order of its texts, and a map of them.

SciPy clusters. The map is classical scaling (Torgerson 1952) of the square roots of the distances.
An estimand of this package sums *squared* differences, so its square root plays the part of a
distance between points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import InputError
from .resampling import Array


@dataclass(frozen=True)
class Clusters:
    """Hierarchical clustering with average linkage.

    linkage: (n − 1, 4), SciPy's linkage matrix: two clusters, their mean distance, their size
    order:   (n,) places of the texts, so that neighbours are alike (optimal leaf order)
    fit:     the cophenetic correlation: how well the tree's heights repeat the distances, at most
             1; NaN where all distances are equal
    """

    linkage: Array
    order: NDArray[np.int64]
    fit: float

    def labels(self, count: int) -> NDArray[np.int64]:
        """(n,) the cluster of each text, from 1 on, where the tree is cut into ``count``."""
        from scipy.cluster.hierarchy import fcluster

        return np.asarray(fcluster(self.linkage, count, criterion="maxclust"), dtype=np.int64)


@dataclass(frozen=True)
class Scaling:
    """A map of texts by classical multidimensional scaling.

    points:   (n, dimensions); the distance of two points stands for √d of their texts
    stress:   Kruskal's stress-1, √(Σ(√d − d̂)² / Σ d) over pairs, where d̂ is between points; 0 is
              a perfect map
    negative: Σ|λ| of the negative eigenvalues / Σ|λ| of all. 0 where the √d are distances of points
              in some Euclidean space. A divergence is no metric, so it need not be 0
    shown:    the share of the positive eigenvalues that the map's dimensions hold
    """

    points: Array
    stress: float
    negative: float
    shown: float


def cluster(matrix: Array) -> Clusters:
    """Cluster the texts of a symmetric (n, n) matrix of distances."""
    from scipy.cluster.hierarchy import cophenet, leaves_list, linkage
    from scipy.spatial.distance import squareform

    near = squareform(matrix, checks=False)
    tree = linkage(near, method="average", optimal_ordering=True)
    heights = cophenet(tree)
    with np.errstate(invalid="ignore", divide="ignore"):
        constant = len(near) < 2 or not near.std() or not heights.std()
        fit = np.nan if constant else float(np.corrcoef(heights, near)[0, 1])
    return Clusters(tree, np.asarray(leaves_list(tree), dtype=np.int64), float(fit))


def scale(matrix: Array, dimensions: int = 2) -> Scaling:
    """Classical scaling of the square roots of a symmetric (n, n) matrix of distances.

    Axes go from the largest spread to the smallest. The sign of an axis means nothing: it is chosen
    so that the point farthest along it is at its positive end. Raises InputError if all distances
    are 0.
    """
    n = len(matrix)
    if not matrix.any():
        raise InputError("all distances are 0, so there is nothing to map")
    centring = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centring @ matrix @ centring)
    values, vectors = values[::-1], vectors[:, ::-1]
    positive = values.clip(min=0)
    points = np.zeros((n, dimensions))
    used = min(dimensions, n)
    points[:, :used] = vectors[:, :used] * np.sqrt(positive[:used])
    farthest = np.argmax(abs(points).round(12), axis=0)
    points *= np.where(points[farthest, range(dimensions)] < 0, -1.0, 1.0)
    above = np.triu_indices(n, 1)
    apart = np.linalg.norm(points[above[0]] - points[above[1]], axis=1)
    stress = np.sqrt(((np.sqrt(matrix[above]) - apart) ** 2).sum() / matrix[above].sum())
    negative = abs(values.clip(max=0)).sum() / abs(values).sum()
    shown = positive[:dimensions].sum() / positive.sum()
    return Scaling(points, float(stress), float(negative), float(shown))

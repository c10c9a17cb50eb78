"""Clusters and maps: against points in the plane, whose map is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from conjure.core.errors import InputError
from conjure.stats.arrangement import cluster, scale


def squared(points: np.ndarray) -> np.ndarray:
    return squareform(pdist(points)) ** 2


def test_points_in_the_plane_are_found_again() -> None:
    points = np.random.default_rng(0).normal(size=(9, 2)) * [3, 1]
    found = scale(squared(points))
    assert squareform(pdist(found.points)) == pytest.approx(squareform(pdist(points)))
    assert found.stress == pytest.approx(0, abs=1e-12)
    assert found.negative == pytest.approx(0, abs=1e-12)
    assert found.shown == pytest.approx(1)
    farthest = abs(found.points).argmax(axis=0)
    assert (found.points[farthest, range(2)] > 0).all()


def test_three_dimensions_on_a_plane_have_stress() -> None:
    points = np.random.default_rng(1).normal(size=(12, 3))
    matrix = squared(points)
    found = scale(matrix)
    apart = pdist(found.points)
    stress = np.sqrt(((pdist(points) - apart) ** 2).sum() / (pdist(points) ** 2).sum())
    assert found.stress == pytest.approx(stress)
    assert found.stress > 0.03
    assert found.negative == pytest.approx(0, abs=1e-12)
    assert scale(matrix, 3).stress == pytest.approx(0, abs=1e-7)


def test_what_is_no_distance_of_points_shows_in_the_spectrum() -> None:
    matrix = np.array([[0, 1, 100], [1, 0, 1], [100, 1, 0]], dtype=float)  # 10 > 1 + 1
    centring = np.eye(3) - 1 / 3
    values = np.linalg.eigvalsh(-0.5 * centring @ matrix @ centring)
    expected = -values[values < 0].sum() / abs(values).sum()
    assert scale(matrix).negative == pytest.approx(expected)
    assert expected > 0.2


def test_a_matrix_of_zeros_has_no_map() -> None:
    with pytest.raises(InputError, match="nothing to map"):
        scale(np.zeros((3, 3)))


def test_more_dimensions_than_texts_are_zero() -> None:
    assert scale(squared(np.array([[0.0], [1.0]])), 4).points[:, 1:] == pytest.approx(0, abs=1e-9)


def test_clusters_that_are_there_are_found() -> None:
    centres = np.repeat([[0, 0], [10, 0], [0, 30]], 4, axis=0)
    points = centres + np.random.default_rng(2).normal(size=(12, 2)) * 0.3
    places = np.random.default_rng(3).permutation(12)
    found = cluster(squared(points[places]))
    assert found.linkage.shape == (11, 4)
    labels = found.labels(3)
    for group in range(3):
        assert len({labels[n] for n in range(12) if places[n] // 4 == group}) == 1
    groups = [int(places[n]) // 4 for n in found.order]
    assert sum(a != b for a, b in zip(groups, groups[1:], strict=False)) == 2  # side by side
    assert found.fit > 0.9
    # average linkage: the last height is the mean of all distances between the two clusters
    top = found.labels(2)
    matrix = squared(points[places])
    assert found.linkage[-1, 2] == pytest.approx(matrix[np.ix_(top == 1, top == 2)].mean())

"""Figure 2: the matrix is that of the library's distances, the permutation test is exact."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from conjure import similarity
from conjure.paper.words import GROUPS, word_matrices
from conjure.runs.passes import Passes
from conjure.stats.separation import separation

LABELS = ["one"] * 4 + ["two"] * 4


def toy(between: float, noise: float = 0.0) -> np.ndarray:
    """Distance 1 within either class of four, ``between`` across, and noise."""
    same = np.kron(np.eye(2), np.ones((4, 4)))
    wiggle = np.random.default_rng(0).random((8, 8)) * noise
    return (1 - np.eye(8)) * np.where(same == 1, 1.0, between) + wiggle + wiggle.T


def test_the_words_are_the_papers() -> None:
    assert [len(group.words) for group in GROUPS] == [8, 8]
    assert GROUPS[0].words[3:5] == ("pug", "whale")
    assert GROUPS[0].labels == ("dogs",) * 4 + ("sea animals",) * 4
    assert [*GROUPS[1].classes] == ["rising", "sorrow"]


def test_the_matrices_are_the_distances_of_the_library(gaussians, tmp_path) -> None:
    words = ["a", "c", "b", "h"]
    with Passes(tmp_path, seed=2) as passes:
        found = word_matrices(passes, gaussians(guidance=2.0), words, 3)
    assert found.shape == (3, 4, 4)
    assert np.array_equal(found, found.transpose(0, 2, 1))
    assert not found[:, range(4), range(4)].any()
    for i, j in itertools.combinations(range(4), 2):
        alone = similarity.distance(
            words[i], words[j], process=gaussians(guidance=2.0), samples=3, seed=2
        )
        assert found[:, i, j].mean() == pytest.approx(alone.value, rel=1e-9)


def test_classes_far_apart_give_the_smallest_p_value_there_is() -> None:
    found = separation(toy(5.0, noise=0.1), LABELS)
    assert found.divisions == 35  # C(8, 4) / 2: which class is called which does not matter
    assert found.p_value == found.min_p == pytest.approx(1 / 35)
    assert found.between > 4.9 > 1.2 > found.within


def test_classes_that_are_not_there_give_no_small_p_value() -> None:
    assert separation(toy(1.0), LABELS).p_value == 1  # every division alike, ties included
    assert separation(toy(0.2, noise=0.1), LABELS).p_value == 1  # nearer across than within


def test_the_p_value_is_that_of_all_70_relabellings_written_out() -> None:
    draw = np.random.default_rng(1)
    for _ in range(5):
        matrix = toy(1.1, noise=0.0) + draw.random((8, 8)) * (1 - np.eye(8))
        matrix = (matrix + matrix.T) / 2
        apart = []
        for chosen in itertools.combinations(range(8), 4):
            label = [i in chosen for i in range(8)]
            inside = [matrix[i, j] for i in range(8) for j in range(i) if label[i] == label[j]]
            across = [matrix[i, j] for i in range(8) for j in range(i) if label[i] != label[j]]
            apart.append(np.mean(across) - np.mean(inside))
        expected = np.mean(np.array(apart) >= apart[0] - 1e-12)  # (0, 1, 2, 3) comes first
        found = separation(matrix, LABELS)
        assert found.p_value == pytest.approx(expected)
        assert found.between - found.within == pytest.approx(apart[0])


def test_classes_of_other_sizes_are_divided_into_those_sizes() -> None:
    matrix = toy(5.0)[:6, :6]
    assert separation(matrix, LABELS[:6]).divisions == 15  # C(6, 2)

"""The permutation test: against every relabelling written out, and a naive loop."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from conjure.core.errors import InputError
from conjure.stats.separation import count_divisions, divisions, separation


def matrix_of(n: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).random((n, n))
    return np.triu(found, 1) + np.triu(found, 1).T


def gap(matrix: np.ndarray, labels: tuple[str, ...]) -> float:
    """Mean across less mean within, pair by pair."""
    inside, across = [], []
    for i, j in itertools.combinations(range(len(labels)), 2):
        (inside if labels[i] == labels[j] else across).append(matrix[i, j])
    return float(np.mean(across) - np.mean(inside))


@pytest.mark.parametrize("sizes", [(4, 4), (2, 2, 2), (1, 2, 3), (1, 1, 2, 2), (2, 4)])
def test_each_division_comes_once(sizes) -> None:
    found = list(divisions(sizes))
    sets = {
        frozenset(
            frozenset(n for n, one in enumerate(division) if one == name) for name in {*division}
        )
        for division in found
    }
    labels = [n for n, size in enumerate(sizes) for _ in range(size)]
    every = {
        frozenset(frozenset(n for n, one in enumerate(order) if one == name) for name in {*order})
        for order in itertools.permutations(labels)
    }
    assert sets == every
    assert len(found) == len(sets) == count_divisions(sizes)


@pytest.mark.parametrize("labels", ["aabbcc", "abbccc", "aaabbb", "aabbbb"])
def test_the_exact_p_value_is_that_of_all_relabellings(labels) -> None:
    for seed in range(4):
        matrix = matrix_of(6, seed)
        observed = gap(matrix, tuple(labels))
        every = [gap(matrix, order) for order in itertools.permutations(labels)]
        found = separation(matrix, list(labels))
        assert found.exact
        assert found.between - found.within == pytest.approx(observed)
        assert found.p_value == pytest.approx(np.mean(np.array(every) >= observed - 1e-12))
        assert found.min_p == 1 / found.divisions


def test_a_drawn_p_value_is_one_plus_the_count_over_one_plus_n() -> None:
    labels = ["a"] * 8 + ["b"] * 7 + ["c"] * 5
    matrix = matrix_of(20, 1)
    found = separation(matrix, labels, permutations=200, seed=3)
    assert not found.exact
    generator, names = np.random.default_rng(3), np.array([0] * 8 + [1] * 7 + [2] * 5)
    every = [gap(matrix, tuple(generator.permutation(names))) for _ in range(200)]
    observed = gap(matrix, tuple(labels))
    assert found.p_value == (1 + sum(one >= observed for one in every)) / 201
    assert (found.divisions, found.min_p) == (201, 1 / 201)
    assert found == separation(matrix, labels, permutations=200, seed=3)


def test_classes_that_are_not_there_give_even_p_values() -> None:
    labels = ["a"] * 6 + ["b"] * 6
    found = [
        separation(matrix_of(12, seed), labels, permutations=99).p_value for seed in range(200)
    ]
    assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.1
    assert 0.4 <= np.mean(np.array(found) <= 0.5) <= 0.6


@pytest.mark.parametrize(
    ("labels", "says"), [("aaaa", "one class"), ("abcd", "no class has two texts")]
)
def test_nothing_to_compare_is_refused(labels, says) -> None:
    with pytest.raises(InputError, match=says):
        separation(matrix_of(4, 0), list(labels))


def test_count_divisions_of_the_figure() -> None:
    assert count_divisions([*Counter("aaaabbbb").values()]) == 35

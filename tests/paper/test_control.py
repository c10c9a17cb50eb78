"""The control: pictures of a real sampler that know nothing of the texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import conjure
from conjure.core.errors import InputError
from conjure.core.gaussian import GaussianProcess
from conjure.paper import control
from conjure.paper.control import control_distances, pool_distances
from conjure.stats.correlation import chance


def scores_of(count: int) -> np.ndarray:
    """Human scores as they come: many ties, a fifth of them the highest."""
    draw = np.random.default_rng(0)
    return np.where(draw.random(count) < 0.2, 5.0, np.round(draw.uniform(0, 4, count), 1))


def test_the_mean_over_draws_is_near_zero_and_their_spread_is_chances(gaussians, tmp_path):
    """Spearman's coefficient of n unrelated pairs has a standard deviation of 1/√(n − 1)."""
    scores = scores_of(900)
    spearman, _, _ = chance(scores, control_distances(gaussians(), "a set", 900, 0, tmp_path))
    assert len(spearman) == control.DRAWS == 100
    error = 1 / np.sqrt(899)
    assert abs(spearman.mean()) < 3 * error / np.sqrt(100)
    assert spearman.std(ddof=1) == pytest.approx(error, rel=0.25)


def test_draws_seeds_and_sets_are_drawn_independently_and_repeat(gaussians, tmp_path):
    process = gaussians()
    one = control_distances(process, "one", 2000, 0, tmp_path)
    others = (
        control_distances(process, "other", 2000, 0, tmp_path),
        control_distances(process, "one", 2000, 1, tmp_path),
    )
    assert one.shape == (100, 2000)
    assert np.ptp(one) > 0
    assert np.array_equal(one, control_distances(process, "one", 2000, 0, tmp_path))
    apart = np.corrcoef(np.concatenate([each[:3] for each in (one, *others)]))
    assert np.abs(apart[np.triu_indices(9, 1)]).max() < 0.1


def test_pictures_are_the_processs_own_of_the_empty_prompt(tmp_path):
    """Squared distances between draws of a Gaussian are twice the covariance's trace on average."""
    covariance = torch.diag(torch.tensor([1.0, 4.0, 9.0]))
    mean = torch.tensor([50.0, 0.0, 0.0])
    process = GaussianProcess({"": (mean, covariance)}, steps=400)
    apart = pool_distances(process, tmp_path)
    assert apart.shape == (control.POOL, control.POOL)
    assert np.array_equal(apart, apart.T)
    between = apart[~np.eye(control.POOL, dtype=bool)]
    assert between.mean() == pytest.approx(2 * float(covariance.trace()), rel=0.15)


def test_the_pool_is_walked_once(gaussians, tmp_path):
    process = gaussians(guidance=2.0)
    control_distances(process, "a set", 5, 0, tmp_path)
    spent = process.rows
    assert 0 < spent <= 2 * control.POOL * len(process.schedule)
    control_distances(process, "another", 9, 7, tmp_path)
    assert process.rows == spent


def test_a_process_without_an_empty_prompt_is_refused(tmp_path):
    process = GaussianProcess({"a": (torch.zeros(2), torch.eye(2))})
    with pytest.raises(InputError, match="no Gaussian is named ''"):
        control_distances(process, "a set", 5, 0, tmp_path)


def test_on_human_scores_the_control_of_the_bundled_process_agrees_with_nobody(data_dir, tmp_path):
    from conjure.datasets.read import read_dataset, subsample

    process = conjure.load(steps=1)
    for name in ("stsb", "sickr"):
        data = subsample(read_dataset(name, data_dir), 500)
        drawn = control_distances(process, name, 500, 0, tmp_path)
        spearman, _, _ = chance(np.array(data.scores), drawn)
        assert abs(spearman.mean()) < 3 / np.sqrt(499 * control.DRAWS)

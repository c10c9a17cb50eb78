"""The bootstrap: ranks against scipy on resamples written out, coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from conjure.benchmarks import resampling
from conjure.benchmarks.resampling import Sorted, averaged, bootstrap, draws, spearman


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), min_size=1))
def test_ranks_and_coefficient_of_a_resample_are_scipys(rows) -> None:
    x, y, counts = (np.array(column) for column in zip(*rows, strict=True))
    if counts.sum() == 0:
        counts[0] = 1
    drawn_x, drawn_y = np.repeat(x, counts), np.repeat(y, counts)
    ranks_x = Sorted.of(x).ranks(counts[None])
    ranks_y = Sorted.of(y).ranks(counts[None])
    written_out = rankdata(drawn_x) - (len(drawn_x) + 1) / 2
    assert np.repeat(ranks_x[0], counts) == pytest.approx(written_out, abs=1e-12)
    [found] = spearman(counts[None], ranks_x, ranks_y)
    if np.ptp(drawn_x) == 0 or np.ptp(drawn_y) == 0:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(drawn_x, drawn_y).statistic, abs=1e-9)


@pytest.mark.parametrize("seeds", [[1], [3], [2, 5], [5, 1], [4, 4]])
def test_a_resample_draws_as_many_as_there_are(seeds: list[int]) -> None:
    pairs, taken = 0, {k: np.zeros(k) for k in seeds}
    for drawn in draws(20, seeds, 3000):
        assert (drawn.pairs.sum(axis=1) == 20).all()
        assert len(drawn.pairs) <= resampling.CHUNK
        assert {k: counts.sum() for k, counts in drawn.seeds.items()} == {k: k for k in seeds}
        pairs += len(drawn.pairs)
        for k, counts in drawn.seeds.items():
            taken[k] += counts * len(drawn.pairs)
    assert pairs == 3000
    for total in taken.values():  # each seed as often as any other
        assert total == pytest.approx(np.full(len(total), 3000), rel=0.08)


def test_draws_of_pairs_and_seeds_are_independent_and_multinomial() -> None:
    rows = [
        (counts[0], drawn.seeds[2][0], drawn.seeds[3][0])
        for drawn in draws(4, [2, 3], 8000)
        for counts in drawn.pairs
    ]
    first, of_two, of_three = np.array(rows, dtype=float).T
    # how often one of n is drawn in n draws: variance 1 − 1/n
    for column, n in ((first, 4), (of_two, 2), (of_three, 3)):
        assert column.mean() == pytest.approx(1, abs=0.04)
        assert column.var() == pytest.approx(1 - 1 / n, abs=0.04)
    correlations = np.corrcoef([first, of_two, of_three])[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 0.04


def test_equal_distances_have_equal_means_whatever_is_drawn() -> None:
    draw = np.random.default_rng(0)
    column = draw.random((7, 1))
    means = averaged(np.repeat(column, 33, axis=1), draw.integers(1, 9, size=7))
    assert len(set(means.tolist())) == 1


def test_one_seed_is_the_plain_bootstrap() -> None:
    """Each resample written out and handed to scipy."""
    draw = np.random.default_rng(1)
    scores, distances = draw.integers(0, 6, 40).astype(float), draw.random((1, 40))
    found = bootstrap(scores, [distances], 120)[0]
    counts = np.concatenate([drawn.pairs for drawn in draws(40, [1], 120)])
    expected = [
        spearmanr(np.repeat(scores, c), -np.repeat(distances[0], c)).statistic for c in counts
    ]
    assert found == pytest.approx(expected, abs=1e-12)


def test_resampled_seeds_are_moved_by_what_drawing_them_costs() -> None:
    draw = np.random.default_rng(2)
    scores = draw.random(60)
    distances = -scores + draw.normal(size=(3, 60))
    found = bootstrap(scores, [distances], 200)[0]
    expected, of_all = [], []
    for drawn in draws(60, [3], 200):
        mean = np.average(distances, axis=0, weights=drawn.seeds[3])
        for counts in drawn.pairs:
            expected.append(
                spearmanr(np.repeat(scores, counts), -np.repeat(mean, counts)).statistic
            )
            of_all.append(spearmanr(scores, -mean).statistic)
    estimate = spearmanr(scores, -distances.mean(axis=0)).statistic
    assert np.mean(of_all) < estimate - 0.01  # seeds drawn twice average away less
    shift = estimate - np.mean(of_all)
    assert found == pytest.approx(np.clip(np.array(expected) + shift, -1, 1), abs=1e-12)


def rank_correlation(pearson: float) -> float:
    """Spearman's coefficient of a bivariate normal."""
    return 6 / math.pi * math.asin(pearson / 2)


@pytest.mark.parametrize(("pairs", "seeds", "noise"), [(80, 1, 0.0), (3000, 4, 1.0), (60, 3, 0.3)])
def test_nominal_intervals_cover_the_truth(
    monkeypatch, pairs: int, seeds: int, noise: float
) -> None:
    """Scores x and similarities 0.6 x + 0.8 e + noise, of which k samples are averaged."""
    rng = np.random.default_rng(pairs)
    truth = rank_correlation(0.6 / math.sqrt(1 + noise**2 / seeds))
    runs, hits = 100 if pairs > 1000 else 200, 0
    for run in range(runs):
        monkeypatch.setattr(resampling, "BOOTSTRAP_SEED", run)
        x = rng.normal(size=pairs)
        similar = 0.6 * x + 0.8 * rng.normal(size=pairs) + noise * rng.normal(size=(seeds, pairs))
        low, high = np.quantile(bootstrap(x, [-similar], 200)[0], [0.025, 0.975])
        hits += low < truth < high
    # Within three standard errors of 95 %, and above it where seeds are few: with noise that is
    # not shared by the pairs, drawing seeds too is cautious.
    error = math.sqrt(0.95 * 0.05 / runs)
    assert hits / runs > 0.95 - 3 * error
    if seeds == 1:
        assert hits / runs < 0.95 + 3 * error


def test_seeds_that_all_pairs_share_widen_the_interval() -> None:
    """One bad seed of three: the pairs alone cannot see that another draw would do better."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=2000)
    samples = np.stack([-x, -x, rng.normal(size=2000) * 3])
    shared = np.ptp(np.quantile(bootstrap(x, [samples], 500)[0], [0.025, 0.975]))
    pairs = np.ptp(np.quantile(bootstrap(x, [samples.mean(axis=0)[None]], 500)[0], [0.025, 0.975]))
    assert shared > 3 * pairs

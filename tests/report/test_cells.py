"""Cells: figures of measured rows, and averages over the seven sets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from conjure.datasets.cards import SEVEN
from conjure.datasets.formats import PairRow
from conjure.datasets.read import Dataset
from conjure.datasets.tables import PairTable
from conjure.report.averages import average_cells
from conjure.report.cells import (
    ALL,
    AVERAGE,
    DEVIATION,
    MEAN,
    WEIGHTED,
    Distances,
    Draws,
    cells,
)
from conjure.report.differences import differences


def dataset(name: str, n: int = 40, total: int | None = None, seed: int = 0) -> Dataset:
    draw = np.random.default_rng(seed)
    rows = tuple(
        PairRow(i, {"sentence1": f"a {name} {i}", "sentence2": f"b {name} {i}"}) for i in range(n)
    )
    table = PairTable(("sentence1", "sentence2"), ("sentence1", "sentence2"), rows, ())
    subsets = tuple("xy"[i % 2] for i in range(n))
    return Dataset(name, table, tuple(draw.uniform(0, 5, n)), subsets, total or n)


def distances(data: Dataset, k: int = 1, seed: int = 1) -> Distances:
    noise = np.random.default_rng(seed).normal(size=(k, len(data.scores)))
    return Distances(5 - np.array(data.scores) + 2 * noise, "how:measured")


def test_figures_are_scipys_on_the_set_and_within_its_parts():
    data = dataset("one")
    found = distances(data)
    by = {cell.subset: cell for cell in cells("conjuring", data, found)}
    assert [*by] == [ALL, "x", "y", MEAN, WEIGHTED]
    similarity = -found.samples[0]
    whole = by[ALL]
    assert whole.spearman == pytest.approx(100 * spearmanr(data.scores, similarity).statistic)
    assert whole.pearson == pytest.approx(100 * pearsonr(data.scores, similarity).statistic)
    assert whole.kendall == pytest.approx(100 * kendalltau(data.scores, similarity).statistic)
    odd = spearmanr(data.scores[1::2], similarity[1::2]).statistic
    assert by["y"].spearman == pytest.approx(100 * odd)
    assert by["y"].n == 20
    assert by[MEAN].spearman == pytest.approx((by["x"].spearman + by["y"].spearman) / 2)
    assert whole.signature == "how:measured"
    over = "pairs, for the seeds as drawn"
    assert (whole.source, whole.over, whole.reason) == ("measured", over, None)


def test_a_subsample_says_so_and_an_empty_row_says_why():
    data = dataset("one", total=1000)
    for cell in cells("conjuring", data, distances(data, k=2)):
        if cell.subset not in (MEAN, WEIGHTED):
            assert cell.over == "pairs and seeds; 40 of 1000 pairs, drawn with seed 0"
    [cell] = cells("gpt2", data, "no hub")
    assert (cell.spearman, cell.interval, cell.reason, cell.n) == (None, None, "no hub", 40)


def control(data: Dataset, seed: int = 0) -> Draws:
    return Draws(np.random.default_rng(seed).random((100, len(data.scores))), "how:drawn")


def test_the_control_is_the_mean_of_its_draws_beside_what_most_of_them_lie_between():
    data = dataset("one")
    found = control(data)
    by = {cell.subset: cell for cell in cells("control", data, found)}
    assert [*by] == [ALL, "x", "y", MEAN, WEIGHTED]
    each = np.array([100 * spearmanr(data.scores, -draw).statistic for draw in found.samples])
    assert by[ALL].spearman == pytest.approx(each.mean())
    assert by[ALL].interval == pytest.approx(tuple(np.quantile(each, [0.025, 0.975])))
    assert (by[ALL].over, by[ALL].p_value) == ("100 draws of the control", None)
    assert by["y"].n == 20
    odd = [100 * spearmanr(data.scores[1::2], -draw[1::2]).statistic for draw in found.samples]
    assert by["y"].spearman == pytest.approx(np.mean(odd))
    assert by[MEAN].spearman == pytest.approx((by["x"].spearman + by["y"].spearman) / 2)
    part = cells("control", dataset("one", total=1000), found)[0]
    assert part.over == "100 draws of the control; 40 of 1000 pairs, drawn with seed 0"
    reasons = [
        cell.reason for cell in cells("control", dataset("one", n=4), control(dataset("", 4)))
    ]
    assert reasons[1:] == ["a correlation needs at least 3 pairs; there are 2"] * 2


def test_the_average_of_the_control_is_taken_draw_by_draw():
    sets = {name: dataset(name, seed=i) for i, name in enumerate(SEVEN)}
    found = {name: control(data, seed=i) for i, (name, data) in enumerate(sets.items())}
    known = {n: (sets[n], found[n], cells("control", sets[n], found[n])[0]) for n in SEVEN}
    mean, deviation = average_cells("control", known)
    each = [
        [100 * spearmanr(sets[n].scores, -draw).statistic for draw in found[n].samples]
        for n in SEVEN
    ]
    drawn = np.mean(each, axis=0)
    assert mean.spearman == pytest.approx(drawn.mean())
    assert mean.interval == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    assert mean.over == "100 draws of the control"
    assert deviation.spearman == pytest.approx(np.std(np.mean(each, axis=1)))


def test_the_control_is_in_no_paired_difference():
    data = dataset("one")
    rows = {"conjuring": {"one": distances(data)}, "control": {"one": control(data)}}
    rows["kl"] = {"one": distances(data, seed=5)}
    assert [one.than for one in differences("conjuring", rows, {"one": data})] == ["kl"]


def test_few_pairs_have_figures_without_intervals_that_say_why():
    data = dataset("one", n=9)
    whole = cells("conjuring", data, distances(data))[0]
    assert whole.spearman is not None
    assert (whole.interval, whole.reason) == (None, None)
    assert whole.interval_reason == "fewer than 10 pairs"
    sets = {name: dataset(name, n=9 if name == "sts13" else 40) for name in SEVEN}
    found = {name: distances(data) for name, data in sets.items()}
    known = {n: (sets[n], found[n], cells("conjuring", sets[n], found[n])[0]) for n in SEVEN}
    mean = average_cells("conjuring", known)[0]
    assert mean.spearman is not None
    assert (mean.interval, mean.interval_reason) == (None, "fewer than 10 pairs")


def test_the_average_is_over_all_seven_with_its_deviation_and_interval():
    sets = {name: dataset(name, seed=i) for i, name in enumerate(SEVEN)}
    found = {name: distances(data, seed=i) for i, (name, data) in enumerate(sets.items())}
    whole = {name: cells("conjuring", sets[name], found[name])[0] for name in SEVEN}
    each = [cell.spearman for cell in whole.values()]
    known = {name: (sets[name], found[name], whole[name]) for name in SEVEN}
    mean, deviation = average_cells("conjuring", known)
    assert (mean.dataset, mean.subset, deviation.subset) == (AVERAGE, ALL, DEVIATION)
    assert mean.spearman == pytest.approx(np.mean(each))
    assert deviation.spearman == pytest.approx(np.std(each))
    assert mean.n == 7 * 40
    # Seven independent sets: about √7 times as narrow as one of them.
    low, high = mean.interval
    widths = [np.ptp(cell.interval) for cell in whole.values()]
    assert low < mean.spearman < high
    assert high - low == pytest.approx(np.sqrt(np.mean(np.square(widths)) / 7), rel=0.15)


def test_no_average_over_fewer_sets_and_a_reason_where_one_is_empty():
    def known(name: str, found: Distances | str):
        data = dataset(name)
        return data, found, cells("conjuring", data, found)[0]

    sets = {name: known(name, distances(dataset(name))) for name in SEVEN[:6]}
    assert average_cells("conjuring", sets) == []
    sets["sickr"] = known("sickr", "no hub")
    [cell] = average_cells("conjuring", sets)
    assert (cell.spearman, cell.reason) == (None, "no figure for sickr: no hub")

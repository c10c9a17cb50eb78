"""Cells: figures of measured rows, averages over the seven sets, and what is published."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from conjure.benchmarks.cards import SEVEN
from conjure.benchmarks.datasets import Dataset
from conjure.formats import Row
from conjure.reproduce import published
from conjure.reproduce.cells import (
    ALL,
    AVERAGE,
    DEVIATION,
    MEAN,
    PUBLISHED,
    WEIGHTED,
    Distances,
    average_cells,
    cells,
)
from conjure.rivals.rows import ROWS
from conjure.tables import PairTable


def dataset(name: str, n: int = 40, total: int | None = None, seed: int = 0) -> Dataset:
    draw = np.random.default_rng(seed)
    rows = tuple(
        Row(i, {"sentence1": f"a {name} {i}", "sentence2": f"b {name} {i}"}) for i in range(n)
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
    assert (whole.source, whole.over, whole.reason) == ("measured", "pairs", None)


def test_a_subsample_says_so_and_an_empty_row_says_why():
    data = dataset("one", total=1000)
    for cell in cells("conjuring", data, distances(data, k=2)):
        if cell.subset not in (MEAN, WEIGHTED):
            assert cell.over == "pairs and seeds; 40 of 1000 pairs, drawn with seed 0"
    [cell] = cells("gpt2", data, "no hub")
    assert (cell.spearman, cell.interval, cell.reason, cell.n) == (None, None, "no hub", 40)


def test_the_average_is_over_all_seven_with_its_deviation_and_interval():
    sets = {name: dataset(name, seed=i) for i, name in enumerate(SEVEN)}
    found = {name: distances(data, seed=i) for i, (name, data) in enumerate(sets.items())}
    whole = {name: cells("conjuring", sets[name], found[name])[0] for name in SEVEN}
    each = [cell.spearman for cell in whole.values()]
    known = {name: (sets[name], found[name], whole[name]) for name in SEVEN}
    mean, deviation = average_cells("conjuring", known)
    assert (mean.dataset, mean.subset, deviation.subset) == (AVERAGE, ALL, DEVIATION)
    assert mean.spearman == pytest.approx(np.mean(each))
    assert deviation.spearman == pytest.approx(np.std(each, ddof=1))
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


def test_published_averages_are_those_of_their_rows():
    """A figure in the wrong column, or misread, would not fit the average printed beside it."""
    for row, (_, figures) in published.TABLE1.items():
        *sets, mean = figures
        if row == "bert-mean":
            sets[0] = 46.35
        if mean is not None and None not in sets:
            assert np.mean(sets) == pytest.approx(mean, abs=0.1), row


def test_published_figures_carry_their_source_and_never_call_themselves_measured():
    cells = [
        *published.table1([*SEVEN, AVERAGE], ["encoder=./all-MiniLM-L6-v2"]),
        *published.table2(["rg65", "simlex999"]),
        *published.table3(["rg65", "stsb"]),
    ]
    assert all(cell.source == PUBLISHED for cell in cells)
    assert all("20" in cell.signature or "MiniLM" in cell.signature for cell in cells)
    assert {cell.row for cell in published.table1(SEVEN)} <= {"conjuring", "initial", *ROWS}
    known = {(cell.row, cell.dataset): cell.spearman for cell in cells}
    assert known["conjuring", "stsb"] == 70.3
    assert known["conjuring", AVERAGE] == 65.4
    assert known["initial", AVERAGE] == 53.0
    assert known["conjuring, T = 10", "rg65"] == 60.2
    assert known["all-MiniLM-L6-v2", "sts15"] == 85.39


def test_minilm_is_printed_only_where_it_is_measured():
    assert all("MiniLM" not in cell.row for cell in published.table1(SEVEN))

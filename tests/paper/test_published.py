"""The paper's figures as printed: every row, its average and ±, and the misprints by name."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from conjure.baselines.rows import ROWS
from conjure.datasets.cards import DATASETS, SEVEN
from conjure.paper import published
from conjure.paper.rows import GROUPS, read_rows
from conjure.paper.tables import STEPS, table_report
from conjure.report.cells import ALL, AVERAGE, DEVIATION, PUBLISHED
from conjure.report.latex import escape, latex_text
from conjure.report.render import markdown_text, terminal_text
from conjure.stats.comparison import average

TABLE1 = published.table1_cells([*SEVEN, AVERAGE])
BY_ROW = {row: {} for row in dict.fromkeys(cell.row for cell in TABLE1)}
for one in TABLE1:
    BY_ROW[one.row][one.dataset, one.subset] = one


@pytest.mark.parametrize("row", BY_ROW)
def test_average_and_deviation_are_those_of_the_row(row):
    """A figure in a wrong column, or another divisor of the ±, would not fit what is printed."""
    cells = BY_ROW[row]
    assert [*cells] == [*((name, ALL) for name in SEVEN), (AVERAGE, ALL), (AVERAGE, DEVIATION)]
    figures = {name: cells[name, ALL].spearman for name in SEVEN}
    found = average(figures)
    # the average printed beside the misprint fits the original's figure
    whole = average(figures | ({"stsb": 46.35} if row == "bert-mean" else {}))
    assert whole.mean == pytest.approx(cells[AVERAGE, ALL].spearman, abs=0.1)
    slack = 0.1 if row == "is-bert" else 0.0
    assert abs(round(found.deviation, 1) - cells[AVERAGE, DEVIATION].spearman) <= slack + 1e-9
    sample = np.std([*figures.values()], ddof=1)
    assert round(sample, 1) != cells[AVERAGE, DEVIATION].spearman


def test_every_printed_row_has_a_row_of_ours():
    assert len(BY_ROW) == 19
    assert set(BY_ROW) == {*ROWS, "initial", "final", "output", "kl", "conjuring"}
    assert read_rows(BY_ROW) == tuple(BY_ROW)
    assert set(published.LABELS.values()) == {*BY_ROW, "paragon"}


def test_cells_are_the_printed_figures():
    folder = Path(published.__file__).parent
    for number in (1, 2, 3):
        with (folder / f"table{number}.tsv").open(newline="", encoding="utf-8") as file:
            printed = [
                float(figure)
                for line in csv.DictReader(file, delimiter="\t")
                for column, figure in line.items()
                if column not in ("group", "row", "T")
            ]
        cells = [*published._read(number)]
        assert [cell.spearman for cell in cells] == printed
        assert {cell.source for cell in cells} == {PUBLISHED}
        assert all(f"arXiv 2410.16431), Table {number}" in cell.signature for cell in cells)
    known = {key: cell.spearman for key, cell in BY_ROW["conjuring"].items()}
    assert (known["stsb", ALL], known[AVERAGE, ALL], known[AVERAGE, DEVIATION]) == (70.3, 65.4, 5.3)
    assert BY_ROW["final"][AVERAGE, ALL].spearman == 56.9


def test_table_2_has_parts_of_speech_and_table_3_every_number_of_steps():
    words = {(c.row, c.dataset, c.subset): c.spearman for c in published.table2_cells(DATASETS)}
    assert words["paragon", "simlex999", "noun"] == 42.8
    assert words["conjuring", "simlex999", "verb"] == -14.3
    assert {subset for _, _, subset in words} == {ALL, *DATASETS["simlex999"].subsets}
    steps = {(c.row, c.dataset): c.spearman for c in published.table3_cells(DATASETS)}
    assert [steps[f"conjuring, T = {t}", "stsb"] for t in STEPS] == [
        *(70.1, 70.3, 70.1, 68.9, 70.2, 69.5)
    ]
    assert steps["conjuring, T = 10", "rg65"] == 60.2  # Table 2, at the T that it was taken at


def test_only_the_sets_that_are_shown_are_given():
    assert {cell.dataset for cell in published.table1_cells(["sts13"])} == {"sts13"}
    assert published.table1_cells(["mine.tsv"]) == published.table2_cells(["stsb"]) == []


@pytest.mark.parametrize("text", [terminal_text, markdown_text, latex_text])
def test_misprints_are_said_and_not_corrected(text):
    columns = [*((name, ALL) for name in SEVEN), (AVERAGE, ALL)]
    shown = text(table_report("table1", ("conjuring",), columns, ()))
    safe = escape if text is latex_text else (lambda note: note)
    assert safe("misprint: the row stands one column off") in shown
    assert safe("misprint: 46.35 in Reimers") in shown
    told = {(c.row, c.dataset) for c in TABLE1 if "misprint" in c.signature}
    shifted = {(row, name) for row in ("is-bert", "simcse-bert") for name in SEVEN[:-1]}
    assert told == {*shifted, ("bert-mean", "stsb")}
    assert BY_ROW["bert-mean"]["stsb", ALL].spearman == 45.4
    assert BY_ROW["is-bert"]["stsb", ALL].spearman == 56.8  # which is its figure of STS12


def test_minilm_is_printed_only_where_it_is_measured():
    assert published.MINILM not in BY_ROW
    cells = published.table1_cells([*SEVEN, AVERAGE], ["encoder=./all-MiniLM-L6-v2"])
    added = {cell.dataset: cell.spearman for cell in cells if cell.row == published.MINILM}
    assert [*added] == [*SEVEN[:-1]]
    assert added["sts15"] == 85.39


def test_the_former_name_of_the_control_still_means_it():
    assert read_rows(["null", "control", "kl"]) == ("control", "kl")
    assert GROUPS["diffusion"][-1] == "control"

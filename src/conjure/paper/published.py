"""Figures that others have printed, beside ours but never among them.

Only what could be read where it is printed is here; the other figures of the paper's tables could
not be, and are left out rather than recalled. Everything is Spearman × 100.

In Table 1 of Liu et al. (2024) the rows IS-BERT and SimCSE-BERT stand one column off: they print
the order of Gao et al. (2021), STS12 first, under a heading that puts STS-B first. They are taken
from Gao et al. Of BERT (mean) on STS-B the copy of that table that could be read has 45.4, which
does not fit the average beside it; 46.35, which does, is Reimers & Gurevych's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..datasets.cards import SEVEN
from ..report.cells import AVERAGE, PUBLISHED, Cell

PAPER = "Liu & Soatto, Conjuring Semantic Similarity (ICLR 2026, arXiv 2410.16431), for SD 1.4"
TRAJECTORIES = "Liu et al. (ICLR 2024, arXiv 2310.18348), Table 1"
SIMCSE = "Gao et al. (EMNLP 2021, arXiv 2104.08821), Table 5"
SBERT = "Reimers & Gurevych (EMNLP 2019), as sentence-transformers' documentation repeats it"
MINILM_ROW = "all-MiniLM-L6-v2"
MINILM = "model card of all-MiniLM-L6-v2 (STS-B and STS12 to STS16)"

Line = tuple[str, Sequence[float | None]]  # source; the seven sets in the order of SEVEN, average

TABLE1: dict[str, Line] = {
    "conjuring": (PAPER, (70.3, None, None, None, None, None, 66.0, 65.4)),
    "initial": (PAPER, (None, None, None, None, None, None, None, 53.0)),
    "clip": (TRAJECTORIES, (65.5, 67.7, 68.5, 58.0, 67.1, 73.6, 68.6, 67.0)),
    "is-bert": (SIMCSE, (69.21, 56.77, 69.24, 61.21, 75.23, 70.16, 64.25, 66.58)),
    "simcse-bert": (SIMCSE, (76.85, 68.40, 82.41, 74.38, 80.91, 78.56, 72.23, 76.25)),
    "bert-cls": (TRAJECTORIES, (16.5, 20.2, 30.0, 20.1, 36.9, 38.1, 42.6, 29.2)),
    "bert-mean": (TRAJECTORIES, (None, 38.8, 58.0, 58.0, 63.1, 61.1, 58.4, 54.8)),
    "bert-large-mean": (TRAJECTORIES, (47.0, 27.7, 55.8, 44.5, 51.7, 61.9, 53.9, 48.9)),
    "roberta-large-mean": (TRAJECTORIES, (50.6, 33.6, 57.2, 45.7, 63.0, 61.2, 58.4, 52.8)),
    "st5-large-mean": (TRAJECTORIES, (56.3, 28.0, 52.6, 41.4, 61.3, 63.6, 59.5, 51.8)),
    "st5-11b-mean": (TRAJECTORIES, (62.8, 35.0, 60.2, 47.6, 66.4, 70.6, 63.6, 58.0)),
    "gpt2": (TRAJECTORIES, (55.2, 39.9, 42.6, 30.5, 52.4, 62.7, 62.0, 49.3)),
    "gpt2-xl": (TRAJECTORIES, (62.1, 43.6, 54.8, 37.7, 61.3, 68.2, 68.4, 56.5)),
    "falcon-7b": (TRAJECTORIES, (67.7, 56.3, 66.5, 53.0, 67.4, 75.5, 73.5, 65.7)),
    "llama-13b": (TRAJECTORIES, (70.6, 52.5, 65.9, 53.2, 67.8, 74.1, 73.0, 65.3)),
    "llama-33b": (TRAJECTORIES, (71.5, 52.5, 70.6, 54.6, 69.1, 75.2, 73.0, 66.6)),
    MINILM_ROW: (MINILM, (82.03, 72.37, 80.60, 75.60, 85.39, 78.99, None, None)),
}

TABLE2 = {"rg65": 60.2, "simlex999": 20.5}


def table1(datasets: Sequence[str], rows: Iterable[str] = ()) -> list[Cell]:
    """The published figures of Table 1 on these sets (and the average, if it is one of them).

    rows: those of the table; one of all-MiniLM-L6-v2, which the paper has not, brings its figures
    """
    places = (*SEVEN, AVERAGE)
    wanted = [name for name in places if name in datasets]
    with_minilm = any(MINILM_ROW in row for row in rows)
    found = []
    for row, (source, figures) in TABLE1.items():
        if row == MINILM_ROW and not with_minilm:
            continue
        for name in wanted:
            figure, where = figures[places.index(name)], source
            if row == "bert-mean" and name == "stsb":
                figure, where = 46.35, SBERT
            if figure is not None:
                found.append(_cell(row, name, figure, where))
    return found


def table2(datasets: Sequence[str]) -> list[Cell]:
    """The published figures of Table 2 on these sets."""
    return [_cell("conjuring", name, TABLE2[name], PAPER) for name in TABLE2 if name in datasets]


def table3(datasets: Sequence[str]) -> list[Cell]:
    """What is published of T = 10, the paper's setting, on these sets."""
    printed = [*table1(datasets), *table2(datasets)]
    return [replace(cell, row="conjuring, T = 10") for cell in printed if cell.row == "conjuring"]


def _cell(row: str, dataset: str, figure: float, source: str) -> Cell:
    return Cell(row, dataset, spearman=figure, signature=source, source=PUBLISHED)

"""The figures of the paper's Tables 1, 2 and 3, as printed.

Source: Liu & Soatto, "Conjuring Semantic Similarity" (ICLR 2026, arXiv 2410.16431). The TSVs beside
this module hold the tables cell by cell; all figures are Spearman × 100. The process is Stable
Diffusion 1.4 with the LMS sampler, T = 10 (Table 3: T steps) and guidance 7.5.

Nothing is corrected. Two misprints are known, and every cell that they touch says so:

- The rows IS-BERT and SimCSE-BERT stand one column off. Their source (Gao et al., EMNLP 2021,
  Table 5) has the order STS12 to STS16, STS-B, SICK-R; the paper prints it from STS-B on.
- BERT-mean on STS-B is 46.35 in Reimers & Gurevych (EMNLP 2019); the paper prints 45.4.

The ± of Table 1 is the population standard deviation over the seven sets.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files

from ...datasets.cards import SEVEN
from ...report.cells import ALL, AVERAGE, DEVIATION, PUBLISHED, Cell
from ..rows import CONJURING, PARAGON

PAPER = "Liu & Soatto, Conjuring Semantic Similarity (ICLR 2026, arXiv 2410.16431)"
PROCESS = (
    "Published rows of the process are of Stable Diffusion 1.4 with LMS, w = 7.5 and T = 10, or "
    "the T that the row names."
)
MINILM = "all-MiniLM-L6-v2"  # not a row of the paper; its figures test a reader's encoder row

# What the paper calls a row → what ``--rows`` calls it.
LABELS = {
    "CLIP ViT-L/14": "clip",
    "IS-BERT": "is-bert",
    "SimCSE-BERT": "simcse-bert",
    "BERT-CLS": "bert-cls",
    "BERT-mean": "bert-mean",
    "BERT Large-mean": "bert-large-mean",
    "RoBERTa Large-mean": "roberta-large-mean",
    "ST5-Enc-mean (Large)": "st5-large-mean",
    "ST5-Enc-mean (11B)": "st5-11b-mean",
    "GPT-2": "gpt2",
    "GPT-2-XL": "gpt2-xl",
    "Falcon-7B": "falcon-7b",
    "LLaMA-13B": "llama-13b",
    "LLaMA-33B": "llama-33b",
    "Initial timestep prediction": "initial",
    "Final timestep prediction": "final",
    "Direct output comparison": "output",
    "Conjuring Semantic Similarity (KL)": "kl",
    "Conjuring Semantic Similarity": CONJURING,
    "Paragon (text encoder of Stable Diffusion)": PARAGON,
    "Stable Diffusion 1.4": CONJURING,
}

_SHIFTED = "misprint: the row stands one column off; these are its STS12 … STS16, STS-B"
_MISPRINTS = {
    **{(row, name): _SHIFTED for row in ("is-bert", "simcse-bert") for name in SEVEN[:-1]},
    ("bert-mean", "stsb"): "misprint: 46.35 in Reimers & Gurevych (EMNLP 2019)",
}
_MINILM_CARD = "model card of all-MiniLM-L6-v2 (STS-B and STS12 to STS16)"
_MINILM_FIGURES = (82.03, 72.37, 80.60, 75.60, 85.39, 78.99)


def table1_cells(datasets: Sequence[str], rows: Iterable[str] = ()) -> list[Cell]:
    """Table 1 on these sets, and the average with its ± if it is one of them.

    rows: those of our table; one of all-MiniLM-L6-v2 adds the figures of its model card
    """
    found = [cell for cell in _read(1) if cell.dataset in datasets]
    if any(MINILM in row for row in rows):
        figures = zip(SEVEN, _MINILM_FIGURES, strict=False)  # the card has no SICK-R
        found += [_cell(MINILM, n, ALL, x, _MINILM_CARD) for n, x in figures if n in datasets]
    return found


def table2_cells(datasets: Sequence[str]) -> list[Cell]:
    """Table 2 on these sets and their parts of speech."""
    return [cell for cell in _read(2) if cell.dataset in datasets]


def table3_cells(datasets: Sequence[str]) -> list[Cell]:
    """Table 3 on these sets: STS-B at each T. The row of T = 10 has Table 2's sets, too."""
    found = [cell for cell in _read(3) if cell.dataset in datasets]
    for cell in table2_cells(datasets):
        if cell.row == CONJURING and cell.subset == ALL:
            found.append(_cell(f"{CONJURING}, T = 10", cell.dataset, ALL, cell.spearman, _at(2)))
    return found


def _read(number: int) -> Iterator[Cell]:
    """Every cell of Table 1, 2 or 3."""
    text = files(__package__).joinpath(f"table{number}.tsv").read_text(encoding="utf-8")
    for line in csv.DictReader(text.splitlines(), delimiter="\t"):
        row = f"{CONJURING}, T = {line['T']}" if number == 3 else LABELS[line["row"]]
        for column, figure in line.items():
            if column in ("group", "row", "T"):
                continue
            dataset, _, subset = column.partition(" ")
            if column == "deviation":
                dataset, subset = AVERAGE, DEVIATION
            yield _cell(row, dataset, subset or ALL, float(figure), _at(number))


def _at(number: int) -> str:
    return f"{PAPER}, Table {number}"


def _cell(row: str, dataset: str, subset: str, figure: float | None, source: str) -> Cell:
    if misprint := _MISPRINTS.get((row, dataset)):
        source = f"{source}; {misprint}"
    return Cell(row, dataset, subset, spearman=figure, signature=source, source=PUBLISHED)

"""Correlation by prompt length: bins by hand, and a bin is what its pairs alone would give."""

from __future__ import annotations

import numpy as np
import pytest

from conjure.datasets.read import read_dataset
from conjure.paper.lengths import BINS, bin_of, by_length
from conjure.stats.correlation import correlate


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((1, 1), "1–5"),
        ((5, 5), "1–5"),
        ((5, 6), "6–10"),  # 5.5
        ((1, 19), "6–10"),
        ((20, 20), "16–20"),
        ((31, 30), "31+"),
        ((300, 4), "31+"),
    ],
)
def test_a_pair_counts_by_the_mean_of_its_texts(words, expected) -> None:
    assert bin_of(tuple(" ".join(["word"] * n) for n in words)) == expected


def test_every_length_has_a_bin() -> None:
    found = [bin_of((" ".join(["word"] * n), " ".join(["word"] * n))) for n in range(1, 60)]
    assert list(dict.fromkeys(found)) == list(BINS)


def test_a_bin_is_correlated_alone_and_small_ones_are_said_to_be(tmp_path) -> None:
    draw = np.random.default_rng(0)
    lengths = [3] * 30 + [8] * 25 + [40] * 4
    lines = [
        f"{draw.integers(0, 6)}\t{' '.join(['word'] * n)}\t{' '.join(['other'] * n)}"
        for n in lengths
    ]
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(["score\tsentence1\tsentence2", *lines]))
    data = read_dataset(str(path))
    distances = draw.random((2, len(lengths)))
    found = by_length(data, distances)
    assert {name: part.n for name, part in found.items()} == {"1–5": 30, "6–10": 25, "31+": 4}
    assert found["6–10"] == correlate(data.scores[30:55], distances[:, 30:55])
    assert found["31+"].spearman is None
    assert found["31+"].reason == "fewer than 20 pairs"

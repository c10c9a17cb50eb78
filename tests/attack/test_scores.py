"""Human scores that Python or NumPy would take for other numbers."""

from __future__ import annotations

from conjure.datasets.read import read_dataset
from conjure.stats.correlation import correlate


def test_an_underscore_is_no_part_of_a_score(tmp_path):
    path = tmp_path / "rated.tsv"
    path.write_text("score\tsentence1\tsentence2\n1_5\ta\tb\n1.5\tc\td\n")
    found = read_dataset(str(path))
    assert found.scores == (1.5,)
    assert [(bad.line, bad.reason) for bad in found.table.bad] == [
        (2, "score '1_5' is not a number")
    ]


def test_scores_too_far_apart_have_no_coefficient():
    """Pearson's was NaN, and printed."""
    found = correlate([1.7e308, -1.7e308, 0.0], [1.0, 2.0, 3.0])
    assert found.pearson is None
    assert found.spearman is None
    assert "further apart" in str(found.reason)

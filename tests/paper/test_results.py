"""The tables in docs/results are what the package makes of their kept cells."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture(scope="module")
def rewriting():
    spec = importlib.util.spec_from_file_location("rewrite", RESULTS / "rewrite.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "table", ["table1", "table2", "table3", "three-seeds/table1", "three-seeds/table2"]
)
def test_a_kept_table_is_up_to_date(table, rewriting, tmp_path):
    rewriting.rewrite(table, tmp_path)
    ends = [".md", ".json", ".tex", "-differences.json", "-reliability.json"]
    kept = [f"{table}{end}" for end in ends if (RESULTS / f"{table}{end}").exists()]
    written = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")]
    assert sorted(written) == sorted(kept)
    for name in kept:
        assert (tmp_path / name).read_bytes() == (RESULTS / name).read_bytes(), name


def test_every_kept_table_is_looked_at(rewriting):
    found = {
        str(path.relative_to(RESULTS).with_suffix("")) for path in RESULTS.rglob("table?.json")
    }
    assert found == set(rewriting.TABLES)


def test_the_page_compares_with_the_figures_of_the_tables():
    """The averages that README.md sets beside the paper's are those of Table 1."""
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    page = page.partition("Table 1, average")[2].partition("Table 2, words")[0]
    table = (RESULTS / "table1.md").read_text(encoding="utf-8")
    measured, published = table.split("*published*")
    for row, title in (
        ("conjuring", "Conjuring (Jeffreys)"),
        ("kl", "Conjuring, one direction (KL)"),
        ("initial", "Initial timestep"),
        ("final", "Final timestep"),
        ("output", "Direct output comparison"),
    ):
        printed, ours = (average_of(block, title) for block in (published, measured))
        [line] = [line for line in page.splitlines() if line.startswith(f"| `{row}` |")]
        assert [cell.strip() for cell in line.split("|")[2:4]] == [printed, ours]


def average_of(block: str, title: str) -> str:
    [line] = [line for line in block.splitlines() if line.startswith(f"| {title} |")][:1]
    return line.rstrip(" |").rpartition("| ")[2].partition(" [")[0]

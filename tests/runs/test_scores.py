"""Tables of pairs → tables of distances: the cost told beforehand, and nothing finished lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conjure.core.errors import InputError
from conjure.core.registry import per_sample
from conjure.core.spec import Spec, sign
from conjure.datasets.tables import read_pairs, write_rows
from conjure.runs.scorers import ProcessScorer
from conjure.runs.scores import (
    RESULT_COLUMNS,
    Partial,
    check_out,
    partial_path,
    pending,
    score,
    write_scores,
)
from conjure.similarity import cost, distance

PAIRS = [("a", "b"), ("c", "d"), ("b", "a"), ("a", "a"), ("e", "f"), ("a", "c"), ("g", "h")]


@pytest.fixture
def table(tmp_path: Path):
    path = tmp_path / "pairs.tsv"
    rows = [{"n": str(n), "text1": a, "text2": b} for n, (a, b) in enumerate(PAIRS)]
    write_rows(path, ("n", "text1", "text2"), rows)
    return read_pairs(path)


def test_values_are_those_of_distance(table, gaussians) -> None:
    process, measure = gaussians(guidance=3.0), Spec(samples=3, seed=5, estimand="kl")
    counted: list[int] = []
    results = score(table, ProcessScorer(process, measure), progress=counted.append)
    assert sum(counted) == len(PAIRS)
    for result, pair in zip(results, PAIRS, strict=True):
        alone = distance(*pair, process=process, samples=3, seed=5, estimand="kl")
        assert result.value == pytest.approx(alone.value, rel=1e-9)
        assert result.standard_error == pytest.approx(alone.standard_error, rel=1e-9, abs=1e-12)
        assert (result.interval_low, result.interval_high) == pytest.approx(alone.interval)
        assert result.per_sample == pytest.approx(per_sample(alone.terms, "kl").tolist(), rel=1e-9)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("estimand", ["jeffreys", "output", "coupled"])
@pytest.mark.parametrize(("batch", "samples"), [(1024, 1), (4, 1), (8, 2)])
def test_the_cost_told_is_the_cost_paid(
    gaussians, guidance: float, steps: int, estimand: str, batch: int, samples: int
) -> None:
    process = gaussians(guidance=guidance, steps=steps, batch_size=batch)
    measure = Spec(samples=samples, estimand=estimand)
    pairs = [*PAIRS, ("h", "h")]
    told = cost(pairs, process, measure).rows
    from conjure.similarity import distances

    distances(pairs, process=process, samples=samples, estimand=estimand)
    assert process.rows == told > 0


class Interrupted(Exception):
    pass


def finish_some(table, process, measure: Spec, out: Path, rows: int) -> None:
    """Score until ``rows`` rows are finished, then die."""
    left = rows

    def count(done: int) -> None:
        nonlocal left
        left -= done
        if left <= 0:
            raise Interrupted

    with Partial(out, sign(process, measure)) as partial, pytest.raises(Interrupted):
        score(table, ProcessScorer(process, measure), partial=partial, progress=count)


@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl", "parquet"])
def test_resumed_scores_are_the_same_as_undisturbed_ones(
    table, gaussians, tmp_path: Path, suffix: str
) -> None:
    out, measure = tmp_path / f"out.{suffix}", Spec(samples=2)
    undisturbed = score(table, ProcessScorer(gaussians(), measure))
    finish_some(table, gaussians(), measure, out, rows=3)
    assert not out.exists()

    process = gaussians()
    signature = sign(process, measure)
    with Partial(out, signature) as partial:
        assert len(partial.done) == 3  # a text against itself, and one pair in both directions
        assert [key[0] for key in pending(table, partial)] == [3, 6, 7, 8]
        results = score(table, ProcessScorer(process, measure), partial=partial)
    assert process.rows < gaussians_cost(table, gaussians(), measure)
    for resumed, plain in zip(results, undisturbed, strict=True):
        assert resumed.value == pytest.approx(plain.value, rel=1e-9)
        assert resumed.per_sample == pytest.approx(plain.per_sample, rel=1e-9)

    write_scores(out, table, results, signature)
    read = read_pairs(out)
    assert read.columns == (*table.columns, *RESULT_COLUMNS)
    assert [row.cells["n"] for row in read.rows] == [str(n) for n in range(len(PAIRS))]
    assert [float(row.cells["value"]) for row in read.rows] == [r.value for r in results]
    assert {row.cells["signature"] for row in read.rows} == {str(signature)}


def gaussians_cost(table, process, measure: Spec) -> int:
    return cost(table.pairs(), process, measure).rows


def test_a_torn_last_line_is_computed_again(table, gaussians, tmp_path: Path) -> None:
    out, measure = tmp_path / "out.tsv", Spec()
    finish_some(table, gaussians(), measure, out, rows=3)
    path = partial_path(out)
    path.write_bytes(path.read_bytes()[:-5])
    with Partial(out, sign(gaussians(), measure)) as partial:
        assert len(partial.done) == 2
        score(table, ProcessScorer(gaussians(), measure), partial=partial)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert sorted(line["line"] for line in lines[1:]) == [2, 3, 4, 5, 6, 7, 8]


def test_rows_that_changed_meanwhile_are_computed_again(table, gaussians, tmp_path: Path) -> None:
    out, measure = tmp_path / "out.tsv", Spec()
    finish_some(table, gaussians(), measure, out, rows=3)
    (tmp_path / "pairs.tsv").write_text("n\ttext1\ttext2\n0\ta\tb\n1\tc\te\n")
    changed = read_pairs(tmp_path / "pairs.tsv")
    process = gaussians()
    with Partial(out, sign(process, measure)) as partial:
        assert pending(changed, partial) == [(3, "c", "e")]
        results = score(changed, ProcessScorer(process, measure), partial=partial)
    assert results[1].value == pytest.approx(distance("c", "e", process=process).value)


def test_other_settings_do_not_resume(table, gaussians, tmp_path: Path) -> None:
    out = tmp_path / "out.tsv"
    finish_some(table, gaussians(), Spec(), out, rows=3)
    kept = partial_path(out).read_bytes()
    other = sign(gaussians(), Spec(seed=1))
    with (
        pytest.raises(InputError, match=r"begun with other settings \(seed 0, now 1\)"),
        Partial(out, other),
    ):
        pass
    assert partial_path(out).read_bytes() == kept
    with Partial(out, other, overwrite=True) as partial:
        assert partial.done == {}
    assert json.loads(partial_path(out).read_text()) == {"signature": other.object()}


def test_a_file_of_another_making_is_left_alone(gaussians, tmp_path: Path) -> None:
    out = tmp_path / "out.tsv"
    partial_path(out).write_text("my notes\n")
    partial = Partial(out, sign(gaussians(), Spec()))
    with pytest.raises(InputError, match="is not a file of finished rows"), partial:
        pass
    assert partial_path(out).read_text() == "my notes\n"


DAMAGED = ["NaN", "Infinity", "-5", '"abc"', "true", "null"]


@pytest.mark.parametrize("value", DAMAGED)
@pytest.mark.parametrize("where", ["value", "per_sample"])
def test_a_number_that_no_distance_can_have_is_refused(
    table, gaussians, tmp_path: Path, value: str, where: str
) -> None:
    out, measure = tmp_path / "out.tsv", Spec()
    finish_some(table, gaussians(), measure, out, rows=3)
    path = partial_path(out)
    head, first, *rest = path.read_text(encoding="utf-8").splitlines()
    record = json.loads(first)
    record[where] = "HERE" if where == "value" else ["HERE"]
    first = json.dumps(record).replace('"HERE"', value)
    path.write_text("\n".join([head, first, *rest]) + "\n")
    with (
        pytest.raises(InputError, match="is damaged: move it away"),
        Partial(out, sign(gaussians(), measure)),
    ):
        pass
    with pytest.raises(InputError, match="is damaged"):
        check_out(out, table)


def test_outputs_that_are_refused(table, tmp_path: Path) -> None:
    existing = tmp_path / "there.tsv"
    existing.write_text("")
    for out, message in [
        (existing, "exists already"),
        (tmp_path / "out.xlsx", "unknown table format"),
        (tmp_path / "nowhere" / "out.tsv", "no such folder"),
    ]:
        with pytest.raises(InputError, match=message):
            check_out(out, table)
    check_out(existing, table, overwrite=True)
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_out(tmp_path / "folder.tsv", table, overwrite=True)


def test_a_column_of_results_is_not_overwritten(tmp_path: Path) -> None:
    write_rows(tmp_path / "p.csv", ("text1", "text2", "value"), [])
    with pytest.raises(InputError, match="column 'value' already"):
        check_out(tmp_path / "out.csv", read_pairs(tmp_path / "p.csv"))

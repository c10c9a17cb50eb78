"""Tables of pairs → tables of distances: the cost told beforehand, and nothing finished lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from conjure.core.errors import InputError
from conjure.core.registry import per_sample
from conjure.core.spec import Spec, sign
from conjure.datasets.tables import read_pairs, write_rows
from conjure.runs.scorers import Keeping, ProcessScorer
from conjure.runs.scores import RESULT_COLUMNS, check_out, run_path, score, write_scores
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
    results = score(table, ProcessScorer(process, measure), progress=counted.append).results
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


def keeping(out: Path, **how) -> Keeping:
    return Keeping(run_path(out), **how)


def finish_some(table, process, measure: Spec, out: Path, rows: int) -> None:
    """Score until ``rows`` rows are finished, then die."""
    left = rows

    def count(done: int) -> None:
        nonlocal left
        left -= done
        if left <= 0:
            raise Interrupted

    scorer = ProcessScorer(process, measure)
    with scorer.keep(keeping(out)) as kept, pytest.raises(Interrupted):
        score(table, scorer, kept=kept, progress=count)


@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl", "parquet"])
def test_resumed_scores_are_the_same_as_undisturbed_ones(
    table, gaussians, tmp_path: Path, suffix: str
) -> None:
    out, measure = tmp_path / f"out.{suffix}", Spec(samples=2)
    undisturbed = score(table, ProcessScorer(gaussians(), measure)).results
    finish_some(table, gaussians(), measure, out, rows=3)
    assert not out.exists()

    process = gaussians()
    scorer = ProcessScorer(process, measure)
    with scorer.keep(keeping(out)) as kept:
        # a text against itself, and one pair in both directions, are finished
        missing = scorer.missing(table.pairs(), kept)
        assert missing == {("c", "d"), ("e", "f"), ("a", "c"), ("g", "h")}
        results = score(table, scorer, kept=kept).results
    assert process.rows < gaussians_cost(table, gaussians(), measure)
    for resumed, plain in zip(results, undisturbed, strict=True):
        assert resumed.value == pytest.approx(plain.value, rel=1e-9)
        assert resumed.per_sample == pytest.approx(plain.per_sample, rel=1e-9)

    signature = sign(process, measure)
    write_scores(out, table, results, signature)
    read = read_pairs(out)
    assert read.columns == (*table.columns, *RESULT_COLUMNS)
    assert [row.cells["n"] for row in read.rows] == [str(n) for n in range(len(PAIRS))]
    assert [float(row.cells["value"]) for row in read.rows] == [r.value for r in results]
    assert {row.cells["signature"] for row in read.rows} == {str(signature)}


def gaussians_cost(table, process, measure: Spec) -> int:
    return cost(table.pairs(), process, measure).rows


def test_rows_that_changed_meanwhile_are_computed_again(table, gaussians, tmp_path: Path) -> None:
    out, measure = tmp_path / "out.tsv", Spec()
    finish_some(table, gaussians(), measure, out, rows=3)
    (tmp_path / "pairs.tsv").write_text("n\ttext1\ttext2\n0\ta\tb\n1\tc\te\n")
    changed = read_pairs(tmp_path / "pairs.tsv")
    process = gaussians()
    scorer = ProcessScorer(process, measure)
    with scorer.keep(keeping(out)) as kept:
        assert scorer.missing(changed.pairs(), kept) == {("c", "e")}
        results = score(changed, scorer, kept=kept).results
    assert results[1].value == pytest.approx(distance("c", "e", process=process).value)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_other_settings_do_not_resume(table, gaussians, tmp_path: Path) -> None:
    out = tmp_path / "out.tsv"
    finish_some(table, gaussians(), Spec(), out, rows=3)
    before = everything(run_path(out))
    other = ProcessScorer(gaussians(guidance=3.0), Spec())
    with pytest.raises(
        InputError, match=r"begun with other settings \(guidance_scale 1.0, now 3.0\)"
    ):
        other.keep(keeping(out))
    assert everything(run_path(out)) == before
    with other.keep(keeping(out, fresh=True)) as kept:
        assert len(other.missing(table.pairs(), kept)) == 6
        assert everything(run_path(out)) == before  # nothing is removed before work begins
        score(table, other, kept=kept)
    with pytest.raises(InputError, match=r"guidance_scale 3.0, now 1.0"):
        ProcessScorer(gaussians(), Spec()).keep(keeping(out))


def test_other_seeds_samples_and_estimands_use_what_is_there(table, gaussians, tmp_path) -> None:
    out = tmp_path / "out.tsv"
    first = gaussians(guidance=2.0)
    scorer = ProcessScorer(first, Spec(samples=2))
    with scorer.keep(keeping(out)) as kept:
        score(table, scorer, kept=kept)
    spent = {}
    for name, spec in {
        "kl": Spec(samples=2, estimand="kl"),
        "fewer": Spec(seed=1),
        "three": Spec(samples=3, estimand="girsanov"),
        "other seed": Spec(seed=7),
    }.items():
        process = gaussians(guidance=2.0, batch_size=3)
        scorer = ProcessScorer(process, spec)
        with scorer.keep(keeping(out)) as kept:
            found = score(table, scorer, kept=kept)
        spent[name] = process.rows
        for result, pair in zip(found.results, PAIRS, strict=True):
            alone = distance(
                *pair,
                process=gaussians(guidance=2.0),
                samples=spec.samples,
                seed=spec.seed,
                estimand=spec.estimand,
            )
            assert result.value == pytest.approx(alone.value, rel=1e-9)
    assert spent["kl"] == spent["fewer"] == 0
    assert spent["three"] == spent["other seed"] == first.rows // 2


def test_a_folder_of_another_making_is_left_alone(gaussians, tmp_path: Path) -> None:
    out = tmp_path / "out.tsv"
    run_path(out).mkdir()
    (run_path(out) / "notes").write_text("my notes\n")
    with pytest.raises(InputError, match="is not a run folder"):
        ProcessScorer(gaussians(), Spec()).keep(keeping(out))
    assert everything(run_path(out)) == {str(run_path(out) / "notes"): b"my notes\n"}


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

"""``conjure evaluate``: how well distances agree with human scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InputError
from ..core.text import brief, shown
from ..datasets.cards import DATASETS
from ..datasets.formats import Source
from ..datasets.read import (
    SUBSAMPLE_SEED,
    Dataset,
    read_dataset,
    read_scored,
    rows_at,
    subsample,
)
from ..runs.scorers import ProcessScorer, Scorer
from ..runs.scores import Scored, samples_of
from .choosing import choose_scorer
from .completion import dataset_names, values
from .engine import EngineFlags, engine_options
from .keeping import KeepFlags, keep_options
from .options import (
    BASELINE_OPTION,
    FORMAT_OPTION,
    MEMORY_OPTION,
    OVERWRITE_OPTION,
    Checked,
    out_option,
    settings,
)
from .running import check_out, leave_unreadable, report_bad, run
from .streams import STREAM, is_stream, kind_of, stdin_bytes
from .wording import (
    estimate_lines,
    json_text,
    scorer_facts,
    signature_line,
)

if TYPE_CHECKING:
    from ..stats.correlation import Correlation, SubsetCorrelations


@click.command(cls=Checked)
@click.argument("dataset", shell_complete=values(dataset_names(), files=True))
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder of the dataset's TSVs; else the hub.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Draw that many pairs, by a fixed seed.")
@out_option("Write each pair's distance, too, into this file.")
@FORMAT_OPTION
@OVERWRITE_OPTION
@BASELINE_OPTION
@MEMORY_OPTION
@keep_options
@engine_options
@settings
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    dataset: str,
    data_dir: Path | None,
    limit: int | None,
    out: Path | None,
    kind: str | None,
    overwrite: bool,
    baseline: str | None,
    max_memory: int | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Correlate distances with human scores on DATASET.

    DATASET is a name that `conjure datasets` lists, read from --data-dir or else from the hub. Or
    it is the path of a table with the columns score, sentence1 and sentence2, and perhaps subset;
    - reads one from stdin. What is correlated is −distance. Finished work is kept in the folder
    OUT.run, or that of --run. Exit status 1: some pairs failed, and the others are correlated.
    """
    from ..stats.correlation import by_subset, check_scores, correlate

    if is_stream(out):
        raise InputError("stdout is for the correlation: let --out name a file")
    keep = KeepFlags.take(flags, out=out, overwrite=overwrite)
    engine = EngineFlags.take(flags, keep=keep, out=out, baseline=baseline)
    data = _read(dataset, data_dir, kind)
    report_bad(data.table)
    if limit is not None:
        data = subsample(data, limit)
    check_scores(data.scores)
    check_out(out, "", data.table, overwrite=overwrite, inputs=data.paths)
    scorer = choose_scorer(baseline, max_memory, flags, engine.loader())
    table, kept = leave_unreadable(data.table, scorer)
    data = replace(rows_at(data, kept), table=table)
    check_scores(data.scores)
    scored = run(data.table, scorer, out, keep=keep)
    if scored.absent:
        return 0
    results = scored.results
    data = _scored_rows(data, scored)
    samples = samples_of(results) if scorer.seeded else [result.value for result in results]
    found = correlate(data.scores, samples)
    if found.reason is not None:
        raise InputError(found.reason)
    subsets = data.subsets or ()
    parts = by_subset(data.scores, subsets, samples) if len(set(subsets)) > 1 else None
    evaluation = Evaluation(data, found, parts, scorer)
    if as_json:
        click.echo(json_text(evaluation_object(evaluation)))
    else:
        click.echo(evaluation_lines(evaluation))
    return 1 if scored.any_failed else 0


def _scored_rows(data: Dataset, scored: Scored) -> Dataset:
    """The rows of a set that have a distance; the others failed."""
    if not scored.failed:
        return data
    lines = {row.line for row in scored.table.rows}
    places = [place for place, row in enumerate(data.table.rows) if row.line in lines]
    bad = (*data.table.bad, *scored.failed)
    return replace(rows_at(data, places), table=replace(scored.table, bad=bad))


def _read(dataset: str, data_dir: Path | None, kind: str | None) -> Dataset:
    if data_dir is not None and dataset not in DATASETS:
        raise InputError(
            f"--data-dir is for a set known by name, and {brief(dataset)} is none: leave it out"
        )
    kind = kind_of(kind, Path(dataset))
    if Path(dataset) != STREAM:
        return read_dataset(dataset, data_dir)
    return read_scored(Source("stdin", kind, stdin_bytes()))


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate`` found; ``parts`` is None where the set has no subsets."""

    dataset: Dataset
    whole: Correlation
    parts: SubsetCorrelations | None
    scorer: Scorer


def evaluation_object(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as one JSON object; coefficients and their intervals are × 100.

    ``subsets`` holds a correlation for each subset, or is null where the set has none; their
    means are of Spearman's coefficient, null with a ``subset_reason`` where a subset has none.
    """
    from ..stats.correlation import correlation_object, percent

    dataset, found, parts = evaluation.dataset, evaluation.whole, evaluation.parts
    return {
        "dataset": dataset.name,
        **correlation_object(found),
        "total": dataset.total,
        "left_out": len(dataset.table.bad),
        "subsample_seed": SUBSAMPLE_SEED if found.n < dataset.total else None,
        "subsets": parts and {name: correlation_object(part) for name, part in parts.each.items()},
        "subset_mean": parts and percent(parts.mean),
        "subset_weighted_mean": parts and percent(parts.weighted_mean),
        "subset_reason": parts and parts.reason,
        **scorer_facts(evaluation.scorer),
        "signature": evaluation.scorer.signature.object(),
    }


def evaluation_lines(evaluation: Evaluation) -> str:
    """An evaluation for people; coefficients × 100."""
    facts = evaluation_object(evaluation)
    part = ""
    if facts["subsample_seed"] is not None:
        part = f" of {facts['total']}, drawn with seed {facts['subsample_seed']}"
    p_value = f"{facts['p_value']:.2g}" if facts["p_value"] else "below 1e-300"
    about = f"95 % bootstrap interval over {facts['interval_over']}: "
    lines = [
        f"{'dataset':<10} {shown(facts['dataset'])}",
        f"{'n':<10} {facts['n']} pairs{part}",
        f"{'Spearman':<10} {facts['spearman']:.2f}  ({_interval_text(facts, about)})",
        f"{'Pearson':<10} {facts['pearson']:.2f}",
        f"{'Kendall':<10} {facts['kendall']:.2f}",
        f"{'p-value':<10} {p_value}  (of Spearman, two-sided)",
        *(_subset_lines(facts) if facts["subsets"] else []),
        *_estimates(evaluation.scorer),
        signature_line(evaluation.scorer.signature),
    ]
    return "\n".join(lines)


def _estimates(scorer: Scorer) -> list[str]:
    return estimate_lines(scorer.spec) if isinstance(scorer, ProcessScorer) else []


def _interval_text(facts: dict[str, Any], about: str = "") -> str:
    """What the interval is about and its bounds, or why there is none."""
    if facts["interval"] is None:
        return f"no interval: {facts['interval_reason']}"
    low, high = facts["interval"]
    return f"{about}{low:.2f} to {high:.2f}"


def _subset_lines(facts: dict[str, Any]) -> list[str]:
    """Spearman's coefficient within each subset, and their averages."""
    means = {"mean": facts["subset_mean"], "weighted mean": facts["subset_weighted_mean"]}
    width = max(map(len, [*(shown(name, 40) for name in facts["subsets"]), *means]))
    lines = [f"{'subsets':<10} Spearman within each"]
    for name, part in facts["subsets"].items():
        noun = "pair " if part["n"] == 1 else "pairs"
        row = f"  {shown(name, 40):<{width}}  {part['n']:>5} {noun}  "
        if part["spearman"] is None:
            lines.append(f"{row}none: {part['reason']}")
        else:
            lines.append(f"{row}{part['spearman']:6.2f}  ({_interval_text(part)})")
    for name, value in means.items():
        figure = f"none: {shown(facts['subset_reason'])}" if value is None else f"{value:6.2f}"
        lines.append(f"  {name:<{width}}  {'':>5}        {figure}")
    return lines

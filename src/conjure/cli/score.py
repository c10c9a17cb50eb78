"""``conjure score``: a table of pairs → a table of distances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..core.errors import InputError
from ..core.text import number_of
from ..datasets.tables import read_pairs
from .choosing import choose_scorer
from .engine import EngineFlags, engine_options
from .keeping import KeepFlags, keep_options
from .options import (
    BASELINE_OPTION,
    COLUMNS_OPTION,
    FORMAT_OPTION,
    MEMORY_OPTION,
    OVERWRITE_OPTION,
    Checked,
    out_option,
    settings,
)
from .running import check_out, leave_unreadable, report_bad, report_columns, run
from .streams import is_stream, kind_of, table_source
from .wording import tell


@click.command(cls=Checked)
@click.argument("pairs", type=click.Path(path_type=Path))
@out_option("TSV, CSV, JSONL or Parquet file, or - for stdout.", required=True)
@COLUMNS_OPTION
@FORMAT_OPTION
@OVERWRITE_OPTION
@BASELINE_OPTION
@MEMORY_OPTION
@keep_options
@engine_options
@settings
def score(
    pairs: Path,
    out: Path,
    columns: tuple[str, str] | None,
    kind: str | None,
    overwrite: bool,
    baseline: str | None,
    max_memory: int | None,
    **flags: Any,
) -> int:
    """Score each row of PAIRS, a TSV, CSV, JSONL or Parquet file, or - for stdin, into OUT.

    Other columns are carried along. Finished work is kept in the folder OUT.run: after an
    interruption the same command continues there. With --out - nothing is kept unless --run names a
    folder, and the rows are written when all are finished. Exit status 1: some pairs failed.
    """
    kind = kind_of(kind, pairs, out)
    keep = KeepFlags.take(flags, out=out, overwrite=overwrite)
    engine = EngineFlags.take(flags, keep=keep, out=out, baseline=baseline)
    table = read_pairs(table_source(pairs, kind), columns)
    if not table.rows:
        report_bad(table)
        name = "stdin" if is_stream(pairs) else pairs
        raise InputError(f"{name} has no pair of texts to score")
    inputs = [] if is_stream(pairs) else [pairs]
    check_out(out, kind, table, overwrite=overwrite, inputs=inputs)
    report_columns(table)
    report_bad(table)
    scorer = choose_scorer(baseline, max_memory, flags, engine.loader())
    table, _ = leave_unreadable(table, scorer)
    scored = run(table, scorer, out, kind, keep=keep)
    where = "" if is_stream(out) or scored.absent else f": {out}"
    tell(f"{number_of(len(scored.results), 'pair')} scored{where}")
    return 1 if scored.any_failed else 0

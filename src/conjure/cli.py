"""The command line: ``conjure distance``, ``score``, ``evaluate``, ``datasets`` and ``bench``.

The only place that chooses process and files. Whatever the user got wrong is one line on stderr
and exit status 2; an interrupted run exits with 130. torch loads when a command needs it.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import __version__, presentation, scoring
from .bench.commands import bench
from .core.errors import ConjureError, InputError
from .processes.settings import DTYPES, SAMPLERS
from .scoring import Measure, Partial, Result
from .tables import PairTable, read_pairs, text_fault

if TYPE_CHECKING:
    from .core.process import GenerativeProcess

Command = TypeVar("Command", bound=Callable[..., Any])

# The names, and with them the defaults, are those of conjure.load and conjure.distance: a flag
# that is not given is not passed on.
PROCESS_OPTIONS = (
    click.option("--process", help="Hub id or folder of a pipeline; by default the bundled one."),
    click.option("--sampler", help=", ".join(SAMPLERS) + "."),
    click.option("--steps", type=int, help="T, the number of sampling steps."),
    click.option("--guidance", type=float, help="w in ε_∅ + w (ε_y − ε_∅); 1 is unguided."),
    click.option("--device", help="cpu, cuda, cuda:1, mps, …"),
    click.option("--dtype", help=f"Arithmetic inside the network: {', '.join(DTYPES)}."),
    click.option("--batch-size", type=int, help="Most rows that the network is given at once."),
    click.option(
        "--compile", is_flag=True, default=None, help="Compile the network: for runs of minutes."
    ),
    click.option("--revision", help="Commit, tag or branch of a hub id."),
    click.option("--variant", help="Variant of the weights, such as fp16."),
    click.option("--allow-pickle", is_flag=True, default=None, help="Accept pickled weights."),
)
MEASURE_OPTIONS = (
    click.option("--samples", type=int, help="k, the noises to average over.  [default: 1]"),
    click.option("--seed", type=int, help="Sample i starts from seed + i.  [default: 0]"),
    click.option(
        "--estimand",
        help="jeffreys, kl, initial, final, output, coupled, girsanov, pointwise:STEP or "
        "cumulative:STEP.  [default: jeffreys]",
    ),
)


_UNITS = {
    "": 1,
    **{f"{prefix}b": 1000**n for n, prefix in enumerate(("", "k", "m", "g", "t"))},
    **{f"{prefix}ib": 1024**n for n, prefix in enumerate(("k", "m", "g", "t"), start=1)},
}


def _bytes(context: click.Context, option: click.Parameter, given: str | None) -> int | None:
    """An amount of memory as people write it: 2GB, 512MiB, or a number of bytes."""
    if given is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([a-z]*)", given.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise click.BadParameter(f"{given!r} is no amount of memory; write 2GB or 512MiB")
    return int(float(found[1]) * _UNITS[found[2]])


MEMORY_OPTION = click.option(
    "--max-memory",
    metavar="SIZE",
    callback=_bytes,
    help="Most that trajectories may take, such as 2GB.  [default: a quarter of what is free]",
)


def _settings(command: Command) -> Command:
    """Add the flags of process and measure, in the order in which they are listed."""
    for option in reversed((*PROCESS_OPTIONS, *MEASURE_OPTIONS)):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """How far apart are two texts, by the images that they conjure in a diffusion model?"""


@cli.command()
@click.argument("text1")
@click.argument("text2")
@_settings
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, terms included.")
def distance(text1: str, text2: str, as_json: bool, **flags: Any) -> None:
    """The distance between TEXT1 and TEXT2."""
    for name, text in (("first", text1), ("second", text2)):
        if fault := text_fault(text):
            raise InputError(f"the {name} text {fault}")
    process, measure = _choose(flags)
    from .similarity import distance as measured

    found = measured(text1, text2, process=process, **asdict(measure))
    if as_json:
        click.echo(json.dumps(presentation.distance_object(found)))
    else:
        click.echo(presentation.distance_lines(found))


@cli.command()
@click.argument("pairs", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="TSV, CSV, JSONL or Parquet file."
)
@click.option(
    "--columns",
    nargs=2,
    metavar="A B",
    help="The two columns of texts; by default sentence1 and "
    "sentence2, or text1 and text2, or else the first two.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace OUT, and a partial file of other settings."
)
@MEMORY_OPTION
@_settings
def score(
    pairs: Path,
    out: Path,
    columns: tuple[str, str] | None,
    overwrite: bool,
    max_memory: int | None,
    **flags: Any,
) -> None:
    """Score each row of PAIRS, a TSV, CSV, JSONL or Parquet file, into OUT.

    Other columns are carried along. Finished rows are kept in OUT.partial: stopped for whatever
    reason, the same command goes on where it was.
    """
    table = read_pairs(pairs, columns)
    _report_bad(table)
    if not table.rows:
        raise InputError(f"{pairs} has no pair of texts to score")
    scoring.check_out(out, table, overwrite=overwrite)
    process, measure = _choose(flags)
    _run(table, process, measure, out, overwrite=overwrite, max_memory=max_memory)
    click.echo(f"{len(table.rows)} pairs scored: {out}", err=True)


@cli.command()
@click.argument("dataset")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder of the dataset's TSVs; else the hub.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Draw that many pairs, by a fixed seed.")
@click.option("--out", type=click.Path(path_type=Path), help="Write each pair's distance, too.")
@click.option(
    "--overwrite", is_flag=True, help="Replace OUT, and a partial file of other settings."
)
@MEMORY_OPTION
@_settings
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    dataset: str,
    data_dir: Path | None,
    limit: int | None,
    out: Path | None,
    overwrite: bool,
    max_memory: int | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Correlate distances with human scores on DATASET.

    DATASET is a name that `conjure datasets` lists, read from --data-dir or else from the hub, or
    the path of a table with the columns score, sentence1 and sentence2, and perhaps subset. What is
    correlated is −distance.
    """
    from .benchmarks.correlation import by_subset, check_scores, correlate
    from .benchmarks.datasets import read_dataset, subsample

    data = read_dataset(dataset, data_dir)
    _report_bad(data.table)
    if limit is not None:
        data = subsample(data, limit)
    check_scores(data.scores)
    if out is not None:
        scoring.check_out(out, data.table, overwrite=overwrite)
    process, measure = _choose(flags)
    results = _run(data.table, process, measure, out, overwrite=overwrite, max_memory=max_memory)
    samples = list(zip(*(result.per_sample for result in results), strict=True))
    found = correlate(data.scores, samples)
    if found.reason is not None:
        raise InputError(found.reason)
    subsets = data.subsets or ()
    parts = by_subset(data.scores, subsets, samples) if len(set(subsets)) > 1 else None
    evaluation = presentation.Evaluation(data, found, parts, measure.signature(process))
    if as_json:
        click.echo(json.dumps(presentation.evaluation_object(evaluation)))
    else:
        click.echo(presentation.evaluation_lines(evaluation))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def datasets(as_json: bool) -> None:
    """List the human-annotated sets: size, scale, subsets, source, licence and files."""
    from .benchmarks.cards import DATASETS

    if as_json:
        listed = [presentation.dataset_object(name, card) for name, card in DATASETS.items()]
        click.echo(json.dumps(listed))
    else:
        lines = [presentation.dataset_lines(name, card) for name, card in DATASETS.items()]
        click.echo("\n\n".join(lines))


cli.add_command(bench)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a character still gets its line
            stream.reconfigure(errors="backslashreplace")
    try:
        with _one_line_warnings():
            status = cli.main(arguments, prog_name="conjure", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _refuse(error.format_message())
    except (ConjureError, OSError) as error:  # such as a disk that is full
        return _refuse(str(error))
    except click.Abort:  # what click makes of Ctrl-C
        click.echo("conjure: stopped", err=True)
        return 130
    return status if isinstance(status, int) else 0


def _refuse(message: str) -> int:
    click.echo(f"conjure: {' '.join(message.split())}", err=True)
    return 2


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Show a warning as a line for people, without the line of code that gave it."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: click.echo(f"conjure: {message}", err=True)
        yield


def _choose(flags: dict[str, Any]) -> tuple[GenerativeProcess, Measure]:
    """The process and measure that the flags name; what was not given is left to the library."""
    from . import load

    given = {name: value for name, value in flags.items() if value is not None}
    measure = Measure(**{n: given.pop(n) for n in ("samples", "seed", "estimand") if n in given})
    source = [given.pop("process")] if "process" in given else []
    process = load(*source, **given)
    measure.check(process)
    return process, measure


def _run(
    table: PairTable,
    process: GenerativeProcess,
    measure: Measure,
    out: Path | None,
    *,
    overwrite: bool,
    max_memory: int | None,
) -> list[Result]:
    """Score a table with a progress bar; into ``out``, resumably, where it is given."""
    from .core.memory import automatic_bound

    bound = automatic_bound(process.device) if max_memory is None else max_memory
    if out is None:
        return _score_aloud(table, process, measure, None, bound)
    signature = measure.signature(process)
    with Partial(out, signature, overwrite=overwrite) as partial:
        try:
            results = _score_aloud(table, process, measure, partial, bound)
        except (KeyboardInterrupt, ConjureError, OSError):
            if partial.done:
                click.echo(
                    f"conjure: {len(partial.done)} finished rows are kept in {partial.path}; "
                    "the same command goes on from there",
                    err=True,
                )
            raise
    scoring.write_scores(out, table, results, signature)
    partial.path.unlink()
    return results


def _score_aloud(
    table: PairTable,
    process: GenerativeProcess,
    measure: Measure,
    partial: Partial | None,
    bound: int,
) -> list[Result]:
    """Say what it will cost, then score; the bar is drawn on a terminal only."""
    from tqdm import tqdm

    pairs = [(text1, text2) for _, text1, text2 in scoring.pending(table, partial)]
    total, kept = len(table.rows), len(table.rows) - len(pairs)
    cost = measure.cost(pairs, process, bound)
    already = f", {kept} of them finished earlier" if kept else ""
    again = f", {cost.recomputed:,} of them again for want of memory" if cost.recomputed else ""
    click.echo(
        f"conjure: {total} pairs{already}: {cost.rows:,} network rows to compute{again}", err=True
    )
    with tqdm(total=total, initial=kept, unit="pair", disable=None) as bar:
        return scoring.score(
            table, process, measure, partial=partial, max_memory=bound, progress=bar.update
        )


def _report_bad(table: PairTable) -> None:
    for row in table.bad:
        click.echo(f"conjure: line {row.line} left out: {row.reason}", err=True)

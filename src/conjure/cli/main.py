"""The command line: ``conjure distance``, ``score``, ``evaluate``, ``reproduce``, ``datasets``, ….

The only place that chooses process and files. Whatever the user got wrong is one line on stderr
and exit status 2; an interrupted run exits with 130. torch loads when a command needs it.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..core.errors import ConjureError, InputError
from ..core.text import number_of, text_fault
from ..datasets.files import refused
from ..datasets.tables import read_pairs
from ..runs import scores as scoring
from . import wording as presentation
from .options import MEMORY_OPTION, Commands, choose, settings
from .reproduce import reproduce
from .running import leave_unreadable, report_bad, report_columns, run
from .wording import json_text, tell

WARNINGS_OF_A_KIND = 5  # that are told in full
BROKEN_PIPE = 141  # 128 + SIGPIPE, as other programs end whose reader has gone
INTERRUPTED = 130  # 128 + SIGINT


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """How far apart are two texts, by the images that they conjure in a diffusion model?"""


@cli.command()
@click.argument("text1")
@click.argument("text2")
@settings
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, terms included.")
def distance(text1: str, text2: str, as_json: bool, **flags: Any) -> None:
    """The distance between TEXT1 and TEXT2."""
    for name, text in (("first", text1), ("second", text2)):
        if fault := text_fault(text):
            raise InputError(f"the {name} text {fault}")
    process, spec = choose(flags)
    from ..similarity import stream

    [(_, found)] = stream([(text1, text2)], process, spec)
    if as_json:
        click.echo(json_text(presentation.distance_object(found, process)))
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
@settings
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
    if not table.rows:
        report_bad(table)
        raise InputError(f"{pairs} has no pair of texts to score")
    scoring.check_out(out, table, overwrite=overwrite, inputs=[pairs])
    report_columns(table)
    report_bad(table)
    process, spec = choose(flags)
    table, _ = leave_unreadable(table, process)
    run(table, process, spec, out, overwrite=overwrite, max_memory=max_memory)
    tell(f"{number_of(len(table.rows), 'pair')} scored: {out}")


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
@settings
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
    from ..datasets.read import read_dataset, rows_at, subsample
    from ..stats.correlation import by_subset, check_scores, correlate

    data = read_dataset(dataset, data_dir)
    report_bad(data.table)
    if limit is not None:
        data = subsample(data, limit)
    check_scores(data.scores)
    if out is not None:
        scoring.check_out(out, data.table, overwrite=overwrite, inputs=data.paths)
    process, spec = choose(flags)
    table, kept = leave_unreadable(data.table, process)
    data = replace(rows_at(data, kept), table=table)
    check_scores(data.scores)
    from ..core.spec import sign

    results = run(data.table, process, spec, out, overwrite=overwrite, max_memory=max_memory)
    samples = scoring.samples_of(results)
    found = correlate(data.scores, samples)
    if found.reason is not None:
        raise InputError(found.reason)
    subsets = data.subsets or ()
    parts = by_subset(data.scores, subsets, samples) if len(set(subsets)) > 1 else None
    evaluation = presentation.Evaluation(data, found, parts, spec, sign(process, spec), process)
    if as_json:
        click.echo(json_text(presentation.evaluation_object(evaluation)))
    else:
        click.echo(presentation.evaluation_lines(evaluation))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def datasets(as_json: bool) -> None:
    """List the human-annotated sets: size, scale, subsets, source, licence and files."""
    from ..datasets.cards import DATASETS

    if as_json:
        listed = [presentation.dataset_object(name, card) for name, card in DATASETS.items()]
        click.echo(json_text(listed))
    else:
        lines = [presentation.dataset_lines(name, card) for name, card in DATASETS.items()]
        click.echo("\n\n".join(lines))


@cli.command(hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1)
def bench(arguments: tuple[str, ...]) -> None:
    """Where the timings went."""
    raise InputError(
        "timing is not part of the package: in a source checkout, write python -m benchmarks "
        f"{' '.join(arguments)}".rstrip()
    )


cli.add_command(reproduce)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    atexit.register(
        gc.freeze
    )  # or Python, ending, looks for garbage in all of torch: half a second
    if sys.stderr is None:  # closed: what opens next would be given its place
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is None:
        return _refuse("stdout is closed, so the result would be lost: send it to a file")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a character still gets its line
            stream.reconfigure(errors="backslashreplace")
    status = _status(arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        _abandon_stdout()
        return status or _refuse(f"the result could not be written: {refused(error)}")
    return status


def _status(arguments: Sequence[str] | None) -> int:
    """The exit status of the command, what is wrong being told."""
    try:
        with _one_line_warnings():
            status = cli.main(arguments, prog_name="conjure", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _refuse(error.format_message())
    except ConjureError as error:
        return _refuse(_flags(str(error)))
    except Warning as error:  # which PYTHONWARNINGS=error raises
        return _refuse(str(error))
    except OSError as error:  # such as a disk that is full
        return _refuse(refused(error))
    except click.Abort:  # what click makes of Ctrl-C
        tell("stopped")
        return INTERRUPTED
    except SystemExit:  # what click makes of a pipe whose reader has gone
        _abandon_stdout()
        tell("stdout was closed before all was written")
        return BROKEN_PIPE
    return status if isinstance(status, int) else 0


def _refuse(message: str) -> int:
    tell(message)
    return 2


def _flags(message: str) -> str:
    """A message of the library in the words of the command line.

    >>> _flags("batch_size must be a whole number"), _flags("pass allow_pickle=True")
    ('--batch-size must be a whole number', 'pass --allow-pickle')
    """
    message = re.sub(r"\b(allow_pickle)=True\b", lambda found: _flag(found[1]), message)
    return re.sub(r"^([a-z]+_[a-z]+)(?= must be )", lambda found: _flag(found[1]), message)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _abandon_stdout() -> None:
    """Send what stdout still holds nowhere: Python, ending, would try to write it once more."""
    with suppress(OSError, ValueError):  # a stdout without a descriptor of its own, in tests
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Show warnings as lines for people, of each kind the first few and in the end how many more.

    Without the line of code that gave it; a set of sentences may hold hundreds that are too long.
    """
    told: dict[str, list[str]] = defaultdict(list)

    def show(message: Warning | str, category: type[Warning]) -> None:
        told[category.__name__].append(str(message))
        if len(told[category.__name__]) <= WARNINGS_OF_A_KIND:
            tell(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = lambda message, category, *_: show(message, category)
        try:
            yield
        finally:
            for messages in told.values():
                more = len(messages) - WARNINGS_OF_A_KIND
                if more > 0:
                    tell(f"{more} more like this: {messages[-1]}")

"""``conjure compare``: the same pairs under several processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InputError
from ..core.spec import Spec
from ..core.text import brief
from ..datasets.cards import DATASETS
from ..datasets.files import check_folder
from ..datasets.read import SCORE, SUBSET, read_dataset, subsample
from ..datasets.tables import left_out, read_pairs
from ..processes.settings import ProcessSettings
from ..runs.parts import Part, PartFinished
from ..runs.stopping import Stopped, stoppable
from .completion import dataset_names, values
from .engine import EngineFlags, engine_options
from .keeping import SHARD_OPTION, KeepFlags, tell_folder
from .matrix_texts import read_list
from .names import names, typed
from .options import MEASURE_OPTIONS, MEMORY_OPTION, PROCESS_OPTIONS, Checked
from .wording import json_text, tell

if TYPE_CHECKING:
    from ..comparison.measure import Subject
    from ..core.process import GenerativeProcess
    from ..report.report import Report
    from ..runs.passes import Passes

KEPT = "measured"  # folder within OUT; an interrupted run continues from it


def _process_settings(command: Any) -> Any:
    """The flags of a process, which hold for all of them, and those of a measure."""
    for option in reversed((*PROCESS_OPTIONS[1:], *MEASURE_OPTIONS)):
        command = option(command)
    return command


@click.command(cls=Checked)
@click.argument(
    "processes", metavar="PROCESS PROCESS …", nargs=-1, shell_complete=values(["emoji"], files=True)
)
@click.option(
    "--pairs",
    shell_complete=values(dataset_names(), files=True),
    help="A set that `conjure datasets` lists, or a file of pairs, with or without human scores.",
)
@click.option("--words", type=click.Path(path_type=Path), help="A file with a word or text a line.")
@click.option(
    "--target", multiple=True, callback=names, help="Words that an edit erased, by commas."
)
@click.option(
    "--bystander", multiple=True, callback=names, help="Words that it should leave alone."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder of a known set's TSVs; else the hub.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Draw that many pairs, by a fixed seed.")
@click.option(
    "--top",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many of the pairs that are ranked most unlike are listed.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("comparison"),
    show_default=True,
    help="Folder of the results, and of the finished work of an interrupted run.",
)
@SHARD_OPTION
@engine_options
@MEMORY_OPTION
@_process_settings
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(processes: tuple[str, ...], out: Path, as_json: bool, **flags: Any) -> None:
    """Compare two or more processes on the same pairs, beside what other seeds alone change.

    Give --pairs, --words, or --target and --bystander. Each process is measured under the first
    --samples seeds and under the next ones. Settings such as --steps hold for all processes.
    Finished work is kept in OUT/measured, and the same command goes on from there.
    """
    from ..report.render import terminal_text

    keep = KeepFlags(run=out / KEPT, part=flags.pop("part"))
    engine = EngineFlags.take(flags, keep=keep)
    if engine.engine != "local" and flags["target"]:
        raise InputError("--target compares two networks here: leave --engine ray out")
    asked = Asked.of(processes, flags)
    check_folder(out)
    start = time.monotonic()
    load = engine.loader()
    loaded = labelled(processes, [load(source, **asked.settings) for source in processes])
    try:
        with stoppable(tell):
            report = _report(asked, loaded, out, keep.part)
    except PartFinished as error:
        tell(str(error))
        return
    first = next(iter(loaded.values()))
    _write(report, out, time.monotonic() - start, first)
    click.echo(json_text(dict(report.objects or {})) if as_json else terminal_text(report))


def _report(
    asked: Asked, processes: dict[str, GenerativeProcess], out: Path, part: Part | None
) -> Report:
    """Measure what is missing, and report. Raises PartFinished where a part has no more to do."""
    from ..runs.passes import Passes

    with Passes(
        out / KEPT,
        samples=asked.spec.samples,
        seed=asked.spec.seed,
        max_memory=asked.max_memory,
        say=tell,
        bar=True,
        part=part,
    ) as passes:
        try:
            return asked.report(processes, passes, out)
        except (KeyboardInterrupt, Stopped):
            passes.close()
            tell_folder(out / KEPT)
            raise


def labelled(
    sources: Sequence[str], processes: Sequence[GenerativeProcess]
) -> dict[str, GenerativeProcess]:
    """Processes by the last part of what was typed: a copy of a model often keeps its name.

    Where two end alike, the whole is the label. Raises InputError for one process given twice.
    """
    from ..core.spec import sign_process

    labels = [Path(source).name for source in sources]
    labels = labels if len(set(labels)) == len(labels) else list(sources)
    keys: dict[str, str] = {}
    for label, process in zip(labels, processes, strict=True):
        digest = sign_process(process).digest
        if digest in keys:
            raise InputError(
                f"{brief(keys[digest])} and {brief(label)} are the same process: give another; "
                "what other seeds change is part of every comparison"
            )
        keys[digest] = label
    return dict(zip(labels, processes, strict=True))


class Asked:
    """What the flags ask for. Everything that can be checked without a process is checked."""

    def __init__(self, flags: dict[str, Any]) -> None:
        self.target: Sequence[str] = flags.pop("target") or ()
        self.bystander: Sequence[str] = flags.pop("bystander") or ()
        self.top: int = flags.pop("top")
        self.max_memory: int | None = flags.pop("max_memory")
        self.subject: Subject | None = _subject(
            flags.pop("pairs"),
            flags.pop("words"),
            flags.pop("data_dir"),
            flags.pop("limit"),
            erasure=bool(self.target or self.bystander),
        )
        given = {name: value for name, value in flags.items() if value is not None}
        spec = {name: given.pop(name) for name in ("samples", "seed", "estimand") if name in given}
        self.spec = Spec(**spec)
        ProcessSettings(**given)
        self.settings = given

    @classmethod
    def of(cls, processes: Sequence[str], flags: dict[str, Any]) -> Asked:
        from ..comparison.erasure import words_of
        from ..report.plots.style import check_matplotlib

        if len(processes) < 2:
            raise InputError(
                f"compare needs two processes or more, not {len(processes)}: give hub ids or "
                "folders, or emoji for the bundled one"
            )
        asked = cls(flags)
        if asked.subject is None:
            words_of(asked.target, asked.bystander)
        check_matplotlib()
        return asked

    def report(self, processes: dict[str, GenerativeProcess], passes: Passes, out: Path) -> Report:
        from ..comparison.erasure import erasure
        from ..comparison.measure import check_readable, measure
        from ..comparison.rankings import report

        if self.subject is None:
            check_readable(processes, [*self.target, *self.bystander])
            return erasure(
                processes,
                self.target,
                self.bystander,
                passes,
                self.spec.estimand,
                out,
                say=tell,
            )
        check_readable(processes, [text for pair in self.subject.pairs for text in pair])
        found = measure(processes, self.subject, passes, self.spec.estimand, say=tell)
        return report(found, out, self.top)


def _subject(
    pairs: str | None,
    words: Path | None,
    data_dir: Path | None,
    limit: int | None,
    *,
    erasure: bool,
) -> Subject | None:
    """The pairs that are compared; None where it is targets and bystanders."""
    given = {"--pairs": pairs, "--words": words, "--target and --bystander": erasure or None}
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) != 1:
        what = " and ".join(chosen) + " exclude each other" if chosen else "nothing to compare on"
        raise InputError(f"{what}: give --pairs, --words, or --target and --bystander")
    for flag, value in (("--data-dir", data_dir), ("--limit", limit)):
        if value is not None and pairs is None:
            raise InputError(f"{flag} goes with --pairs: leave it out")
    if pairs is not None:
        return _pairs(pairs, data_dir, limit)
    if words is None:
        return None
    from ..comparison.measure import all_words

    return all_words(read_list(words))


def _pairs(name: str, data_dir: Path | None, limit: int | None) -> Subject:
    """A known set, or a file; people's scores are used where there is a column of them."""
    from ..comparison.measure import Subject
    from ..stats.correlation import check_scores

    if data_dir is not None and name not in DATASETS:
        raise InputError(
            f"--data-dir is for a set known by name, and {brief(name)} is none: leave it out"
        )
    if name not in DATASETS and Path(name).suffix:
        table = read_pairs(Path(name))
        if SCORE not in table.columns:
            for line in left_out(table.bad):
                tell(line)
            if limit is not None:
                raise InputError("--limit draws from a set with human scores; this one has none")
            subsets = None
            if SUBSET in table.columns:
                subsets = [str(row.cells[SUBSET]) for row in table.rows]
            return Subject(Path(name).name, table.pairs(), subsets)
    data = read_dataset(name, data_dir)
    for line in left_out(data.table.bad):
        tell(line)
    data = data if limit is None else subsample(data, limit)
    check_scores(data.scores)
    title = data.name if name in DATASETS else Path(data.name).name
    return Subject(title, data.table.pairs(), data.subsets, data)


def _write(report: Report, out: Path, seconds: float, process: GenerativeProcess) -> None:
    from ..report.writing import Origin, write_report

    origin = Origin(typed(click.get_current_context()), seconds, process.device)
    tell(f"written: {', '.join(map(str, write_report(report, out, origin.lines())))}")

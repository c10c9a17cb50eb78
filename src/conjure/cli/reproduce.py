"""``conjure reproduce``: the paper's tables and figures, each one command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..core.errors import ConjureError
from ..core.text import number_of
from ..datasets.files import check_folder, refused
from ..paper.experiments import EXPERIMENTS, Experiment
from ..paper.rows import GROUPS
from ..paper.run import KEPT, Run, RunOptions
from ..processes.sources import known_sources
from ..runs.parts import PartFinished
from ..runs.stopping import Stopped, stoppable
from .choosing import load_process
from .completion import BASELINES, dataset_names, values
from .engine import EngineFlags, engine_options
from .keeping import SHARD_OPTION, KeepFlags, tell_folder
from .moved import FORMER_GROUPS
from .names import names, typed
from .options import MEMORY_OPTION, PROCESS_OPTIONS, Commands
from .wording import tell

Command = Callable[..., Any]


def _rows(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> Any:
    """Names of rows; a former name of a group means the same group as before."""
    rows = names(context, option, given)
    return rows and tuple(FORMER_GROUPS.get(row, row) for row in rows)


_SOME_ROWS = (GROUPS["diffusion"][0], GROUPS["diffusion"][-1], "paragon", "bert-mean")
_FLAGS: dict[str, Callable[[Command], Command]] = {
    "rows": click.option(
        "--rows",
        multiple=True,
        callback=_rows,
        shell_complete=values([*GROUPS, *GROUPS["diffusion"], *BASELINES], listed=True),
        help=f"Rows, separated by commas: {', '.join(_SOME_ROWS)}, …, groups "
        "(diffusion, baselines), encoder=ID_OR_FOLDER[:mean|cls|eos], "
        "lm=ID_OR_FOLDER[:prompted][:topK][:strip].",
    ),
    "datasets": click.option(
        "--datasets",
        multiple=True,
        callback=names,
        shell_complete=values(dataset_names(), listed=True, files=True),
        help="Sets, separated by commas: names that `conjure datasets` lists, or files.",
    ),
    "limit": click.option(
        "--limit",
        type=click.IntRange(min=1),
        help="Draw that many pairs of each set, by a fixed seed; every output says so.",
    ),
}
_COMMON = (
    click.option(
        "--samples", type=click.IntRange(min=1), help="k.  [default: 1; of figures 2 and 3: 5]"
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Sample i starts from seed + i.",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("results"),
        show_default=True,
        help="Folder of the results, and of the finished work of an interrupted run.",
    ),
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="Folder of the sets' TSVs; else the hub.",
    ),
    MEMORY_OPTION,
    SHARD_OPTION,
    engine_options,
)
_SEVERAL = click.option(
    "--process",
    multiple=True,
    shell_complete=values(known_sources, files=True),
    help="Hub id or folder of a pipeline; by default the bundled one. Several are compared in "
    "figure 3 and agreement; the rest is measured on the first.",
)


@click.group(cls=Commands)
def reproduce() -> None:
    """The paper's tables and figures, measured on any process; see docs/reproduce.md."""


def _add(name: str, help: str, experiments: dict[str, Experiment]) -> None:
    """A command that runs these one after the other, with the flags that any of them takes."""

    def command(**flags: Any) -> int:
        with stoppable(tell), _run(flags) as run:
            try:
                status = _carry_out(run, experiments)
            except (KeyboardInterrupt, Stopped):
                run.close()
                tell_folder(run.options.out / KEPT)
                raise
            try:
                run.close()
            except (ConjureError, OSError) as error:  # the result is written, its parts are not
                tell(refused(error) if isinstance(error, OSError) else str(error))
                return 1
            return status

    taken = {flag for experiment in experiments.values() for flag in experiment.flags}
    process, *settings = PROCESS_OPTIONS
    own = [add for flag, add in _FLAGS.items() if flag in taken]
    several = [_SEVERAL if "processes" in taken else process, *settings]
    for option in reversed([*own, *_COMMON, *several]):
        command = option(command)
    reproduce.command(name, help=help)(command)


def _run(flags: dict[str, Any]) -> Run:
    own = {
        option for option in RunOptions.__dataclass_fields__ if option not in ("process", "extra")
    }
    chosen = {name: flags.pop(name) for name in own & flags.keys()}
    keep = KeepFlags(run=chosen["out"] / KEPT, part=chosen["part"])
    engine = EngineFlags.take(flags, keep=keep)
    extra = {"samples": chosen["samples"]}  # None where the command is to choose
    chosen["samples"] = chosen["samples"] or 1
    check_folder(chosen["out"])
    process = {name: value for name, value in flags.items() if value not in (None, ())}
    if isinstance(process.get("process"), tuple):
        process["process"], *extra["others"] = process["process"]
    return Run(
        RunOptions(process=process, extra=extra, **chosen),
        say=tell,
        command=typed(click.get_current_context()),
        bar=True,
        load=engine.loader(),
        load_here=load_process,
    )


def _carry_out(run: Run, experiments: dict[str, Experiment]) -> int:
    """Run them in turn; returns the exit status, 1 if rows or some of the experiments failed.

    What fails is reported at once and again at the end; the others go on. Raises the error where
    there is nothing else.
    """
    failed: dict[str, Exception] = {}
    for name, experiment in experiments.items():
        try:
            click.echo(experiment.run(run))
        except PartFinished as error:
            run.say(f"{name}: {error}")
        except (ConjureError, OSError) as error:
            if len(experiments) == 1:
                raise
            run.say(f"{name} failed: {refused(error) if isinstance(error, OSError) else error}")
            failed[name] = error
    if len(failed) == len(experiments):
        raise ConjureError(f"all {len(experiments)} failed: {', '.join(failed)}")
    if failed:
        run.say(f"{len(failed)} of {len(experiments)} failed: {', '.join(failed)}")
    if rows := list(dict.fromkeys(run.failed)):
        run.say(
            f"{number_of(len(rows), 'row')} failed, so the result is not complete: "
            f"{', '.join(rows)}"
        )
    return 1 if failed or rows else 0


for _name, _experiment in EXPERIMENTS.items():
    _add(_name, _experiment.help, {_name: _experiment})
_add(
    "all",
    "Every table and figure, one after the other; where one fails the others go on.",
    EXPERIMENTS,
)

"""The flags that say where a run keeps finished work, and how it goes on from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..core.errors import InputError
from ..runs.parts import Part, read_part
from ..runs.scorers import Keeping
from ..runs.scores import run_path
from .streams import is_stream
from .wording import tell

if TYPE_CHECKING:
    from ..datasets.tables import PairTable
    from ..runs.scorers import Scorer

Command = TypeVar("Command", bound=Callable[..., Any])
RESUME = ("missing", "verify", "fresh")


def _part(context: click.Context, option: click.Parameter, given: str | None) -> Part | None:
    try:
        return None if given is None else read_part(given)
    except InputError as error:
        raise click.BadParameter(str(error)) from error


RUN_OPTION = click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of finished work, which stays.  [default: OUT.run, until OUT is complete]",
)
RESUME_OPTION = click.option(
    "--resume",
    type=click.Choice(RESUME),
    default="missing",
    show_default=True,
    help="Compute what is missing; verify a sample of what is there, too; or begin afresh.",
)
SHARD_OPTION = click.option(
    "--shard",
    "part",
    metavar="I/N",
    callback=_part,
    help="Do part I of N of the work, as one of N processes; see docs/scaling.md.",
)


def keep_options(command: Command) -> Command:
    """Add --run, --resume and --shard."""
    for option in (SHARD_OPTION, RESUME_OPTION, RUN_OPTION):
        command = option(command)
    return command


@dataclass(frozen=True)
class KeepFlags:
    """What the flags say. overwrite: whether a run of other settings beside OUT may be replaced."""

    run: Path | None = None
    resume: str = "missing"
    part: Part | None = None
    overwrite: bool = False

    @classmethod
    def take(cls, flags: dict[str, Any], *, out: Path | None, overwrite: bool) -> KeepFlags:
        """Take them out of a command's flags. Raises InputError before anything is loaded."""
        taken = {name: flags.pop(name) for name in ("run", "resume", "part")}
        keep = cls(**taken, overwrite=overwrite)
        folder = keep.folder(out)
        if folder is not None:
            from ..runs.manifest import check_run_folder

            check_run_folder(folder)
        elif keep.resume != "missing" or keep.part is not None:
            raise InputError("--resume and --shard need finished work that is kept: give --run DIR")
        if keep.part is not None and flags.get("tolerance") is not None:
            raise InputError("--tolerance cannot go with --shard: no shard knows how many samples")
        return keep

    def folder(self, out: Path | None) -> Path | None:
        """Where finished work is kept, if anywhere."""
        if self.run is not None or out is None or is_stream(out):
            return self.run
        return run_path(out)

    def open(self, scorer: Scorer, folder: Path, table: PairTable) -> Any:
        """The kept work of a scorer. Raises InputError where the folder has other settings."""
        text = json.dumps(table.pairs(), ensure_ascii=True)
        facts = {"data": "sha256-" + hashlib.sha256(text.encode()).hexdigest()[:32]}
        keeping = Keeping(folder, self.resume == "fresh", self.part, facts)
        try:
            return scorer.keep(keeping)
        except InputError:
            if not self.overwrite or self.run is not None:
                raise
            return scorer.keep(replace(keeping, fresh=True))


def remove_run(folder: Path) -> None:
    """Remove a run folder that has served its purpose."""
    from ..runs.store import remove_run

    remove_run(folder)


def verify_aloud(scorer: Scorer, kept: Any) -> None:
    """Compute a sample of the kept units again, and say how they compare."""
    from ..runs.verify import verify

    tell(verify(scorer, kept).line)

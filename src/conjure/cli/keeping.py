"""The flags that say where a run keeps finished work, and how it goes on from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..core.errors import ConjureError, InputError
from ..core.text import number_of
from ..runs.parts import Part, PartFinished, read_part
from ..runs.scorers import Keeping
from ..runs.scores import run_path
from ..runs.stopping import stoppable
from .streams import is_stream
from .wording import tell

if TYPE_CHECKING:
    from ..core.types import Pair
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

    @contextmanager
    def work(
        self, out: Path | None, scorer: Scorer, pairs: Sequence[Pair], noun: str = "finished pair"
    ) -> Iterator[Any]:
        """The kept work of a scorer, or None if nothing is kept. Signals end it after a block.

        If it ends early, a line says what is kept: how many of ``pairs``, by their ``noun``.
        """
        folder = self.folder(out)
        if folder is None:
            with stoppable():
                yield None
            return
        with stoppable(tell), self._open(scorer, folder, pairs) as kept:
            try:
                if self.resume == "verify":
                    verify_aloud(scorer, kept)
                yield kept
            except PartFinished:  # nothing ended early
                raise
            except (KeyboardInterrupt, Exception):  # memory that ran out, too
                _tell_kept(pairs, scorer, kept, noun)
                raise

    def remove(self, out: Path | None) -> None:
        """Remove the run folder beside a complete output; one that --run names stays."""
        if self.run is None and (folder := self.folder(out)) is not None:
            from ..runs.store import remove_run

            remove_run(folder)

    def _open(self, scorer: Scorer, folder: Path, pairs: Sequence[Pair]) -> Any:
        """Open the run folder; with --overwrite, one of other settings begins again.

        Raises OtherSettingsError where that is not asked for, and InputError as ``Store`` does.
        """
        from ..runs.manifest import OtherSettingsError

        text = json.dumps(pairs, ensure_ascii=True)
        facts = {"data": "sha256-" + hashlib.sha256(text.encode()).hexdigest()[:32]}
        keeping = Keeping(folder, self.resume == "fresh", self.part, facts)
        try:
            return scorer.keep(keeping)
        except OtherSettingsError:
            if not self.overwrite or self.run is not None:
                raise
            return scorer.keep(replace(keeping, fresh=True))


def _tell_kept(pairs: Sequence[Pair], scorer: Scorer, kept: Any, noun: str) -> None:
    """Say what is kept of a run that ends early."""
    with suppress(
        ConjureError, OSError
    ):  # a full disk, say: the user reads the error that ends the run
        kept.close()
    if count := finished(pairs, scorer, kept):
        verb = "is" if count == 1 else "are"
        tell(
            f"{number_of(count, noun)} {verb} kept in {kept.store.folder}; "
            "the same command goes on from there"
        )


def tell_folder(folder: Path) -> None:
    """Say where the work of several run folders is kept, as a run ends early."""
    tell(f"what is finished is kept in {folder}; the same command goes on from there")


def finished(pairs: Sequence[Pair], scorer: Scorer, kept: Any) -> int:
    """How many of the pairs are on the disk."""
    unwritten = {frozenset((unit["text1"], unit["text2"])) for unit in kept.store.unwritten}
    missing = scorer.missing(pairs, kept)
    return sum(
        pair not in missing and frozenset(pair) not in unwritten and pair[0] != pair[1]
        for pair in pairs
    )


def verify_aloud(scorer: Scorer, kept: Any) -> None:
    """Compute a sample of the kept units again, and say how they compare."""
    from ..runs.verify import verify

    tell(verify(scorer, kept).line)

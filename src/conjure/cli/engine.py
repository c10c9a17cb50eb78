"""The flags that say who computes: this program, or workers of Ray."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from ..core.errors import InputError
from ..core.text import brief
from .choosing import flag, load_process
from .keeping import KeepFlags
from .wording import tell

Command = TypeVar("Command", bound=Callable[..., Any])
ENGINES = ("local", "ray")


def _number(context: click.Context, option: click.Parameter, given: float | None) -> float | None:
    if given is not None and given != given:  # NaN is in every range of click's
        raise click.BadParameter("nan is no number: give one from 0 to 1")
    return given


_OPTIONS = (
    click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default=ENGINES[0],
        show_default=True,
        help="Who computes: this program, or workers of Ray; see docs/scaling.md.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="With --engine ray: how many.  [default: as many as the nodes have CPUs or GPUs for]",
    ),
    click.option(
        "--gpus-per-worker",
        type=click.FloatRange(min=0, max=1),
        callback=_number,
        metavar="G",
        help="With --engine ray: 0.5 lets two workers share a GPU.  [default: 1 where there are "
        "GPUs, else 0]",
    ),
    click.option(
        "--address",
        metavar="HOST:PORT",
        help="With --engine ray: a running cluster; auto finds the one of this machine.  "
        "[default: RAY_ADDRESS, else a Ray of its own on this machine]",
    ),
)
_OF_RAY = ("workers", "gpus_per_worker", "address")


def engine_options(command: Command) -> Command:
    """Add --engine, --workers, --gpus-per-worker and --address."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class EngineFlags:
    """What the flags say."""

    engine: str = ENGINES[0]
    workers: int | None = None
    gpus_per_worker: float | None = None
    address: str | None = None
    device: str | None = None

    @classmethod
    def take(
        cls,
        flags: dict[str, Any],
        *,
        keep: KeepFlags = KeepFlags(),  # noqa: B008  (frozen)
        out: Path | None = None,
        baseline: str | None = None,
        gives_folder: str = "--run DIR",
    ) -> EngineFlags:
        """Take them out of a command's flags. Raises InputError before anything is loaded.

        gives_folder: what to give so that there is a run folder, which the workers write to
        """
        own = {name: flags.pop(name) for name in ("engine", *_OF_RAY)}
        taken = cls(**own, device=flags.get("device"))
        if taken.engine != "ray":
            if given := [flag(name) for name in _OF_RAY if own[name] is not None]:
                raise InputError(
                    f"{', '.join(given)} goes with --engine ray: give both, or neither"
                )
            return taken
        if keep.part is not None:
            raise InputError(
                "--shard cannot go with --engine ray, which divides the work itself: leave one out"
            )
        if baseline is not None:
            raise InputError("--baseline is computed here: leave --engine ray out")
        if keep.resume == "verify":
            raise InputError("--resume verify computes here: leave --engine ray out")
        if keep.folder(out) is None:
            raise InputError(
                f"--engine ray needs a folder that the workers write to: give {gives_folder}"
            )
        taken._check()
        return taken

    def _check(self) -> None:
        """Refuse what Ray cannot do; and Ray itself if it is not installed."""
        if self.address is not None and "://" in self.address:
            raise InputError(
                f"--address {brief(self.address)} is of Ray Client, which is not supported: run "
                "the command on a node of the cluster, with --address auto"
            )
        if self.device is not None and self.device.startswith("cuda:"):
            raise InputError(
                f"--device {brief(self.device)} cannot go with --engine ray, which chooses the "
                "GPUs: write --device cuda"
            )
        if importlib.util.find_spec("ray") is None:  # it is not imported yet
            raise InputError("--engine ray needs Ray: pip install 'conjure[ray]'")

    def loader(self) -> Callable[..., Any]:
        """What loads a process: here, or in workers that end with the command."""
        if self.engine != "ray":
            return load_process
        from ..runs.ray import RayEngine, RayOptions

        options = RayOptions(self.workers, self.gpus_per_worker, self.address, self.device)
        engine = RayEngine(options, load_process, tell)
        return click.get_current_context().with_resource(engine).load

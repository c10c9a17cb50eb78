"""What the commands of ``conjure reproduce`` share: process, sets, terms and baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets.read import Dataset, read_dataset, subsample
from ..datasets.tables import left_out

if TYPE_CHECKING:
    from ..core.types import Pair
    from ..processes.stable_diffusion import StableDiffusion
    from ..runs.baseline_distances import BaselineDistances
    from ..runs.passes import Passes

KEPT = "measured"  # the folder within ``out`` of what an interrupted run goes on from


@dataclass(frozen=True)
class Choice:
    """What the user asked for; None leaves it to the command.

    process: the flags of ``conjure.load``, ``process`` being its source
    limit:   that many pairs of each set, drawn with a fixed seed
    extra:   options that a command alone has
    """

    process: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[str, ...] | None = None
    datasets: tuple[str, ...] | None = None
    limit: int | None = None
    samples: int = 1
    seed: int = 0
    out: Path = Path("results")
    data_dir: Path | None = None
    max_memory: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class Run:
    """One invocation; several commands of it share what is loaded and measured.

    say:     is given a line at a time: what is done and what it will cost
    command: what was typed, to be written beside the results
    load:    reads a process, as ``conjure.load`` does, which it is by default
    """

    def __init__(
        self,
        choice: Choice,
        *,
        say: Callable[[str], object],
        command: str,
        bar: bool = False,
        load: Callable[..., StableDiffusion] | None = None,
    ) -> None:
        self.choice, self.command = choice, command
        self._load = load
        self.say, self._bar = say, bar
        self._datasets: dict[str, Dataset] = {}
        self._opened: list[Any] = []

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        for opened in self._opened:
            opened.close()

    @cached_property
    def process(self) -> StableDiffusion:
        settings = dict(self.choice.process)
        source = [settings.pop("process")] if "process" in settings else []
        return self.load(*source, **settings)

    def load(self, *source: str, **settings: Any) -> StableDiffusion:
        """A process, by the loader that the run was given."""
        from .. import load

        return (self._load or load)(*source, **settings)

    @cached_property
    def passes(self) -> Passes:
        from ..runs.passes import Passes

        opened = Passes(
            self.choice.out / KEPT,
            samples=self.choice.samples,
            seed=self.choice.seed,
            max_memory=self.choice.max_memory,
            say=self.say,
            bar=self._bar,
        )
        self._opened.append(opened)
        return opened

    @cached_property
    def baselines(self) -> BaselineDistances:
        from ..runs.baseline_distances import BaselineDistances

        opened = BaselineDistances(self.choice.out / KEPT, say=self.say, bar=self._bar)
        self._opened.append(opened)
        return opened

    def datasets(self, names: Sequence[str]) -> dict[str, Dataset]:
        """The sets of these names, or those that the user chose; {name: set}.

        Raises InputError for a name that means none and a set that cannot be read.
        """
        return {name: self._dataset(name) for name in self.choice.datasets or names}

    def _dataset(self, name: str) -> Dataset:
        if name not in self._datasets:
            from ..stats.correlation import check_scores  # numpy: not for --help

            data = read_dataset(name, self.choice.data_dir)
            for line in left_out(data.table.bad, name):
                self.say(line)
            if self.choice.limit is not None:
                data = subsample(data, self.choice.limit)
            check_scores(data.scores)
            self._datasets[name] = data
        return self._datasets[name]


def all_pairs(datasets: Mapping[str, Dataset]) -> list[Pair]:
    """The pairs of all sets, one after the other."""
    return [pair for data in datasets.values() for pair in data.table.pairs()]

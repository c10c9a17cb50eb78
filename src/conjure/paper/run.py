"""One invocation of ``conjure reproduce``: its process, data sets, and stores of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets.read import Dataset, read_dataset, subsample
from ..datasets.tables import left_out

if TYPE_CHECKING:
    from ..core.types import Pair
    from ..processes.base import PipelineProcess
    from ..runs.baseline_distances import BaselineDistances
    from ..runs.passes import Passes

KEPT = "measured"  # folder within ``out``; an interrupted run continues from it
FIGURE_SAMPLES = 5  # default k of figures 2 and 3: the paper's goes from 1 to 5


@dataclass(frozen=True)
class RunOptions:
    """What the user asked for. None means that the command chooses.

    process: the arguments of ``conjure.load``; ``process`` is its source
    limit:   number of pairs of each set, drawn with a fixed seed
    part:    (I, N): do part I of N of the work; then there is no result yet
    extra:   options that only some commands have: ``samples``, None where it was not given, and
             ``others``, further processes
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
    part: tuple[int, int] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class Run:
    """One invocation. Its commands share what is loaded and measured.

    say:     is given a line at a time: what is done and what it will cost
    command: what was typed, to be written beside the results
    load:    reads a process, as ``conjure.load`` does, which it is by default
    load_here: the same, where ``load`` leaves the network with workers
    """

    def __init__(
        self,
        options: RunOptions,
        *,
        say: Callable[[str], object],
        command: str,
        bar: bool = False,
        load: Callable[..., PipelineProcess] | None = None,
        load_here: Callable[..., PipelineProcess] | None = None,
    ) -> None:
        self.options, self.command = options, command
        self._load, self._load_here = load, load_here
        self.say, self._bar = say, bar
        self._datasets: dict[str, Dataset] = {}
        self._opened: list[Any] = []
        self.failed: list[str] = []  # rows that could not be measured

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is finished, and let other processes at the folders; the run has ended."""
        with ExitStack() as all_of_them:  # one that fails leaves no other open
            while self._opened:
                all_of_them.callback(self._opened.pop().close)

    @cached_property
    def process(self) -> PipelineProcess:
        source, settings = self._source()
        return self.load(*source, **settings)

    @cached_property
    def process_here(self) -> PipelineProcess:
        """The process with its network, for what is no pass over pairs."""
        from ..runs.remote import RemoteProcess

        if self._load_here is None or not isinstance(self.process, RemoteProcess):
            return self.process
        self.say("the process is loaded here, too, for rows that the workers do not compute")
        source, settings = self._source()
        return self._load_here(*source, **settings)

    def _source(self) -> tuple[list[str], dict[str, Any]]:
        settings = dict(self.options.process)
        return [settings.pop("process")] if "process" in settings else [], settings

    def load(self, *source: str, **settings: Any) -> PipelineProcess:
        """A process, by the loader that the run was given."""
        from .. import load

        return (self._load or load)(*source, **settings)

    @cached_property
    def passes(self) -> Passes:
        from ..runs.passes import Passes

        opened = Passes(
            self.options.out / KEPT,
            samples=self.options.samples,
            seed=self.options.seed,
            max_memory=self.options.max_memory,
            say=self.say,
            bar=self._bar,
            part=self.options.part,
        )
        self._opened.append(opened)
        return opened

    @cached_property
    def baselines(self) -> BaselineDistances:
        from ..runs.baseline_distances import BaselineDistances

        opened = BaselineDistances(
            self.options.out / KEPT, say=self.say, bar=self._bar, part=self.options.part
        )
        self._opened.append(opened)
        return opened

    @property
    def figure_samples(self) -> int:
        """k of figures 2 and 3."""
        return int(self.options.extra.get("samples") or FIGURE_SAMPLES)

    def datasets(self, names: Sequence[str]) -> dict[str, Dataset]:
        """The sets that the user chose, else those of ``names``: {name: set}.

        Raises InputError for an unknown name and for a set that cannot be read.
        """
        return {name: self._dataset(name) for name in self.options.datasets or names}

    def _dataset(self, name: str) -> Dataset:
        if name not in self._datasets:
            from ..stats.correlation import check_scores  # numpy: not for --help

            data = read_dataset(name, self.options.data_dir)
            for line in left_out(data.table.bad, name):
                self.say(line)
            if self.options.limit is not None:
                data = subsample(data, self.options.limit)
            check_scores(data.scores)
            self._datasets[name] = data
        return self._datasets[name]


def all_pairs(datasets: Mapping[str, Dataset]) -> list[Pair]:
    """The pairs of all sets, one after the other."""
    return [pair for data in datasets.values() for pair in data.table.pairs()]

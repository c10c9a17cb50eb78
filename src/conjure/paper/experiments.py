"""What ``conjure reproduce`` can do. To add something, add it here; nothing is loaded for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from .run import Run


@dataclass(frozen=True)
class Experiment:
    """One command: ``run`` measures, writes files into the run's ``out``, and returns text.

    help:   what it shows, for ``--help``
    where:  module and function, "tables_command:run_table1", taking a Run, giving what is printed
    flags:  which of "rows", "datasets", "limit" it takes; "processes": --process more than once
    """

    help: str
    where: str
    flags: tuple[str, ...] = ("datasets", "limit")

    def run(self, run: Run) -> str:
        module, _, name = self.where.partition(":")
        function: Callable[[Run], str] = getattr(import_module(f".{module}", __package__), name)
        return function(run)


EXPERIMENTS: dict[str, Experiment] = {
    "table1": Experiment(
        "Every row on the seven sets of sentences, and their average.",
        "written:table1",
        ("rows", "datasets", "limit"),
    ),
    "table2": Experiment(
        "Words: the process beside its own text encoder, by part of speech.",
        "written:table2",
        ("rows", "datasets", "limit"),
    ),
    "table3": Experiment("The process at T = 5, 10, 15, 20, 30 and 50 steps.", "written:table3"),
    "figure2": Experiment(
        "Distances between the paper's words, and whether their classes show (k = 5).",
        "figure2:figure2",
        (),
    ),
    "figure3": Experiment(
        "Timesteps and samples (k = 1 to 5, one pass); several processes on the same pairs.",
        "figure3:figure3",
        ("datasets", "limit", "processes"),
    ),
    "guidance": Experiment("The process at w = 1, 3, 5, 7.5, 10 and 15.", "ablations:guidance"),
    "samplers": Experiment("The process under every sampler.", "ablations:samplers"),
    "length": Experiment("The process by the length of the texts.", "ablations:length"),
    "agreement": Experiment(
        "How alike two processes rank the same pairs.",
        "ablations:agreement",
        ("datasets", "limit", "processes"),
    ),
}

"""The commands of ``conjure reproduce``: one entry each. Importing this loads nothing heavy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from .run import Run

if TYPE_CHECKING:
    from ..report.report import Report


@dataclass(frozen=True)
class Experiment:
    """One command.

    help:  what it shows, for ``--help``
    where: "module:function" in this package; the function measures a Run and returns a Report
    flags: those of "rows", "datasets", "limit" that it takes; "processes": several ``--process``
    draws: whether it draws pictures, which need matplotlib
    """

    help: str
    where: str
    flags: tuple[str, ...] = ("datasets", "limit")
    draws: bool = True

    def run(self, run: Run) -> str:
        """Measure, write the files into the run's ``out``, and return the text for a terminal.

        A command that draws is refused before anything is measured where matplotlib is missing.
        """
        from ..report.plots.style import check_matplotlib
        from ..report.render import terminal_text
        from ..report.writing import Origin, write_report

        if self.draws:
            check_matplotlib()
        begun = time.perf_counter()
        report = self._measure(run)
        origin = Origin(run.command, time.perf_counter() - begun, run.process.device)
        paths = write_report(report, run.options.out, origin.lines())
        run.say(f"written: {', '.join(map(str, paths))}")
        return terminal_text(report)

    def _measure(self, run: Run) -> Report:
        module, _, name = self.where.partition(":")
        measure: Callable[[Run], Report] = getattr(import_module(f".{module}", __package__), name)
        return measure(run)


_TABLE = ("rows", "datasets", "limit")
_COMPARED = ("datasets", "limit", "processes")

EXPERIMENTS: dict[str, Experiment] = {
    "table1": Experiment(
        "Every row on the seven sets of sentences, and their average.",
        "tables:table1",
        _TABLE,
        draws=False,
    ),
    "table2": Experiment(
        "Words: the process beside its own text encoder, by part of speech.",
        "tables:table2",
        _TABLE,
        draws=False,
    ),
    "table3": Experiment(
        "The process at T = 5, 10, 15, 20, 30 and 50 steps.", "tables:table3", draws=False
    ),
    "figure2": Experiment(
        "Distances between the paper's words, and whether their classes show (k = 5).",
        "figure2:figure2",
        (),
    ),
    "figure3": Experiment(
        "Timesteps and samples (k = 1 to 5, one pass); several processes on the same pairs.",
        "figure3:figure3",
        _COMPARED,
    ),
    "guidance": Experiment("The process at w = 1, 3, 5, 7.5, 10 and 15.", "ablations:guidance"),
    "samplers": Experiment("The process under every sampler.", "ablations:samplers"),
    "length": Experiment("The process by the length of the texts.", "ablations:length"),
    "agreement": Experiment(
        "How alike two processes rank the same pairs.", "ablations:agreements", _COMPARED
    ),
}

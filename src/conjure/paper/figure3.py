"""Figure 3 of the paper: agreement by timestep and samples, and processes side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.spec import Signature, Spec, sign
from ..datasets.read import Dataset, subsample
from ..report.cells import ALL, Cell, cell_of
from ..report.grids import figure_title, set_grid
from ..report.plots.points import Point, draw_beside_names, draw_priors
from ..report.report import Report
from ..runs.parts import Turns
from .ablations import (
    FEW,
    bars,
    correlated,
    given,
    measure_variants,
    notes,
    series,
    settings_line,
)
from .priors import PRIORS, PriorPoint, prior_curves
from .run import Run
from .variants import sampled

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..core.types import Terms

SETS = ("stsb",)


def figure3(run: Run) -> Report:
    """Left: both priors over timesteps for each k; right: processes on the same pairs."""
    k, datasets = run.figure_samples, run.datasets(SETS)
    left: list[Cell] = []
    pictures: list[tuple[str, str]] = []
    measured: dict[str, list[Terms]] = {}
    turns = Turns()
    for name, data in datasets.items():
        with turns.one():
            measured[name] = run.passes.measure(run.process, data.table.pairs(), samples=k)
    with turns.one():
        right, compared, faults = _right(run, datasets)
    turns.end()
    for name, terms in measured.items():
        data = datasets[name]
        points = prior_curves(data.scores, terms)
        left += [_prior_cell(run, data, point) for point in points]
        file = "figure3-left" if len(datasets) == 1 else f"figure3-left-{Path(name).stem}"
        pictures.append((file, f"Agreement with people by timestep on {figure_title(data)}"))
        title = f"{figure_title(data)}: {settings_line(run, 'samples')}"
        curves, intervals = _curves(points), "bands: 95 % intervals"
        draw_priors(curves, run.options.out / file, title=title, intervals=intervals)
    pictures.append(("figure3-right", "Agreement with people by process"))
    all_samples = f"k = {k}"
    in_grid = [cell for cell in left if cell.row.endswith(all_samples)]
    return Report(
        "figure3",
        "Figure 3: timesteps, samples and processes",
        (
            (f"Left, *measured*, {all_samples} (every k is in the JSON)", set_grid(in_grid)),
            ("Right, *measured*", set_grid(right)),
        ),
        (
            *notes(datasets, [replace(cell, signature=None) for cell in in_grid]),
            "Left: all curves come from one pass of k samples; fewer are the first of these.",
            f"Measured: left, at each STEP and k: {_at_each_step(run, k)}",
            *notes(compared, right),
            *faults,
        ),
        cells=(*left, *right),
        pictures=tuple(pictures),
    )


def _right(
    run: Run, datasets: Mapping[str, Dataset]
) -> tuple[list[Cell], Mapping[str, Dataset], list[str]]:
    """The processes that the user gave; a single one under each sampler."""
    processes: Mapping[str, GenerativeProcess] = given(run)
    compared: Mapping[str, Dataset] = datasets
    faults: list[str] = []
    title = "Processes on the same pairs"
    if len(processes) == 1:
        processes, faults = sampled(run.process)
        title = f"One model, several processes: {settings_line(run, 'sampler')}"
        if run.options.datasets is None and run.options.limit is None:
            compared = {name: subsample(data, FEW) for name, data in datasets.items()}
    made = correlated(measure_variants(run, processes, compared), compared)
    draw_beside_names(
        [*processes],
        series(made, compared),
        run.options.out / "figure3-right",
        title=title,
        intervals=bars(made),
    )
    return made, compared, faults


def _prior_cell(run: Run, data: Dataset, point: PriorPoint) -> Cell:
    estimand = f"{point.prior}:{point.step}"
    line = _signature(run, estimand, point.samples)
    return cell_of(f"{estimand}, k = {point.samples}", data, ALL, point.found, line)


def _curves(points: Sequence[PriorPoint]) -> dict[str, dict[str, list[Point]]]:
    """One sample and all samples: curves between would hide them. The JSON has every k."""
    found: dict[str, dict[str, list[Point]]] = {prior: {} for prior in PRIORS}
    largest = max(point.samples for point in points)
    for point in points:
        if point.samples in (1, largest):
            label = f"k = {point.samples}, over {point.found.over}"
            found[point.prior].setdefault(label, []).append(Point.of(point.found))
    return found


def _at_each_step(run: Run, samples: int) -> Signature:
    """The signature of all points of one k; STEP stands for the step of each point."""
    first = _signature(run, "pointwise:1", samples)
    return replace(first, key={**first.key, "estimand": "pointwise:STEP"})


def _signature(run: Run, estimand: str, samples: int) -> Signature:
    return sign(run.process, Spec(samples, run.passes.seed, estimand))

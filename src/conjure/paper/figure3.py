"""Figure 3 of the paper: what each timestep and sample adds, and processes side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.spec import Signature, Spec, sign
from ..datasets.read import Dataset, subsample
from ..report.cells import ALL, Cell, cell_of
from ..report.pages import Page, figure_samples, finished, grid_of, heading
from ..report.plots.points import Point, draw_beside_names, draw_priors
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

SETS = ("stsb",)


def figure3(run: Run) -> str:
    return finished(run, figure3_page)


def figure3_page(run: Run) -> Page:
    """Left: priors over timesteps, for k = 1 … ; right: processes on the same pairs."""
    k, datasets = figure_samples(run), run.datasets(SETS)
    left: list[Cell] = []
    pictures: list[tuple[str, str]] = []
    for name, data in datasets.items():
        terms = run.passes.measure(run.process, data.table.pairs(), samples=k)
        points = prior_curves(data.scores, terms)
        left += [_prior_cell(run, data, point) for point in points]
        file = "figure3-left" if len(datasets) == 1 else f"figure3-left-{Path(name).stem}"
        pictures.append((file, f"Agreement with people by timestep on {heading(data)}"))
        title = f"{heading(data)}: {settings_line(run, 'samples')}"
        curves, intervals = _curves(points), "bands: 95 % intervals"
        draw_priors(curves, run.choice.out / file, title=title, intervals=intervals)
    right, compared, faults = _right(run, datasets)
    pictures.append(("figure3-right", "Agreement with people by process"))
    most = f"k = {k}"
    shown = [cell for cell in left if cell.row.endswith(most)]
    return Page(
        "figure3",
        "Figure 3: timesteps, samples and processes",
        tuple(pictures),
        (
            (f"Left, *measured*, {most} (every k is in the JSON)", grid_of(shown)),
            ("Right, *measured*", grid_of(right)),
        ),
        (
            *notes(datasets, [replace(cell, signature=None) for cell in shown]),
            "Left: every curve is read off one pass of k samples; fewer are the first of them.",
            f"Measured: left, at each STEP and k: {_at_each_step(run, k)}",
            *notes(compared, right),
            *faults,
        ),
        [cell.object() for cell in [*left, *right]],
        (*left, *right),
    )


def _right(
    run: Run, datasets: Mapping[str, Dataset]
) -> tuple[list[Cell], Mapping[str, Dataset], list[str]]:
    """The processes that were given; of a single one, what it is under each sampler."""
    processes: Mapping[str, GenerativeProcess] = given(run)
    compared: Mapping[str, Dataset] = datasets
    faults: list[str] = []
    title = "Processes on the same pairs"
    if len(processes) == 1:
        processes, faults = sampled(run.process)
        title = f"One model, several processes: {settings_line(run, 'sampler')}"
        if run.choice.datasets is None and run.choice.limit is None:
            compared = {name: subsample(data, FEW) for name, data in datasets.items()}
    made = correlated(measure_variants(run, processes, compared), compared)
    draw_beside_names(
        [*processes],
        series(made, compared),
        run.choice.out / "figure3-right",
        title=title,
        intervals=bars(made),
    )
    return made, compared, faults


def _prior_cell(run: Run, data: Dataset, point: PriorPoint) -> Cell:
    estimand = f"{point.prior}:{point.step}"
    line = _signature(run, estimand, point.samples)
    return cell_of(f"{estimand}, k = {point.samples}", data, ALL, point.found, line)


def _curves(points: Sequence[PriorPoint]) -> dict[str, dict[str, list[Point]]]:
    """The fewest and the most samples: those between would hide them. The JSON has all."""
    found: dict[str, dict[str, list[Point]]] = {prior: {} for prior in PRIORS}
    most = max(point.samples for point in points)
    for point in points:
        if point.samples in (1, most):
            label = f"k = {point.samples}, over {point.found.over}"
            found[point.prior].setdefault(label, []).append(Point.of(point.found))
    return found


def _at_each_step(run: Run, samples: int) -> Signature:
    """What all points of one k share; STEP stands for the step of each."""
    first = _signature(run, "pointwise:1", samples)
    return replace(first, key={**first.key, "estimand": "pointwise:STEP"})


def _signature(run: Run, estimand: str, samples: int) -> Signature:
    return sign(run.process, Spec(samples, run.passes.seed, estimand))

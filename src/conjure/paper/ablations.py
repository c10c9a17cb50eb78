"""Beyond the paper: agreement with people by guidance, sampler and length; of two processes.

Each setting of a process needs a pass of its own, so by default ablations use small sets. Length
uses the pass of Table 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..datasets.cards import SEVEN, set_title
from ..datasets.read import Dataset, subsample
from ..report.cells import Cell, Distances, cell_of, cells, subsample_notes
from ..report.differences import RowDifference, differences
from ..report.grids import NONE, Titles, figure_text, figure_title, set_grid
from ..report.notes import cell_notes, interval_notes
from ..report.plots.points import Point, draw_along, draw_beside_names, draw_panels
from ..report.plots.style import SPEARMAN
from ..report.report import Report
from ..runs.parts import Turns
from ..stats.comparison import agreement as agreement_of
from .lengths import BINS, by_length
from .measuring import measure_process
from .rows import CONJURING, titles_of
from .run import Run, all_pairs
from .variants import GUIDANCES, guided, named, sampled

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess

SETS = ("rg65", "simlex999", "stsb")
FEW = 300  # pairs of a larger set, where neither sets nor a limit were asked for
AGREEMENT = "Spearman × 100 between the distances of both"

Variants = dict[str, dict[str, Distances]]  # label of a process → set → distances


def guidance(run: Run) -> Report:
    """``conjuring`` at each of GUIDANCES; the other settings are as the user chose."""
    datasets = few(run)
    measured = measure_variants(run, guided(run.process), datasets)
    made = correlated(measured, datasets)
    chosen = f"w = {run.process.guidance:g}"
    draw_along(
        GUIDANCES,
        series(made, datasets),
        run.options.out / "guidance",
        title=settings_line(run, "guidance"),
        intervals=bars(made, "bands"),
        axis="guidance w (1 is unguided)",
    )
    return _report(
        "guidance",
        "Agreement with people by guidance",
        made,
        notes(datasets, made),
        _apart(chosen, measured, datasets),
    )


def samplers(run: Run) -> Report:
    """``conjuring`` under each sampler; the other settings are as the user chose."""
    datasets = few(run)
    variants, faults = sampled(run.process)
    measured = measure_variants(run, variants, datasets)
    made = correlated(measured, datasets)
    draw_beside_names(
        [*variants],
        series(made, datasets),
        run.options.out / "samplers",
        title=settings_line(run, "sampler"),
        intervals=bars(made),
    )
    return _report(
        "samplers",
        "Agreement with people by sampler",
        made,
        [*notes(datasets, made), *faults],
        _apart(run.process.sampler, measured, datasets),
    )


def length(run: Run) -> Report:
    """``conjuring`` by the number of words in the texts, from the pass of Table 1."""
    datasets = run.datasets(SEVEN)
    found = measure_process(run.process, run.passes, [CONJURING], datasets)[CONJURING]
    made, panels = [], {}
    for name, data in datasets.items():
        distances = found[name]
        assert isinstance(distances, Distances), distances  # jeffreys is in every pass
        bins = by_length(data, distances.samples)
        panels[figure_title(data)] = {size: Point.of(part) for size, part in bins.items()}
        made += [
            cell_of(CONJURING, data, f"{size} words", part, distances.signature)
            for size, part in bins.items()
        ]
    draw_panels(
        [*BINS],
        panels,
        run.options.out / "length",
        title=settings_line(run),
        intervals=bars(made),
        axis="words in a text, mean of the pair; below: number of pairs",
    )
    known = {(cell.dataset, cell.subset): cell for cell in made}
    grid = [["words", *map(set_title, datasets)]]
    for size in BINS:
        line = [known.get((name, f"{size} words")) for name in datasets]
        texts = (NONE if c is None else f"{figure_text(c)}, n = {c.n:,}" for c in line)
        grid.append([size, *texts])
    title = "Agreement with people by the length of the texts"
    remarks = notes(datasets, made, titles=titles_of([CONJURING]))
    return replace(_report("length", title, made, remarks), grids=(("*measured*", grid),))


def agreements(run: Run) -> Report:
    """How alike processes rank the same pairs, for every two that the user gave.

    A single one is compared with itself under each other sampler.
    """
    datasets = few(run)
    processes: Mapping[str, GenerativeProcess] = given(run)
    faults: list[str] = []
    couples = list(combinations(processes, 2))
    title = "Two processes on the same pairs, from the same noise"
    if not couples:
        chosen = run.process.sampler
        title = f"{settings_line(run, 'sampler')}: two samplers, the same noise"
        processes, faults = sampled(run.process)
        couples = [(chosen, other) for other in processes if other != chosen]
    measured = measure_variants(run, processes, datasets)
    made = [
        _agreement(one, other, measured, data)
        for one, other in couples
        for data in datasets.values()
    ]
    rows = list(dict.fromkeys(cell.row for cell in made))
    draw_beside_names(
        rows,
        series(made, datasets),
        run.options.out / "agreement",
        title=title,
        intervals=bars(made),
        unit=AGREEMENT,
    )
    remarks = [
        *notes(datasets, made, f"{AGREEMENT}."),
        "Both start from the same noise. Another seed alone makes one process rank pairs anew.",
        *faults,
    ]
    return _report("agreement", "Agreement of processes with each other", made, remarks)


def _agreement(one: str, other: str, measured: Variants, data: Dataset) -> Cell:
    first, second = measured[one][data.name], measured[other][data.name]
    found = agreement_of(first.samples, second.samples)
    line = f"{first.signature} ~ {second.signature}"
    return cell_of(f"{one} ~ {other}", data, "all", found, line)


def _report(
    name: str,
    title: str,
    made: Sequence[Cell],
    remarks: Sequence[str],
    compared: tuple[RowDifference, ...] = (),
) -> Report:
    """A report with one table, rows by sets, and one picture of the same name."""
    return Report(
        name,
        title,
        (("*measured*", set_grid(made)),),
        tuple(remarks),
        cells=tuple(made),
        differences=compared,
        pictures=((name, title),),
    )


def few(run: Run) -> dict[str, Dataset]:
    """The sets of an ablation: small ones and FEW pairs of a large one, or what the user chose."""
    datasets = run.datasets(SETS)
    if run.options.datasets is None and run.options.limit is None:
        return {
            name: subsample(data, FEW) if name == "stsb" else data
            for name, data in datasets.items()
        }
    return datasets


def given(run: Run) -> dict[str, GenerativeProcess]:
    """The processes that the user gave, by their labels; the bundled one by default."""
    others = run.options.extra.get("others", ())
    settings = {name: value for name, value in run.options.process.items() if name != "process"}
    return named([run.process, *(run.load(source, **settings) for source in others)])


def measure_variants(
    run: Run, processes: Mapping[str, GenerativeProcess], datasets: Mapping[str, Dataset]
) -> Variants:
    """``conjuring`` of every process on every set; says beforehand what all of it costs."""
    pairs = all_pairs(datasets)
    rows = sum(run.passes.cost(process, pairs).rows for process in processes.values())
    run.say(f"{len(processes)} processes, {rows:,} network rows in all that are not measured yet")
    found: Variants = {}
    turns = Turns()
    for label, process in processes.items():
        if run.passes.cost(process, pairs).rows:
            run.say(label)
        with turns.one():
            each = measure_process(process, run.passes, [CONJURING], datasets)[CONJURING]
            found[label] = {name: d for name, d in each.items() if isinstance(d, Distances)}
    turns.end()
    return found


def _apart(
    chosen: str, measured: Variants, datasets: Mapping[str, Dataset]
) -> tuple[RowDifference, ...]:
    """The setting that the user chose against each other one; empty where it is not measured."""
    rows = {_row(label): each for label, each in measured.items()}
    return differences(_row(chosen), rows, datasets)


def _row(label: str) -> str:
    return f"{CONJURING}, {label}"


def correlated(measured: Variants, datasets: Mapping[str, Dataset]) -> list[Cell]:
    """The agreement of each process with people on each set, whole."""
    return [
        cells(_row(label), datasets[name], distances)[0]
        for label, each in measured.items()
        for name, distances in each.items()
    ]


def series(made: list[Cell], datasets: Mapping[str, Dataset]) -> dict[str, list[Point]]:
    """Cells as points for a figure: a series for each set, with one point a row."""
    return {
        figure_title(data): [
            Point(cell.spearman, cell.interval, cell.n or 0)
            for cell in made
            if cell.dataset == name
        ]
        for name, data in datasets.items()
    }


def notes(
    datasets: Mapping[str, Dataset],
    made: Sequence[Cell],
    what: str = f"{SPEARMAN}.",
    titles: Titles = MappingProxyType({}),
) -> list[str]:
    """What the figures are, which sets were subsampled, what is missing, and the signatures."""
    about = [f"{line}." for line in interval_notes(made, titles)]
    return [what, *about, *subsample_notes(datasets), *cell_notes(made, titles)]


def bars(made: Sequence[Cell], drawn: str = "bars") -> str:
    """What the intervals in a figure vary, for its legend; the same for all cells of a run."""
    over = sorted({cell.over.partition(";")[0] for cell in made if cell.interval and cell.over})
    return f"{drawn}: 95 % intervals over {' or '.join(over)}" if over else "no intervals"


def settings_line(run: Run, varied: str = "") -> str:
    """The process and its settings for the title of a figure, without what the figure varies."""
    process, passes = run.process, run.passes
    facts = {
        "name": process.name,
        "sampler": process.sampler,
        "steps": f"T = {len(process.schedule)}",
        "guidance": f"w = {process.guidance:g}",
        "samples": f"k = {passes.samples}",
    }
    return ", ".join(fact for name, fact in facts.items() if name != varied)

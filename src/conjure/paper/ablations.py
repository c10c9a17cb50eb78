"""Beyond the paper: agreement by guidance, sampler and prompt length, and of two processes.

Each setting of a process is another pass, so ablations are measured on small sets where nothing
else is asked for; length is read off the pass of Table 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from ..datasets.cards import SEVEN, set_title
from ..datasets.read import Dataset, subsample
from ..report.cells import Cell, Distances, cell_of, cells
from ..report.differences import Difference, differences
from ..report.pages import Page, finished, grid_of, heading, notes_on, page_of, shown
from ..report.plots.points import Point, draw_along, draw_beside_names, draw_panels
from ..report.plots.style import SPEARMAN
from ..report.render import NONE, brackets
from ..stats.comparison import agreement as agreement_of
from .lengths import BINS, by_length
from .measuring import measure_process
from .rows import CONJURING
from .run import Run, all_pairs
from .variants import GUIDANCES, guided, named, sampled

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess

SETS = ("rg65", "simlex999", "stsb")
FEW = 300  # pairs of a larger set, where neither sets nor a limit were asked for
AGREEMENT = "Spearman × 100 between the distances of both"

Variants = dict[str, dict[str, Distances]]  # label of a process → set → distances


def guidance(run: Run) -> str:
    return finished(run, guidance_page)


def samplers(run: Run) -> str:
    return finished(run, samplers_page)


def length(run: Run) -> str:
    return finished(run, length_page)


def agreement(run: Run) -> str:
    return finished(run, agreement_page)


def guidance_page(run: Run) -> Page:
    """``conjuring`` at each of GUIDANCES; the rest of the settings is as the user chose."""
    datasets = few(run)
    measured = measure_variants(run, guided(run.process), datasets)
    made = correlated(measured, datasets)
    own = f"w = {run.process.guidance:g}"
    draw_along(
        GUIDANCES,
        series(made, datasets),
        run.choice.out / "guidance",
        title=settings_line(run, "guidance"),
        intervals=bars(made, "bands"),
        axis="guidance w (1 is unguided)",
    )
    title = "Agreement with people by guidance"
    return page_of(
        "guidance",
        title,
        made,
        {"*measured*": grid_of(made)},
        notes(datasets, made),
        _apart(own, measured, datasets),
    )


def samplers_page(run: Run) -> Page:
    """``conjuring`` under each sampler; the rest of the settings is as the user chose."""
    datasets = few(run)
    variants, faults = sampled(run.process)
    measured = measure_variants(run, variants, datasets)
    made = correlated(measured, datasets)
    draw_beside_names(
        [*variants],
        series(made, datasets),
        run.choice.out / "samplers",
        title=settings_line(run, "sampler"),
        intervals=bars(made),
    )
    title = "Agreement with people by sampler"
    told = [*notes(datasets, made), *faults]
    apart = _apart(run.process.sampler, measured, datasets)
    return page_of("samplers", title, made, {"*measured*": grid_of(made)}, told, apart)


def length_page(run: Run) -> Page:
    """``conjuring`` by the number of words in the texts, from the pass of Table 1."""
    datasets = run.datasets(SEVEN)
    found = measure_process(run.process, run.passes, [CONJURING], datasets)[CONJURING]
    made, panels = [], {}
    for name, data in datasets.items():
        distances = found[name]
        assert isinstance(distances, Distances), distances  # jeffreys is in every pass
        bins = by_length(data, distances.samples)
        panels[heading(data)] = {size: Point.of(part) for size, part in bins.items()}
        made += [
            cell_of(CONJURING, data, f"{size} words", part, distances.signature)
            for size, part in bins.items()
        ]
    draw_panels(
        [*BINS],
        panels,
        run.choice.out / "length",
        title=settings_line(run),
        intervals=bars(made),
        axis="words in a text, mean of the pair; below: number of pairs",
    )
    title = "Agreement with people by the length of the texts"
    known = {(cell.dataset, cell.subset): cell for cell in made}
    grid = [["words", *map(set_title, datasets)]]
    for size in BINS:
        line = [known.get((name, f"{size} words")) for name in datasets]
        grid.append([size, *(NONE if c is None else f"{shown(c)}, n = {c.n:,}" for c in line)])
    return page_of("length", title, made, {"*measured*": grid}, notes(datasets, made))


def agreement_page(run: Run) -> Page:
    """How alike processes rank the same pairs: every two that were given.

    Of a single one, it is compared with itself under each other sampler.
    """
    datasets = few(run)
    processes: Mapping[str, GenerativeProcess] = given(run)
    faults: list[str] = []
    couples = list(combinations(processes, 2))
    title = "Two processes on the same pairs, from the same noise"
    if not couples:
        own = run.process.sampler
        title = f"{settings_line(run, 'sampler')}: two samplers, the same noise"
        processes, faults = sampled(run.process)
        couples = [(own, other) for other in processes if other != own]
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
        run.choice.out / "agreement",
        title=title,
        intervals=bars(made),
        unit=AGREEMENT,
    )
    told = [
        *notes(datasets, made, f"{AGREEMENT}."),
        "Both start from the same noise: with other seeds even one process ranks pairs otherwise.",
        *faults,
    ]
    named_so = "Agreement of processes with each other"
    return page_of("agreement", named_so, made, {"*measured*": grid_of(made)}, told)


def _agreement(one: str, other: str, measured: Variants, data: Dataset) -> Cell:
    first, second = measured[one][data.name], measured[other][data.name]
    found = agreement_of(first.samples, second.samples)
    line = f"{first.signature} ~ {second.signature}"
    return cell_of(f"{one} ~ {other}", data, "all", found, line)


def few(run: Run) -> dict[str, Dataset]:
    """The sets of an ablation: small ones, and FEW pairs of a large one, unless told otherwise."""
    datasets = run.datasets(SETS)
    if run.choice.datasets is None and run.choice.limit is None:
        return {
            name: subsample(data, FEW) if name == "stsb" else data
            for name, data in datasets.items()
        }
    return datasets


def given(run: Run) -> dict[str, GenerativeProcess]:
    """The processes that the user named, by their labels; the bundled one where none is."""
    others = run.choice.extra.get("others", ())
    settings = {name: value for name, value in run.choice.process.items() if name != "process"}
    return named([run.process, *(run.load(source, **settings) for source in others)])


def measure_variants(
    run: Run, processes: Mapping[str, GenerativeProcess], datasets: Mapping[str, Dataset]
) -> Variants:
    """``conjuring`` of every process on every set; what it will all cost is told beforehand."""
    pairs = all_pairs(datasets)
    rows = sum(run.passes.cost(process, pairs).rows for process in processes.values())
    run.say(f"{len(processes)} processes, {rows:,} network rows in all that are not measured yet")
    found: Variants = {}
    for label, process in processes.items():
        if run.passes.cost(process, pairs).rows:
            run.say(label)
        each = measure_process(process, run.passes, [CONJURING], datasets)[CONJURING]
        found[label] = {name: d for name, d in each.items() if isinstance(d, Distances)}
    return found


def _apart(own: str, measured: Variants, datasets: Mapping[str, Dataset]) -> tuple[Difference, ...]:
    """The process as the user has it against each other setting; nothing where it is not there."""
    rows = {_row(label): each for label, each in measured.items()}
    return differences(_row(own), rows, datasets)


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
    """Cells as points for a figure: for each set, one of each row, in order."""
    return {
        heading(data): [
            Point(cell.spearman, cell.interval, cell.n or 0)
            for cell in made
            if cell.dataset == name
        ]
        for name, data in datasets.items()
    }


def notes(
    datasets: Mapping[str, Dataset], made: list[Cell], what: str = f"{SPEARMAN}."
) -> list[str]:
    return [what, *(f"{line}." for line in brackets(made)), *notes_on(datasets, made)]


def bars(made: Sequence[Cell], drawn: str = "bars") -> str:
    """What the intervals in a figure are about, for its legend: the same in all cells of a run."""
    over = sorted({cell.over.partition(";")[0] for cell in made if cell.interval and cell.over})
    return f"{drawn}: 95 % intervals over {' or '.join(over)}" if over else "no intervals"


def settings_line(run: Run, varied: str = "") -> str:
    """The process and its settings, for a figure's title, less what the figure varies."""
    process, passes = run.process, run.passes
    facts = {
        "name": process.name,
        "sampler": process.sampler,
        "steps": f"T = {len(process.schedule)}",
        "guidance": f"w = {process.guidance:g}",
        "samples": f"k = {passes.samples}",
    }
    return ", ".join(fact for name, fact in facts.items() if name != varied)

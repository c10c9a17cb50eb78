"""What a figure's command leaves behind: pictures, a page that shows them, and the numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..core.text import markdown as escaped
from ..core.text import printable
from ..core.text import shown as shown_text
from ..datasets.cards import set_title
from ..datasets.read import Dataset
from ..paper.run import Run
from .cells import Cell, subsample_notes
from .differences import Difference
from .plots.style import ENDS, check_matplotlib
from .render import (
    DIFFERENCES,
    NONE,
    Grid,
    aligned,
    cell_notes,
    csv_text,
    differences_grid,
    interval_text,
    number,
    pipes,
)
from .report import json_text, provenance, write

SAMPLES = 5  # k of figures 2 and 3 where the user does not say: the paper's goes from 1 to 5


@dataclass(frozen=True)
class Page:
    """One command's result.

    name:     of its files
    pictures: (name of the files, what they show) of each
    grids:    (heading, head and rows as text) of each table
    notes:    what a reader must know, one sentence each
    objects:  for JSON: cells as a list, or what is no correlation as one object
    cells:    for CSV; none where there are no correlations
    differences: of one row from the others, for JSON
    """

    name: str
    title: str
    pictures: tuple[tuple[str, str], ...]
    grids: tuple[tuple[str, Grid], ...]
    notes: tuple[str, ...]
    objects: list[Any] | dict[str, Any]
    cells: tuple[Cell, ...] = ()
    differences: tuple[Difference, ...] = ()


def page_of(
    name: str,
    title: str,
    cells: Sequence[Cell],
    grids: Mapping[str, Grid],
    notes: Iterable[str],
    differences: tuple[Difference, ...] = (),
) -> Page:
    """A page of correlations with one picture, which has the page's name."""
    if differences:
        grids = {**grids, DIFFERENCES: differences_grid(differences)}
    return Page(
        name,
        title,
        ((name, title),),
        tuple(grids.items()),
        tuple(notes),
        [cell.object() for cell in cells],
        tuple(cells),
        differences,
    )


def finished(run: Run, make: Callable[[Run], Page]) -> str:
    """Carry out one command; → what is printed. Nothing is measured that cannot be drawn."""
    check_matplotlib()
    begun = time.perf_counter()
    page = make(run)
    paths = write_page(run, page, time.perf_counter() - begun)
    paths += [run.choice.out / f"{name}.{end}" for name, _ in page.pictures for end in ENDS]
    run.say(f"written: {', '.join(map(str, paths))}")
    return terminal(page)


def write_page(run: Run, page: Page, seconds: float) -> list[Path]:
    """Write .md and .json, and .csv where there are cells; → the files."""
    out = run.choice.out
    texts = {
        f"{page.name}.md": f"{markdown(page)}\n\n{provenance(run, seconds)}",
        f"{page.name}.json": json_text(page.objects),
    }
    if page.differences:
        found = [asdict(one) for one in page.differences]
        texts[f"{page.name}-differences.json"] = json_text(found)
    if page.cells:
        texts[f"{page.name}.csv"] = csv_text(page.cells)
    return [write(out / name, text) for name, text in texts.items()]


def markdown(page: Page) -> str:
    """Pictures first, then the tables, then the notes."""
    parts = [f"# {escaped(page.title)}"]
    parts += [f"![{escaped(shows)}]({name}.png)" for name, shows in page.pictures]
    parts += _tables(page, pipes, escaped)
    return "\n\n".join([*parts, "\n".join(f"- {escaped(note)}" for note in page.notes)])


def terminal(page: Page) -> str:
    """The tables in aligned columns, and the notes."""
    told = "\n".join(map(printable, page.notes))
    return "\n\n".join([printable(page.title), *_tables(page, aligned, printable), told])


def _tables(page: Page, draw: Callable[[Grid], str], safe: Callable[[str], str]) -> list[str]:
    return [part for heading, grid in page.grids for part in (safe(heading), draw(grid))]


def grid_of(cells: Iterable[Cell]) -> Grid:
    """Rows by data sets, each figure with its interval."""
    known = {(cell.row, cell.dataset): cell for cell in cells}
    rows = list(dict.fromkeys(row for row, _ in known))
    sets = list(dict.fromkeys(name for _, name in known))
    body = [[row, *(shown(known.get((row, name))) for name in sets)] for row in rows]
    return [["row", *map(set_title, sets)], *body]


def shown(cell: Cell | None) -> str:
    """A figure with its interval; a dash where there is none."""
    if cell is None or cell.spearman is None:
        return NONE
    return number(cell.spearman) + interval_text(cell.interval)


def notes_on(datasets: Mapping[str, Dataset], cells: Iterable[Cell]) -> list[str]:
    """Which subsamples were drawn, why figures are missing, and the signatures, each once."""
    return [*subsample_notes(datasets), *cell_notes(cells)]


def heading(data: Dataset) -> str:
    """What a figure calls a set: its title, or its file, and how many pairs there are if not all.

    >>> from conjure.datasets.read import Dataset
    >>> heading(Dataset("sets/mine.tsv", None, (1.0, 2.0), None, 3_000))
    'mine.tsv (2 of 3,000)'
    """
    name = shown_text(set_title(Path(data.name).name), 60)
    if len(data.scores) == data.total:
        return name
    return f"{name} ({len(data.scores):,} of {data.total:,})"


def figure_samples(run: Run) -> int:
    """k of figures 2 and 3."""
    return int(run.choice.extra.get("samples") or SAMPLES)

"""How alike several processes rank the same pairs, as a ``Report``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..core.text import shown
from ..report.cells import ALL, Cell, Distances, cells, with_subsets
from ..report.differences import RowDifference, differences
from ..report.grids import NONE, Grid, column_title, figure_text, number
from ..report.plots.points import Point, draw_beside_names
from ..report.report import Report
from ..stats.between import Disagreement, Likeness, disagreements, likeness
from .measure import Compared

UNIT = "Spearman × 100 between distances"
_NAMES = {"same_seeds": "same seeds", "other_seeds": "other seeds"}

Couple = tuple[str, str]


def report(found: Compared, folder: Path, top: int = 10) -> Report:
    """Tables of agreement and disagreement; the figure is drawn into ``folder``."""
    alike = {couple: likeness(*_of(found, couple)) for couple in found.couples}
    apart = {couple: disagreements(*_of(found, couple)) for couple in found.couples}
    parts = _by_subset(found)
    agreement, less = _with_people(found)
    grids = [("How alike the processes rank the pairs", _likeness_grid(alike))]
    if parts:
        grids.append(("The same within each subset", _subsets_grid(parts)))
    if agreement:
        grids.append(("Agreement with people (*measured*)", _people_grid(found, agreement)))
    for couple, each in apart.items():
        title = f"Pairs that {couple[0]} and {couple[1]} rank most unlike"
        grids.append((title, _disagreements_grid(found, couple, each[:top])))
    title = f"Processes compared on {found.subject.title}"
    _draw(alike, folder, title, found.samples)
    return Report(
        "compare",
        title,
        tuple(grids),
        _notes(found),
        cells=tuple(agreement),
        differences=less,
        pictures=(("compare", "Agreement of the processes beside what other seeds change"),),
        objects=_object(found, alike, parts, apart, agreement),
    )


def _of(found: Compared, couple: Couple, places: Sequence[int] | None = None) -> tuple[Any, Any]:
    one, other = (found.distances[label] for label in couple)
    return (one, other) if places is None else (one[:, places], other[:, places])


def _by_subset(found: Compared) -> dict[tuple[Couple, str], Likeness]:
    subsets = found.subject.subsets or ()
    names = list(dict.fromkeys(subsets))
    if len(names) < 2:
        return {}
    places = {name: [i for i, each in enumerate(subsets) if each == name] for name in names}
    return {
        (couple, name): likeness(*_of(found, couple, places[name]))
        for couple in found.couples
        for name in names
    }


def _with_people(found: Compared) -> tuple[list[Cell], tuple[RowDifference, ...]]:
    """Each process against human scores over all seeds, and the first less each other one."""
    data = found.subject.dataset
    if data is None:
        return [], ()
    rows = {
        label: {data.name: Distances(found.distances[label], found.signatures[label])}
        for label in found.distances
    }
    made = [cell for label, sets in rows.items() for cell in cells(label, data, sets[data.name])]
    first = next(iter(rows))
    return made, differences(first, rows, {data.name: data}, subsets=True)


def _likeness_grid(alike: dict[Couple, Likeness]) -> Grid:
    grid = [["processes", "pairs", "same seeds", "other seeds", "no change", "below", "corrected"]]
    return grid + [[_label(couple), *_likeness_line(each)] for couple, each in alike.items()]


def _subsets_grid(parts: dict[tuple[Couple, str], Likeness]) -> Grid:
    grid = [["subset", "pairs", "same seeds", "other seeds", "no change", "below", "corrected"]]
    several = len({couple for couple, _ in parts}) > 1
    for (couple, name), each in parts.items():
        label = f"{_label(couple)}: {shown(name, 40)}" if several else shown(name, 40)
        grid.append([label, *_likeness_line(each)])
    return grid


def _likeness_line(each: Likeness) -> list[str]:
    if each.reason is not None:
        return [f"{each.n:,}", each.reason, *[NONE] * 4]
    assert each.no_change is not None
    floors = " and ".join(number(100 * value) for value in each.no_change)
    return [
        f"{each.n:,}",
        _figure(each, "same_seeds"),
        _figure(each, "other_seeds"),
        floors,
        _figure(each, "below"),
        _figure(each, "corrected"),
    ]


def _figure(each: Likeness, name: str) -> str:
    """A coefficient × 100 with its interval."""
    value = getattr(each, name)
    if value is None:
        return NONE
    bounds = each.intervals.get(name)
    if bounds is None:
        return number(100 * value)
    return f"{number(100 * value)} [{number(100 * bounds[0])}, {number(100 * bounds[1])}]"


def _people_grid(found: Compared, made: Iterable[Cell]) -> Grid:
    data = found.subject.dataset
    assert data is not None
    known = {(cell.row, cell.subset): cell for cell in made}
    columns = with_subsets(data.name, data)
    head = ["process", *map(column_title, columns)]
    body = [
        [label, *(figure_text(known.get((label, subset))) for _, subset in columns)]
        for label in found.distances
    ]
    return [head, *body]


def _disagreements_grid(found: Compared, couple: Couple, each: list[Disagreement]) -> Grid:
    data = found.subject.dataset
    head = ["pair", *couple, "change", "by other seeds"]
    grid = [head + (["people"] if data else [])]
    people = _human_ranks(found)
    for one in each:
        line = [
            " / ".join(shown(text, 48) for text in found.subject.pairs[one.place]),
            *(f"{rank:.0f}" for rank in one.ranks),
            f"{one.change:+.0f}",
            f"{one.by_seeds:.0f}",
        ]
        grid.append(line + ([f"{people[one.place]:.0f}"] if people is not None else []))
    return grid


def _human_ranks(found: Compared) -> Any:
    """Ranks in 0 … 100 by human scores; 0 is the most similar pair. None without scores."""
    from scipy.stats import rankdata

    data = found.subject.dataset
    if data is None:
        return None
    scores = np.array(data.scores)
    return 100 * (rankdata(-scores) - 1) / max(1, len(scores) - 1)


def _draw(alike: dict[Couple, Likeness], folder: Path, title: str, k: int) -> None:
    names = [_label(couple) for couple in alike]
    series = {
        words: [_point(each, name) for each in alike.values()] for name, words in _NAMES.items()
    }
    for n in range(2):
        label = f"no change ({'first' if n == 0 else 'second'})"
        series[label] = [
            Point(None if each.no_change is None else 100 * each.no_change[n], None, each.n)
            for each in alike.values()
        ]
    seeds = f"k = {k} seeds a side; bars: 95 % intervals over pairs"
    draw_beside_names(names, series, folder / "compare", title=title, intervals=seeds, unit=UNIT)


def _point(each: Likeness, name: str) -> Point:
    value, bounds = getattr(each, name), each.intervals.get(name)
    return Point(
        None if value is None else 100 * value,
        None if bounds is None else (100 * bounds[0], 100 * bounds[1]),
        each.n,
        each.reason,
    )


def _label(couple: Couple) -> str:
    return " | ".join(couple)


def _notes(found: Compared) -> tuple[str, ...]:
    k, seed = found.samples, next(iter(found.signatures.values())).key["seed"]
    first, second = f"{seed} to {int(seed or 0) + k - 1}", f"{int(seed or 0) + k} to "
    second += f"{int(seed or 0) + 2 * k - 1}"
    ranked = "Ranks are in 0 to 100 over all seeds; 0 is the nearest pair."
    notes = [
        f"Figures are Spearman × 100 between distances, each with k = {k}; in brackets 95 % "
        "bootstrap intervals over pairs, with the seeds kept.",
        f"Same seeds: both processes under seeds {first}, so they share their noise. Other seeds: "
        f"one under seeds {first}, the other under seeds {second}; the mean of both ways.",
        "No change: each process with itself, under the first seeds and the next. It is the floor: "
        "what other seeds alone change. Below: the mean floor less other seeds. If its interval "
        "holds 0, noise explains the difference.",
        "Corrected: other seeds / √(floor × floor), the agreement of distances without noise "
        "(Spearman's correction for attenuation); an estimate can exceed 100.",
        f"{ranked} By other seeds: how far a rank moves within a process if only the seeds change.",
    ]
    if found.subject.dataset is not None:
        notes.append(
            "Agreement with people is over all seeds. Its intervals are over pairs and "
            "seeds where k > 1."
        )
    return (*notes, *(f"{label}: {line}" for label, line in found.signatures.items()))


def _object(
    found: Compared,
    alike: dict[Couple, Likeness],
    parts: dict[tuple[Couple, str], Likeness],
    apart: dict[Couple, list[Disagreement]],
    agreement: Iterable[Cell],
) -> dict[str, Any]:
    pairs = found.subject.pairs
    return {
        "subject": found.subject.title,
        "samples": found.samples,
        "processes": {label: one.object() for label, one in found.signatures.items()},
        "likeness": [
            {"processes": couple, "subset": ALL, **asdict(each)} for couple, each in alike.items()
        ]
        + [
            {"processes": couple, "subset": name, **asdict(each)}
            for (couple, name), each in parts.items()
        ],
        "agreement_with_people": [cell.object() for cell in agreement],
        "disagreements": [
            {
                "processes": couple,
                "pairs": [
                    {
                        "text1": pairs[one.place][0],
                        "text2": pairs[one.place][1],
                        "ranks": one.ranks,
                        "change": one.change,
                        "by_other_seeds": one.by_seeds,
                        "distances": [
                            float(found.distances[label][:, one.place].mean()) for label in couple
                        ],
                    }
                    for one in each
                ],
            }
            for couple, each in apart.items()
        ],
    }

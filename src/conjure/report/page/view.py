"""An explanation → what the template shows, section by section.

The template escapes markup (Jinja's autoescape). Control characters and marks of direction become
visible here (``core.text``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from ...core.registry import find_estimand
from ...core.text import printable, shown
from ...explanation.record import Explanation
from .charts import convergence_chart, profile_chart, share_intervals
from .images import SMALL, map_uri, overlay_uri, picture_uri
from .panel import halves
from .parts import BarData, Bars, Table, bars, blocks, error_text, number, percent
from .sentences import caveats, nearness, summary
from .words import word_matrix, words_views

WAYS = ("first text's way", "second text's way")
_SHOWN = 12  # samples as small multiples; the table has all


@dataclass(frozen=True)
class Place:
    """Where on one text's trajectories the distance lies: pictures of it and their words."""

    overlay: str | None
    heat: str
    says: str
    share: str


@dataclass(frozen=True)
class Where:
    """Both maps, on one scale of colours that ends at ``highest``."""

    places: tuple[Place, ...]
    tables: tuple[Table, ...]
    highest: str


@dataclass(frozen=True)
class Sample:
    """One sample as a small multiple."""

    name: str
    value: str
    pictures: tuple[str, str] | None


def context(explanation: Explanation) -> dict[str, Any]:
    """Everything that the template of one explanation uses."""
    distance, pictures = explanation.distance, explanation.pictures
    found: dict[str, Any] = {
        "texts": tuple(shown(text) for text in explanation.texts),
        "value": number(distance.value),
        "error": None if distance.standard_error is None else error_text(distance.standard_error),
        "estimand": find_estimand(distance.estimand).title,
        "near": (nearness(explanation) or "").partition(";")[0],  # the rest is in the summary
        "summary": summary(explanation),
        "number_table": number_table(explanation),
        "decoded": pictures is None or pictures.decoded,
        "heroes": None,
        "halves": (),
        "where": where(explanation),
        "words": words_views(explanation),
        "word_matrix": word_matrix(explanation.words),
        "samples": samples(explanation),
        "more_samples": max(0, len(explanation.values) - _SHOWN),
        "measured": measured(explanation),
        "signature": printable(str(distance.signature)),
        "command": printable(explanation.command),
        "caveats": caveats(explanation),
    }
    if pictures is not None:
        first, second = pictures.finals[pictures.sample]
        found["heroes"] = (picture_uri(first), picture_uri(second))
        found["seed"] = distance.seed + pictures.sample
        found["halves"] = halves(explanation)
    found["when"], found["when_table"] = when(explanation)
    found["way"], found["way_table"] = which_way(explanation)
    found["sure"], found["sure_table"] = how_sure(explanation)
    return found


def number_table(explanation: Explanation) -> Table:
    """The number with everything that belongs to it."""
    distance = explanation.distance
    low, high = distance.interval or (None, None)
    rows = [
        ("distance", number(distance.value)),
        ("standard error", number(distance.standard_error)),
        ("95 % interval, low end", number(low)),
        ("95 % interval, high end", number(high)),
        ("samples", str(distance.samples)),
    ]
    if (near := getattr(distance, "similarity", None)) is not None:
        rows.append(("similarity: share of unrelated pairs that are farther", percent(near)))
    return Table("the number", ("figure", "value"), tuple(rows))


def where(explanation: Explanation) -> Where:
    """Maps over positions: shares of the distance, mean over samples."""
    maps, pictures = explanation.where, explanation.pictures
    highest = float(maps.max())
    rows, columns = maps.shape[1:]
    places, tables = [], []
    for n, name in enumerate(WAYS):
        row, column = np.unravel_index(int(np.argmax(maps[n])), (rows, columns))
        share = percent(float(maps[n].sum()))
        says = (
            f"Map of the {name}: {share} of the distance. The largest position, row {row + 1} and "
            f"column {column + 1} of {rows} × {columns}, holds {percent(float(maps[n].max()))}."
        )
        over = None
        if pictures is not None:
            over = overlay_uri(pictures.finals[pictures.sample, n], maps[n], highest)
        places.append(Place(over, map_uri(maps[n], highest), says, share))
        coarse = blocks(maps[n])
        summed = "" if coarse.shape == (rows, columns) else f", {rows} × {columns} summed in blocks"
        tables.append(
            Table(
                f"share of each position, {name}{summed}",
                ("row", *(f"column {c + 1}" for c in range(coarse.shape[1]))),
                tuple((str(r + 1), *map(percent, map(float, row))) for r, row in enumerate(coarse)),
            )
        )
    return Where(tuple(places), tuple(tables), percent(highest))


def when(explanation: Explanation) -> tuple[Markup, Table]:
    """The profile over steps, and its table."""
    profile = explanation.profile
    mean, reach = share_intervals(profile)
    terms, both = profile.mean(axis=0), mean.sum(axis=0)
    top = int(np.argmax(both))
    alt = (
        f"Share of the distance at each of {len(both)} steps. The largest is step {top + 1} with "
        f"{percent(float(both[top]))}; the first step has {percent(float(both[0]))}, the last "
        f"{percent(float(both[-1]))}."
    )
    head = ["step", "noise ratio σ̂", "share, both ways"]
    for name in WAYS:
        head += [f"term, {name}", "share", *([] if reach is None else ["± (95 %)"])]
    rows = []
    for j, sigma in enumerate(explanation.distance.terms.schedule.sigmas[: len(both)]):
        row = [str(j + 1), number(sigma), percent(float(both[j]))]
        for n in range(2):
            row += [number(float(terms[n, j])), percent(float(mean[n, j]))]
            row += [] if reach is None else [percent(float(reach[n, j]))]
        rows.append(tuple(row))
    return profile_chart(profile, alt), Table("share of each step", tuple(head), tuple(rows))


def which_way(explanation: Explanation) -> tuple[Bars, Table]:
    """Forward against backward."""
    by_sample = explanation.profile.mean(axis=2)  # (samples, 2)
    mean, reach = share_intervals(by_sample[:, :, None])
    lines = [
        BarData(name, float(mean[n, 0]), None if reach is None else float(reach[n, 0]), kind)
        for n, (name, kind) in enumerate(zip(WAYS, ("first", "second"), strict=True))
    ]
    says = "; ".join(f"{line.label}: {percent(line.value)} of the distance" for line in lines)
    numbered = [
        *((str(i + 1), one) for i, one in enumerate(by_sample)),
        ("mean", by_sample.mean(axis=0)),
    ]
    rows = tuple(
        (name, number(float(a)), number(float(b)), number(float(a + b)))
        for name, (a, b) in numbered
    )
    table = Table("both directions of each sample", ("sample", *WAYS, "sum"), rows)
    return bars(lines, f"{says}.", "share of the distance", as_percent=True), table


def samples(explanation: Explanation) -> list[Sample]:
    """Small multiples of the first samples."""
    found, pictures = [], explanation.pictures
    for i, value in enumerate(explanation.values[:_SHOWN]):
        drawn = None
        if pictures is not None:
            first, second = pictures.finals[i]
            drawn = (picture_uri(first, SMALL), picture_uri(second, SMALL))
        name = f"sample {i + 1}, seed {explanation.distance.seed + i}"
        found.append(Sample(name, number(float(value)), drawn))
    return found


def how_sure(explanation: Explanation) -> tuple[Markup | None, Table]:
    """Convergence in the number of samples; no chart for one sample."""
    values, seed = explanation.values, explanation.distance.seed
    means = np.cumsum(values) / np.arange(1, len(values) + 1)
    rows = tuple(
        (str(i + 1), str(seed + i), number(float(value)), number(float(means[i])))
        for i, value in enumerate(values)
    )
    head = ("sample", "seed", "distance", "mean so far")
    table = Table("distance of each sample", head, rows)
    if len(values) < 2:
        return None, table
    alt = (
        f"Mean of the first samples with its 95 % interval: {number(float(means[0]))} after one, "
        f"{number(float(means[-1]))} after {len(values)}."
    )
    return convergence_chart(values, alt), table


def measured(explanation: Explanation) -> Table:
    """How the number came about, from its signature."""
    distance, signature = explanation.distance, explanation.distance.signature
    name = signature.key.get("process") or signature.provenance.get("name")
    facts: dict[str, object] = {
        "first text": distance.text1,
        "second text": distance.text2,
        "process": name,
        **{key: value for key, value in signature.key.items() if key != "process"},
        "samples": distance.samples,
        **{key: value for key, value in signature.provenance.items() if key != "name"},
    }
    facts["estimand"] = f"{distance.estimand}: {find_estimand(distance.estimand).title}"
    rows = tuple(
        (_TITLES.get(key, key), printable(str(value)))
        for key, value in facts.items()
        if value is not None
    )
    return Table("texts, process and settings", ("setting", "value"), rows, frozenset({1}))


_TITLES = {
    "revision": "revision of the weights",
    "guidance_scale": "guidance scale w",
    "guidance": "kind of guidance",
    "steps": "steps T",
    "size": "latent size",
    "samples": "samples k",
    "batch": "batch size",
}

"""The figures of the tables, one a cell: a row's agreement with people on a set or a part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..core.spec import Signature
from ..datasets.cards import SEVEN, set_title
from ..datasets.read import SUBSAMPLE_SEED, Dataset
from ..stats.comparison import average
from ..stats.correlation import (
    MIN_RESAMPLED,
    NO_INTERVAL,
    Correlation,
    by_subset,
    chance,
    correlate,
    correlation_object,
    percent,
)
from ..stats.resampling import Array, bootstrap, combined

ALL, MEAN, WEIGHTED, DEVIATION = "all", "mean", "weighted mean", "standard deviation"
AVERAGE = "average"
MEASURED, PUBLISHED = "measured", "published"
DRAWN = "draws of the control"

Column = tuple[str, str]  # set and subset


@dataclass(frozen=True)
class Cell:
    """One figure; coefficients and their interval × 100, as the literature prints them.

    row:       as ``--rows`` takes it; table 3 adds ", T = 5"
    dataset:   a set's name, or "average", over the paper's seven
    subset:    "all", a subset's name, or "mean" or "weighted mean" of Spearman's coefficients over
               the subsets; of the average also "standard deviation", the paper's ±
    interval:  95 % bootstrap interval of Spearman's coefficient; of the control what 95 % of its
               draws lie between
    over:      what the interval is about (other pairs, other seeds, or draws of the control), and
               how many pairs were drawn where the set was not taken whole
    signature: what it takes to measure it again; of a published figure, where it is printed
    source:    "measured" or "published"
    reason:    why there is no figure, or None where there is one
    interval_reason: why there is a figure and no interval
    """

    row: str
    dataset: str
    subset: str = ALL
    spearman: float | None = None
    pearson: float | None = None
    kendall: float | None = None
    n: int | None = None
    p_value: float | None = None
    interval: tuple[float, float] | None = None
    signature: Signature | str | None = None
    source: str = MEASURED
    over: str | None = None
    reason: str | None = None
    interval_reason: str | None = None

    def object(self) -> dict[str, Any]:
        """The cell as a JSON object."""
        signature = self.signature
        found = asdict(replace(self, signature=None))
        return found | {
            "signature": signature.object() if isinstance(signature, Signature) else signature
        }


@dataclass(frozen=True)
class Distances:
    """A row's distances of one set, and how they were measured.

    samples: (k, n), one line a sample; (n,) where nothing is drawn at random
    """

    samples: Array
    signature: Signature


@dataclass(frozen=True)
class Draws:
    """The control's distances of one set: (draws, n). Each draw has a figure of its own."""

    samples: Array
    signature: Signature


Measured = Distances | Draws | str  # how far apart pairs are, or the reason why that is not known
OfSet = tuple[Dataset, Measured, Cell]  # a set, distances of it, the figure on all of it


def cells(row: str, data: Dataset, found: Measured) -> list[Cell]:
    """The figures of a row on a set: whole, within each subset, and their means."""
    if isinstance(found, str):
        return [Cell(row, data.name, n=len(data.scores), reason=found)]
    if isinstance(found, Draws):
        return _control_cells(row, data, found)
    line = found.signature
    made = [cell_of(row, data, ALL, correlate(data.scores, found.samples), line)]
    if data.subsets is None or len(set(data.subsets)) < 2:
        return made
    parts = by_subset(data.scores, data.subsets, found.samples)
    made += [cell_of(row, data, name, part, line) for name, part in parts.each.items()]
    for name, value in ((MEAN, parts.mean), (WEIGHTED, parts.weighted_mean)):
        made.append(
            Cell(
                row,
                data.name,
                name,
                spearman=percent(value),
                n=len(data.scores),
                signature=line,
                reason=parts.reason,
            )
        )
    return made


def _control_cells(row: str, data: Dataset, found: Draws) -> list[Cell]:
    """As ``cells``, each figure the mean over draws, its interval what 95 % of them lie between."""
    made, each = [], {}
    for _, subset in with_subsets(data.name, data):
        places = within(data, subset)
        scores = np.array(data.scores)[places]
        drawn = chance(scores, found.samples[:, places])
        if isinstance(drawn, str):
            made.append(Cell(row, data.name, subset, n=len(scores), reason=drawn))
            continue
        spearman, pearson, kendall = 100 * drawn
        if subset != ALL:
            each[subset] = spearman
        made.append(
            Cell(
                row,
                data.name,
                subset,
                spearman=float(spearman.mean()),
                pearson=float(pearson.mean()),
                kendall=float(kendall.mean()),
                n=len(scores),
                interval=_between(spearman),
                signature=found.signature,
                over=_over_draws(found, data),
            )
        )
    if len(made) > 1 and len(each) == len(made) - 1:
        sizes = [len(within(data, subset)) for subset in each]
        for name, weights in ((MEAN, None), (WEIGHTED, sizes)):
            over_parts = np.average([*each.values()], axis=0, weights=weights)
            made.append(
                Cell(
                    row,
                    data.name,
                    name,
                    spearman=float(over_parts.mean()),
                    n=len(data.scores),
                    interval=_between(over_parts),
                    signature=found.signature,
                    over=_over_draws(found, data),
                )
            )
    return made


def _between(drawn: Array) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _over_draws(found: Draws, data: Dataset) -> str:
    return f"{len(found.samples)} {DRAWN}{_subsampled(data)}"


def _subsampled(data: Dataset) -> str:
    if len(data.scores) == data.total:
        return ""
    return f"; {len(data.scores)} of {data.total} pairs, drawn with seed {SUBSAMPLE_SEED}"


def average_cells(row: str, sets: Mapping[str, OfSet]) -> list[Cell]:
    """The average over the paper's seven sets and the standard deviation across them.

    sets: {name: what is known of the row on the set}; nothing where not all seven are there.
    The interval is of the average: sets are resampled independently, seeds alike in all of them.
    """
    if not all(name in sets for name in SEVEN):
        return []
    chosen = {name: sets[name] for name in SEVEN}
    n = sum(len(data.scores) for data, _, _ in chosen.values())
    mean = average({name: whole.spearman for name, (_, _, whole) in chosen.items()})
    if mean.mean is None:
        first = next(whole.reason for _, _, whole in chosen.values() if whole.reason)
        return [Cell(row, AVERAGE, n=n, reason=f"{mean.reason}: {first}")]
    interval = _interval_of_average([(data, found) for data, found, _ in chosen.values()])
    line, over = chosen[SEVEN[0]][2].signature, chosen[SEVEN[0]][2].over
    if any(len(data.scores) < data.total for data, _, _ in chosen.values()):
        over = f"{str(over).partition(';')[0]}; subsamples, drawn with seed {SUBSAMPLE_SEED}"
    return [
        Cell(
            row,
            AVERAGE,
            spearman=mean.mean,
            n=n,
            interval=interval,
            signature=line,
            over=over,
            interval_reason=None if interval else NO_INTERVAL,
        ),
        Cell(row, AVERAGE, DEVIATION, spearman=mean.deviation, n=n, signature=line),
    ]


def _interval_of_average(sets: Sequence[tuple[Dataset, Measured]]) -> tuple[float, float] | None:
    """Of coefficients × 100; None where a set has too few pairs to be resampled."""
    drawn = [
        each
        for data, found in sets
        if isinstance(found, Draws)
        and not isinstance(each := chance(np.array(data.scores), found.samples), str)
    ]
    if drawn:
        return _between(100 * np.mean(drawn, axis=0)[0])
    if any(len(data.scores) < MIN_RESAMPLED for data, _ in sets):
        return None
    resampled = [
        bootstrap(np.array(data.scores), [np.atleast_2d(found.samples)])[0]
        for data, found in sets
        if isinstance(found, Distances)
    ]
    low, high = combined(resampled, [1 / len(resampled)] * len(resampled)).interval()
    return 100 * low, 100 * high


def cell_of(
    row: str, data: Dataset, subset: str, found: Correlation, line: Signature | str
) -> Cell:
    facts = correlation_object(found)
    over = facts.pop("interval_over") + _subsampled(data)
    interval = facts.pop("interval")
    return Cell(
        row,
        data.name,
        subset,
        interval=interval and tuple(interval),
        signature=line,
        over=over,
        **facts,
    )


def with_subsets(name: str, data: Dataset) -> list[Column]:
    """The columns of a set: all of it, then each of its subsets, where there are several."""
    parts = sorted(set(data.subsets or ()))
    return [(name, ALL), *((name, part) for part in parts if len(parts) > 1)]


def within(data: Dataset, subset: str) -> list[int]:
    """The places of a subset's pairs in its set; of "all", every place."""
    parts = data.subsets or ()
    return [i for i in range(len(data.scores)) if subset == ALL or parts[i] == subset]


def subsample_notes(datasets: Mapping[str, Dataset]) -> list[str]:
    """A sentence on the sets that were not taken whole, where there are any."""
    drawn = [
        f"{set_title(name)}: {len(data.scores):,} of {data.total:,} pairs"
        for name, data in datasets.items()
        if len(data.scores) < data.total
    ]
    return [f"A subsample, drawn with seed {SUBSAMPLE_SEED}: {'; '.join(drawn)}."] if drawn else []

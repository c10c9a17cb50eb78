"""One figure of a table: how well a row agrees with people on a set or a subset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..core.spec import Signature
from ..datasets.cards import set_title
from ..datasets.read import SUBSAMPLE_SEED, Dataset
from ..stats.correlation import (
    Correlation,
    by_subset,
    chance,
    correlate,
    correlation_object,
    percent,
)
from ..stats.resampling import Array

ALL, MEAN, WEIGHTED, DEVIATION = "all", "mean", "weighted mean", "standard deviation"
AVERAGE = "average"
MEASURED, PUBLISHED = "measured", "published"
DRAWN = "draws of the control"

Column = tuple[str, str]  # set and subset


@dataclass(frozen=True)
class Cell:
    """One figure. Coefficients and interval are × 100, as the literature prints them.

    row:       as ``--rows`` takes it; Table 3 adds ", T = 5"
    dataset:   name of a set, or "average" over the paper's seven
    subset:    "all", the name of a subset, or "mean" or "weighted mean" of Spearman's coefficients
               over the subsets; of the average also "standard deviation", the paper's ±
    interval:  95 % bootstrap interval of Spearman's coefficient; for the control, the range that
               holds 95 % of its draws
    over:      what the interval varies (pairs, pairs and seeds, or draws of the control), and the
               number of pairs where the set was subsampled
    signature: how the figure was measured; for a published one, where it is printed
    source:    "measured" or "published"
    reason:    why there is no figure; None where there is one
    interval_reason: why there is a figure but no interval
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
    """Distances of one row on one set, and how they were measured.

    samples: (k, n), one row a sample; (n,) for a deterministic baseline
    """

    samples: Array
    signature: Signature


@dataclass(frozen=True)
class Draws:
    """Distances of the control on one set: (draws, n). Each draw gives one figure."""

    samples: Array
    signature: Signature


Measured = Distances | Draws | str  # distances of the pairs, or the reason why there are none
MeasuredRows = Mapping[str, Mapping[str, Measured]]  # row → set → distances


def cells(row: str, data: Dataset, found: Measured) -> list[Cell]:
    """The figures of a row on a set: on all pairs, on each subset, and their means."""
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
    """As ``cells``. A figure is the mean over draws, its interval holds 95 % of them."""
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
                interval=central_95(spearman),
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
                    interval=central_95(over_parts),
                    signature=found.signature,
                    over=_over_draws(found, data),
                )
            )
    return made


def central_95(drawn: Array) -> tuple[float, float]:
    """The range that holds the central 95 % of the values."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _over_draws(found: Draws, data: Dataset) -> str:
    return f"{len(found.samples)} {DRAWN}{_subsampled(data)}"


def _subsampled(data: Dataset) -> str:
    if len(data.scores) == data.total:
        return ""
    return f"; {len(data.scores)} of {data.total} pairs, drawn with seed {SUBSAMPLE_SEED}"


def cell_of(
    row: str, data: Dataset, subset: str, found: Correlation, line: Signature | str
) -> Cell:
    """A correlation as a cell."""
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
    """The columns of a set: all pairs, then each subset where there are several."""
    parts = sorted(set(data.subsets or ()))
    return [(name, ALL), *((name, part) for part in parts if len(parts) > 1)]


def within(data: Dataset, subset: str) -> list[int]:
    """The indices of a subset's pairs in its set; every index for "all"."""
    parts = data.subsets or ()
    return [i for i in range(len(data.scores)) if subset == ALL or parts[i] == subset]


def subsample_notes(datasets: Mapping[str, Dataset]) -> list[str]:
    """One sentence that names the subsampled sets; empty where there are none."""
    drawn = [
        f"{set_title(name)}: {len(data.scores):,} of {data.total:,} pairs"
        for name, data in datasets.items()
        if len(data.scores) < data.total
    ]
    return [f"A subsample, drawn with seed {SUBSAMPLE_SEED}: {'; '.join(drawn)}."] if drawn else []

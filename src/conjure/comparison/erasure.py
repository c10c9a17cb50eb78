"""What an edit of a model has moved: the target words, and bystanders that it should leave alone.

Two measures, for each word. *Itself*: the Jeffreys divergence between what the two processes do
for the word, on the same noise. *Relations*: how far the word's distances to the bystanders moved,
beside how far other seeds alone move them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..core.errors import InputError
from ..core.spec import Signature, Spec, sign
from ..core.text import shown
from ..core.uncertainty import Estimate, estimate
from ..paper.variants import sample_distances
from ..report.grids import NONE, Grid
from ..report.plots.moved import Moved, draw_moved
from ..report.report import Report
from ..runs.parts import Turns
from ..stats.resampling import Array
from .measure import Compared, Subject, measure
from .side_by_side import SideBySide, first, second

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..runs.passes import Passes

MIN_BYSTANDERS = 3
TARGET, BYSTANDER = "target", "bystander"


@dataclass(frozen=True)
class Movement:
    """How far one word moved. Figures are shares of a typical distance, so 1 is far.

    itself:    divergence of the word between the two processes, over the median distance between
               bystanders before the edit; None where the processes share no latents
    error:     its standard error over seeds; None for one seed
    relations: mean |distance after − distance before| to the bystanders, over their mean before.
               Each process's distances are in units of its own median distance between bystanders,
               so a change of scale does not count. The two sides have different seeds
    no_change: the same within each process, between the first seeds and the next; the mean of two
    """

    word: str
    kind: str
    itself: float | None
    error: float | None
    relations: float
    no_change: float


def words_of(targets: Sequence[str], bystanders: Sequence[str]) -> Subject:
    """All pairs that are needed. Raises InputError for too few words, or one that is both."""
    if not targets:
        raise InputError("bystanders need at least one --target, the word that was erased")
    others = list(dict.fromkeys(bystanders))
    if len(others) < MIN_BYSTANDERS:
        raise InputError(
            f"{MIN_BYSTANDERS} bystanders or more are needed as a scale, not {len(others)}: give "
            "words that the edit should not move by --bystander"
        )
    if both := [word for word in targets if word in others]:
        raise InputError(f"{both[0]!r:.80} is both a target and a bystander")
    words = [*dict.fromkeys(targets)]
    pairs = [*combinations(others, 2), *((word, other) for word in words for other in others)]
    return Subject(f"{len(words)} targets and {len(others)} bystanders", pairs)


def movements(
    found: Compared, itself: Mapping[str, Estimate], targets: Sequence[str]
) -> list[Movement]:
    """The movement of each word; targets come first, then bystanders.

    found:  two processes, the first one before the edit, on the pairs of ``words_of``
    itself: {word: its divergence between the two processes}; may be empty
    """
    before, after = found.distances.values()
    pairs = found.subject.pairs
    words = list(dict.fromkeys(text for pair in pairs for text in pair))
    bystanders = [word for word in words if word not in targets]
    among = [n for n, pair in enumerate(pairs) if not set(pair) & set(targets)]
    scales = [float(np.median(each[:, among].mean(axis=0))) for each in (before, after)]
    if min(scales) == 0:
        raise InputError("all bystanders are at distance 0 from each other: there is no scale")
    own_scale = scales[0]
    made = []
    for word in [*targets, *bystanders]:
        to = [
            n
            for n, pair in enumerate(pairs)
            if word in pair and not _other_target(pair, word, targets)
        ]
        halves = [
            _halves(each[:, to] / scale)
            for each, scale in zip((before, after), scales, strict=True)
        ]
        ways = [(halves[0][0], halves[1][1]), (halves[0][1], halves[1][0])]
        own = itself.get(word)
        made.append(
            Movement(
                word,
                TARGET if word in targets else BYSTANDER,
                None if own is None else own.value / own_scale,
                None
                if own is None or own.standard_error is None
                else own.standard_error / own_scale,
                float(np.mean([_moved(*way) for way in ways])),
                float(np.mean([_moved(*each) for each in halves])),
            )
        )
    return made


def _other_target(pair: tuple[str, str], word: str, targets: Sequence[str]) -> bool:
    return any(text in targets and text != word for text in pair)


def _halves(distances: Array) -> tuple[Array, Array]:
    half = len(distances) // 2
    return distances[:half].mean(axis=0), distances[half:].mean(axis=0)


def _moved(before: Array, after: Array) -> float:
    return float(np.abs(after - before).mean() / before.mean())


def divergences(
    processes: Sequence[GenerativeProcess], words: Sequence[str], passes: Passes, estimand: str
) -> tuple[dict[str, Estimate], Signature]:
    """Each word's divergence between two processes, under all seeds, and how it was measured.

    Raises InputError where the processes share no latents.
    """
    both = SideBySide(*processes)
    pairs = [(first(word), second(word)) for word in words]
    terms = passes.measure(both, pairs, samples=2 * passes.samples)
    each = sample_distances(terms, estimand)
    found = {word: estimate(torch.from_numpy(each[:, n].copy())) for n, word in enumerate(words)}
    return found, sign(both, Spec(2 * passes.samples, passes.seed, estimand))


def erasure(
    processes: Mapping[str, GenerativeProcess],
    targets: Sequence[str],
    bystanders: Sequence[str],
    passes: Passes,
    estimand: str,
    folder: Path,
    say: Callable[[str], object] = lambda line: None,
) -> Report:
    """Measure and report what an edit has moved; the figure is drawn into ``folder``.

    Raises PartFinished as ``measure`` does.
    """
    if len(processes) != 2:
        raise InputError(
            f"--target compares two processes, the original first; {len(processes)} are given"
        )
    targets = list(dict.fromkeys(targets))
    subject = words_of(targets, bystanders)
    words = list(dict.fromkeys([*targets, *bystanders]))
    turns = Turns()
    with turns.one():
        found = measure(processes, subject, passes, estimand, say)
    with turns.one():
        try:
            itself, line = divergences([*processes.values()], words, passes, estimand)
            own = f"Itself: {line}"
        except InputError as error:
            itself, own = {}, f"Itself is left out: {error}"
    turns.end()
    made = movements(found, itself, targets)
    before, after = processes
    title = f"What differs between {before} and {after}"
    draw_moved(
        [
            Moved(one.word, one.kind == TARGET, one.itself, one.error, one.relations, one.no_change)
            for one in made
        ],
        folder / "compare",
        title=title,
    )
    return Report(
        "compare",
        title,
        (("How far each word moved", _grid(made)),),
        (*_notes(found), own, *(f"{label}: {line}" for label, line in found.signatures.items())),
        pictures=(("compare", "How far targets and bystanders moved"),),
        objects={
            "samples": found.samples,
            "processes": {label: one.object() for label, one in found.signatures.items()},
            "movements": [asdict(one) for one in made],
        },
    )


def _grid(made: Sequence[Movement]) -> Grid:
    grid = [["word", "kind", "itself", "relations", "no change", "relations / no change"]]
    for one in made:
        error = "" if one.error is None else f" ± {one.error:.3f}"
        grid.append(
            [
                shown(one.word, 48),
                one.kind,
                NONE if one.itself is None else f"{one.itself:.3f}{error}",
                f"{one.relations:.3f}",
                f"{one.no_change:.3f}",
                f"{one.relations / one.no_change:.2f}" if one.no_change else NONE,
            ]
        )
    return grid


def _notes(found: Compared) -> tuple[str, ...]:
    return (
        "Itself: the divergence between what the two processes do for the word on the same noise, "
        "over the median distance between bystanders before the edit; ± is its standard error over "
        f"{2 * found.samples} seeds. The same process twice gives exactly 0.",
        "Relations: the mean change of the word's distances to the bystanders, over their mean "
        "before the edit. Distances are in units of each process's own median distance between "
        "bystanders. The two sides have different seeds, so some of the change is noise.",
        "No change: the same within one process, between its first seeds and the next. A ratio "
        "near 1 means that noise explains the change.",
    )

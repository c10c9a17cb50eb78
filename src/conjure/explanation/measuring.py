"""Two texts in, an explanation out: one pass of the estimator, watched.

The pass is that of ``similarity.stream``. A ``Collector`` sees every squared difference before it
is summed over positions, so the maps cost no network row. Pictures take each trajectory's last
step, which costs a row a text and sample with guidance. Words are further pairs of the same plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch

from ..core.checks import checked_pairs, checked_process, whole
from ..core.divergence import measure
from ..core.errors import InputError, NonFiniteError
from ..core.memory import automatic_bound
from ..core.planner import Plan
from ..core.process import GenerativeProcess
from ..core.reading import unreadable
from ..core.spec import Spec
from ..core.text import brief, number_of, text_fault
from ..core.types import Observer, Pair
from ..decoding import Decodes
from ..similarity import Distance, Measure, bundled, cost, stream
from .observing import Arranges, Collector, positions
from .pictures import END_SIDE, Denoises, draw, picture_pixels
from .record import Explanation, Pictures
from .weights import not_a_sum, step_weights
from .words import NEUTRAL, WordPlan, plan_words

_TOLERANCE = 1e-9  # between the maps' sum and the distance, relative; both are float64 sums


@dataclass(frozen=True)
class Parts:
    """Which parts of an explanation are wanted.

    words:    whether each word is left out and replaced
    neutral:  the word that replaces another one
    pictures: whether pictures are drawn
    sample:   the sample whose steps are shown, from 1
    """

    words: bool = False
    neutral: str = NEUTRAL
    pictures: bool = True
    sample: int = 1


def explain(
    text1: str,
    text2: str,
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    seed: int = 0,
    estimand: str = "jeffreys",
    words: bool = False,
    neutral: str = NEUTRAL,
    pictures: bool = True,
) -> Explanation:
    """Where, when and which way two texts differ, and what each word does: exact shares.

    process, samples, seed, estimand: as in ``conjure.distance``. An estimand must be a sum over
              steps, or a single step: ``output`` and ``coupled`` are refused
    words:    also leave out each word, replace it, and compare the words: 141 pairs in all for two
              texts of ten words each, which share their trajectories
    neutral:  the word that replaces another one
    pictures: draw what the process shows; the maps need no picture

    Raises InputError for an invalid text, number, estimand or process, for two equal texts, and for
    more samples than memory holds; NonFiniteError if the network or the decoder gives NaN.

    >>> import torch
    >>> from conjure.core.gaussian import GaussianProcess
    >>> here, there = torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])
    >>> process = GaussianProcess({"here": (here, torch.eye(2)), "there": (there, torch.eye(2))})
    >>> found = explain("here", "there", process=process, samples=2)
    >>> found.maps.shape
    (2, 2, 10, 1, 2)
    >>> round(float(found.maps.sum(axis=(1, 3, 4)).mean()), 2), round(found.distance.value, 2)
    (1.92, 1.92)
    >>> [round(float(share), 2) for share in found.where.sum(axis=0)[0]]  # 3² and 4² of 25
    [0.36, 0.64]
    """
    spec = Spec(samples, seed, estimand)
    parts = Parts(words, neutral, pictures)
    return prepare((text1, text2), process, spec, parts).run()


class Keeps(Protocol):
    """Finished work that an explanation goes on from; ``runs/explanations.py`` has one."""

    def measure(self, observer: Observer | None) -> Measure:
        """What measures pairs and keeps their terms. It leaves out those that fail."""
        ...

    def missing(self, pairs: Sequence[Pair], spec: Spec) -> set[Pair]:
        """The pairs whose terms are not kept."""
        ...

    def explanation(self, prepared: Prepared) -> Explanation | None:
        """What ``keep`` was given, or None."""
        ...

    def keep(self, prepared: Prepared, found: Explanation) -> None:
        """Keep the explanation of the two texts, without words."""
        ...

    def failure(self) -> NonFiniteError:
        """Why pairs were left out."""
        ...


def _measure(kept: Keeps | None, observer: Observer | None) -> Measure:
    return partial(measure, observer=observer) if kept is None else kept.measure(observer)


@dataclass(frozen=True)
class Prepared:
    """An explanation whose arguments are checked; nothing is measured yet.

    pairs: the pairs of the plan, that of the two texts first
    plan:  their cost in network rows
    notes: what the reader must know
    """

    process: GenerativeProcess
    spec: Spec
    parts: Parts
    pairs: tuple[Pair, ...]
    plan: Plan
    collector: Collector
    words: WordPlan | None
    notes: tuple[str, ...]

    def run(
        self,
        progress: Callable[[int, int], object] | None = None,
        command: str = "",
        kept: Keeps | None = None,
    ) -> Explanation:
        """Measure what is not kept.

        progress: called with (pairs done, pairs in all); command: what repeats it

        Raises NonFiniteError if a pair fails; with ``kept`` after the others are measured and kept.
        """
        whole = None if kept is None else kept.explanation(self)
        found: dict[Pair, Distance] = {}
        if whole is not None:
            found[self.pairs[0]] = whole.distance
        # the observer must see the two texts' pair; others that are kept are only read
        watched = self.left(kept)
        for pairs, observer in ((watched, self.collector), (self.pairs, None)):
            if not (rest := [pair for pair in pairs if pair not in found]):
                continue
            how = _measure(kept, observer if whole is None else None)
            for place, one in stream(rest, self.process, self.spec, measure=how):
                found[rest[place]] = one
                if whole is None and rest[place] == self.pairs[0]:
                    whole = self._explained(one)
                    if kept is not None:
                        kept.keep(self, whole)
                if progress is not None:
                    progress(len(found), len(self.pairs))
        if kept is not None and len(found) < len(self.pairs):
            raise kept.failure()
        assert whole is not None
        words = self.words
        return replace(
            whole,
            words=None if words is None else words.words_found(found, self.plan.rows),
            command=command or _command(self),
        )

    def left(self, kept: Keeps | None) -> list[Pair]:
        """The pairs that are still to be measured; that of the two texts comes first."""
        if kept is None:
            return list(self.pairs)
        missing = kept.missing(self.pairs, self.spec)
        if kept.explanation(self) is None:
            missing.add(self.pairs[0])
        return [pair for pair in self.pairs if pair in missing]

    def _explained(self, distance: Distance) -> Explanation:
        """The explanation of the two texts, without words, from what the collector has seen."""
        # what else was recorded for the pictures is not what was asked for
        distance = replace(distance, spec=replace(self.spec, record=frozenset()))
        # for a mean over steps; see ``Explanation``
        maps = self.collector.maps.numpy() * len(self.process.schedule)
        _check_sum(maps, distance)
        return Explanation(distance, maps, self._pictures(), notes=self.notes)

    def _pictures(self) -> Pictures | None:
        latents, sample = self.collector.latents, self.collector.shown
        return None if latents is None or sample is None else draw(self.process, latents, sample)


def prepare(
    texts: Pair, process: GenerativeProcess | None, spec: Spec, parts: Parts = Parts()
) -> Prepared:
    """Check all arguments, and plan. Raises InputError; nothing is measured yet."""
    texts = check_request(texts, spec, parts)
    process = bundled() if process is None else checked_process(process)
    spec.check(process)
    weights = step_weights(spec.entry, process.schedule)
    drawn = parts.pictures and isinstance(process, Denoises)
    check_memory(process, spec.samples, drawn)
    planned = None
    pairs = [texts]
    if parts.words:
        if unread := unreadable(process, [parts.neutral]):
            raise InputError(f"the neutral word: {unread[parts.neutral]}")
        planned = plan_words(texts, parts.neutral, process)
        pairs = planned.pairs()
    if drawn:  # a record takes the last step, to x_0
        spec = replace(spec, record=frozenset({"output"}))
    plan = cost(pairs, process, spec)
    seeds = range(spec.seed, spec.seed + spec.samples)
    shown = parts.sample - 1 if drawn else None
    # latents in false colour lie as latents do
    arranges = process if isinstance(process, Arranges) and isinstance(process, Decodes) else None
    shape = tuple(process.latent_shape)
    collector = Collector(texts, seeds, weights, shape, shown, arranges)
    notes = tuple(_notes(process, parts, drawn))
    return Prepared(process, spec, parts, tuple(pairs), plan, collector, planned, notes)


def check_request(texts: Pair, spec: Spec, parts: Parts) -> Pair:
    """The texts. Raises InputError for what is wrong whatever the process is."""
    [texts] = checked_pairs([texts])
    if texts[0] == texts[1]:
        raise InputError(f"both texts are {brief(texts[0])}: give two texts that differ")
    if parts.words and (fault := text_fault(parts.neutral)):
        raise InputError(f"the neutral word {fault}")
    if spec.cross_steps is not None or spec.tolerance is not None:
        raise InputError("an explanation has every step of a fixed number of samples: leave "
                         "cross_steps and tolerance out")  # fmt: skip
    if not 1 <= whole("sample", parts.sample, minimum=0) <= spec.samples:
        raise InputError(
            f"sample must be from 1 to {spec.samples}, the number of samples, not "
            f"{brief(parts.sample)}"
        )
    if spec.entry.needs:
        raise not_a_sum(spec.estimand)
    return texts


def check_memory(process: GenerativeProcess, samples: int, drawn: bool) -> None:
    """Raise InputError if the maps and pictures of so many samples need too much memory.

    If pictures of the largest size might not fit, one latent is decoded to see how large they are.
    """
    height, width = positions(process.latent_shape)
    maps = 8 * 2 * len(process.schedule) * height * width
    bound = automatic_bound(torch.device("cpu"))
    pixels = 0
    if drawn:
        pixels = END_SIDE**2 if isinstance(process, Decodes) else height * width
        if isinstance(process, Decodes) and samples * _bytes(maps, pixels) > bound:
            pixels = picture_pixels(process, process)
    if samples * _bytes(maps, pixels) > bound:
        raise InputError(
            f"{number_of(samples, 'sample')} need {samples * _bytes(maps, pixels):,} bytes for maps"
            f" and pictures, and {bound:,} may be used: take at most "
            f"{bound // _bytes(maps, pixels):,}"
        )


def _bytes(maps: int, pixels: int) -> int:
    """What a sample takes: its maps, and two pictures of three float32 numbers a pixel."""
    return maps + 2 * 3 * 4 * pixels


def _check_sum(maps: np.ndarray, distance: Distance) -> None:
    """Refuse to show parts that do not add up to the whole."""
    whole = float(maps.sum(axis=(1, 3, 4)).mean())
    if not abs(whole - distance.value) <= _TOLERANCE * abs(distance.value):
        raise InputError(
            f"the parts of estimand {distance.estimand!r} add up to {whole:.9g}, not to the "
            f"distance of {distance.value:.9g}, so they cannot be shown"
        )


def _notes(process: GenerativeProcess, parts: Parts, drawn: bool) -> list[str]:
    if parts.pictures and not drawn:
        return [
            "This process does not say where a prediction points to (it lacks denoised), so there "
            "are no pictures. The maps are in latent space."
        ]
    if drawn and not isinstance(process, Decodes):
        return [
            "This process has no decoder (VAE). Pictures are latents in false colour, and the maps "
            "are in latent space."
        ]
    return []


def _command(prepared: Prepared) -> str:
    """A line of Python that repeats an explanation that was made in Python."""
    process, spec, parts = prepared.process, prepared.spec, prepared.parts
    (text1, text2) = prepared.pairs[0]
    settings = f"samples={spec.samples}, seed={spec.seed}, estimand={spec.estimand!r}"
    if parts.words:
        settings += f", words=True, neutral={parts.neutral!r}"
    return f"conjure.explain({text1!r}, {text2!r}, process={process.name!r:.80}, {settings})"

"""Two texts in, a distance out: the fast path of Algorithm 1, composed from ``core/``.

``core/reference.py`` has the algorithm as it is printed. What makes it fast: ``core/planner.py``
decides which trajectories are walked when, ``core/sampling.py`` walks them, ``core/divergence.py``
compares the predictions along them. ``core/estimands.py`` reduces the result to one number a
sample, and ``core/uncertainty.py`` averages it with an interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from .core.checks import checked_pairs, checked_process, whole
from .core.divergence import measure
from .core.errors import NonFiniteError
from .core.memory import automatic_bound
from .core.planner import Plan, Sizes, distinct, plan
from .core.process import GenerativeProcess
from .core.reading import check_texts
from .core.spec import Signature, Spec, sign
from .core.text import brief
from .core.types import Pair, Terms
from .core.uncertainty import Estimate, estimate


@dataclass(frozen=True)
class Distance:
    """How far apart two texts are in a process, and all that is needed to measure it again.

    value:          the mean over samples; 0 for the same images, no upper end
    standard_error: of that mean, or None for one sample
    interval:       (low, high), 95 % by Student's t on the logarithm, or None for one sample
    samples:        how many were taken; more than ``spec.samples`` where k is adaptive
    spec:           what was asked for
    signature:      how it was measured; ``str(signature)`` is one line
    terms:          what the value was reduced from; ``terms.forward`` is (samples, steps)
    """

    text1: str
    text2: str
    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    samples: int
    spec: Spec
    signature: Signature = field(compare=False)
    terms: Terms = field(repr=False, compare=False)

    @property
    def estimand(self) -> str:
        """The estimand's name."""
        return self.spec.estimand

    @property
    def seed(self) -> int:
        """The first seed."""
        return self.spec.seed

    @property
    def steps(self) -> int:
        """T."""
        return len(self.terms.schedule)

    @property
    def guidance(self) -> float:
        """The guidance scale w."""
        return float(self.signature.key["guidance_scale"] or 0)


def distance(
    text1: str,
    text2: str,
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    seed: int = 0,
    estimand: str = "jeffreys",
    cross_steps: int | None = None,
    tolerance: float | None = None,
    max_samples: int = 64,
) -> Distance:
    """How far apart two texts are, by the images that they conjure in a process.

    process:     what ``conjure.load`` returns, or an object of your own with the attributes of
                 ``GenerativeProcess``; None is the process that comes with the package
    samples:     k, noises to average over; sample i starts from the noise of seed + i
    estimand:    jeffreys (Algorithm 1), kl (text1's trajectories alone), initial, final, output,
                 coupled, girsanov (nats as T → ∞), chain (nats at any T; samplers that add noise),
                 "pointwise:3" or "cumulative:3" (a step, from 1)
    cross_steps, tolerance, max_samples: opt-in estimates, see ``Spec``

    Raises InputError for a text, number, estimand or process that makes no sense, and
    NonFiniteError, naming prompt and step, where the network predicts NaN or infinity.

    >>> import torch
    >>> from conjure.core.gaussian import GaussianProcess
    >>> here, there = torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])
    >>> process = GaussianProcess({"here": (here, torch.eye(2)), "there": (there, torch.eye(2))})
    >>> round(distance("here", "there", process=process).value, 2)
    1.92
    >>> distance("here", "here", process=process).value
    0.0
    """
    spec = Spec(samples, seed, estimand, cross_steps, tolerance, max_samples)
    [(_, found)] = stream([(text1, text2)], process, spec)
    return found


def distances(
    pairs: Iterable[Pair],
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    seed: int = 0,
    estimand: str = "jeffreys",
    cross_steps: int | None = None,
    tolerance: float | None = None,
    max_samples: int = 64,
    max_memory: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[Distance]:
    """The distance of each pair, in the order given; all share batches and trajectories.

    max_memory: as in ``stream``; progress: called with (pairs done, pairs in all) after each;
    the rest is as in ``distance``.
    """
    spec = Spec(samples, seed, estimand, cross_steps, tolerance, max_samples)
    pairs = checked_pairs(pairs)
    found: dict[int, Distance] = {}
    for place, result in stream(pairs, process, spec, max_memory=max_memory):
        found[place] = result
        if progress is not None:
            progress(len(found), len(pairs))
    return [found[place] for place in range(len(pairs))]


def stream(
    pairs: Iterable[Pair],
    process: GenerativeProcess | None = None,
    spec: Spec = Spec(),  # noqa: B008  (frozen)
    *,
    max_memory: int | None = None,
) -> Iterator[tuple[int, Distance]]:
    """Yield (place in ``pairs``, Distance) as each is finished, roughly in the order given.

    max_memory: in bytes, for the trajectories that are kept until their last pair is done; None is
    a quarter of what is free. What does not fit is walked again, as ``cost`` tells beforehand.
    Everything is checked before the first is measured.
    """
    pairs = checked_pairs(pairs)
    max_memory = None if max_memory is None else whole("max_memory", max_memory, minimum=1)
    process = _chosen(process)
    spec.check(process)
    check_texts(process, pairs)

    def distance_of(place: int, terms: Terms, mean: Estimate) -> Distance:
        if not math.isfinite(mean.value):  # each prediction is finite, their squares need not be
            raise NonFiniteError(
                f"the distance of {' and '.join(map(brief, pairs[place]))} is larger than any "
                f"number: take a smaller guidance than {process.guidance:g}"
            )
        return Distance(
            *pairs[place],
            value=mean.value,
            standard_error=mean.standard_error,
            interval=mean.interval,
            samples=len(terms.forward),
            spec=spec,
            signature=sign(process, spec),
            terms=terms,
        )

    def rounds() -> Iterator[tuple[int, Distance]]:
        """One, unless k is adaptive: then more and more samples of fewer and fewer pairs."""
        unsure: dict[int, list[Terms]] = {place: [] for place in range(len(pairs))}
        begin, end = spec.seed, spec.seed + spec.samples
        while places := sorted(unsure):
            asked = [pairs[place] for place in places]
            for n, new in measure(process, asked, range(begin, end), spec, max_memory):
                terms = Terms.join([*unsure[places[n]], new])
                mean = estimate(spec.entry(terms))
                if spec.enough(mean, len(terms.forward)):
                    del unsure[places[n]]
                    yield places[n], distance_of(places[n], terms, mean)
                else:
                    unsure[places[n]] = [terms]
            begin, end = end, spec.seed + spec.next_samples(end - spec.seed)

    return rounds()


def cost(
    pairs: Iterable[Pair],
    process: GenerativeProcess | None = None,
    spec: Spec = Spec(),  # noqa: B008  (frozen)
    *,
    max_memory: int | None = None,
) -> Plan:
    """What ``stream`` would do for the same arguments: ``rows``, ``recomputed`` and the work.

    With a tolerance it is the first round: what the run costs at least.
    """
    pairs = checked_pairs(pairs)
    needed = distinct(pairs)
    max_memory = None if max_memory is None else whole("max_memory", max_memory, minimum=1)
    process = _chosen(process)
    spec.check(process)
    check_texts(process, pairs)  # of all together, before a plan embeds one of them
    if not needed:
        return Plan((), 0, 0)
    bound = automatic_bound(process.device) if max_memory is None else max_memory
    return plan(needed, Sizes.of(process, needed[0][0]), spec.samples, spec, bound)


def _chosen(process: GenerativeProcess | None) -> GenerativeProcess:
    return bundled() if process is None else checked_process(process)


@cache
def bundled() -> GenerativeProcess:
    """The process that comes with the package, loaded once."""
    from .processes import load  # diffusers and transformers: only when nothing else was given

    return load()

"""Start here: two texts in, a distance out.

Two texts mean the same to the degree that they conjure the same images. Algorithm 1 of Liu &
Soatto, *Conjuring Semantic Similarity* (ICLR 2026, arXiv 2410.16431), for prompts a and b,
k samples, T steps and the guided prediction ε(x, t | y) = ε_∅ + w (ε_y − ε_∅)::

    for i in range(k):
        x_T ~ π                                   the same noise for a and for b
        a's trajectory  x_T … x_0   under a       b's trajectory  x̃_T … x̃_0   under b
        forward[i, j]  = ‖ε(x_j, t_j | a) − ε(x_j, t_j | b)‖²      on a's trajectory
        backward[i, j] = ‖ε(x̃_j, t_j | a) − ε(x̃_j, t_j | b)‖²      on b's trajectory
    d(a, b) = mean_i mean_j (forward[i, j] + backward[i, j])

Which trajectories are walked when, so that many pairs cost little, is settled in ``core/plan.py``.
They are walked in ``core/sampling.py`` and compared in ``core/divergence.py``; what that leaves is
reduced to one number a sample in ``core/estimands.py``, and averaged with its uncertainty in
``core/uncertainty.py``. This page puts them together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from . import __version__
from .approximation import EXACT, Approximation
from .checks import checked_approximation, checked_pairs, checked_process, whole
from .core.divergence import measure
from .core.errors import NonFiniteError
from .core.estimands import reduction
from .core.memory import automatic_bound
from .core.plan import Pair, Plan, distinct, plan
from .core.process import GenerativeProcess
from .core.shapes import Record, Terms
from .core.text import brief, fact
from .core.uncertainty import Estimate, estimate


@dataclass(frozen=True)
class Distance:
    """How far apart two texts are in a process, and all that is needed to measure it again.

    value:          the mean over samples; 0 for the same images, no upper end
    standard_error: of that mean, or None for one sample
    interval:       (low, high), 95 % by Student's t, or None for one sample
    approximation:  what was only estimated, if you chose to
    signature:      one line: process, revision, sampler, T, w, k, seed, estimand, dtype, …
    terms:          what the value was reduced from; ``terms.forward`` is (samples, steps)
    """

    text1: str
    text2: str
    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    estimand: str
    samples: int
    steps: int
    guidance: float
    seed: int
    approximation: Approximation
    signature: str
    terms: Terms = field(repr=False, compare=False)


def distance(
    text1: str,
    text2: str,
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    seed: int = 0,
    estimand: str = "jeffreys",
    approximation: Approximation = EXACT,
) -> Distance:
    """How far apart two texts are, by the images that they conjure in a process.

    process:  what ``conjure.load`` returns, or an object of your own with the attributes of
              ``GenerativeProcess``; None is the process that comes with the package
    samples:  k, noises to average over; sample i starts from the noise of seed + i
    estimand: jeffreys (Algorithm 1), kl (text1's trajectories alone), initial, final, output,
              coupled, girsanov (nats), "pointwise:3" or "cumulative:3" (a step, from 1)
    approximation: nothing, unless you choose to estimate

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
    [(_, found)] = stream(
        [(text1, text2)],
        process=process,
        samples=samples,
        seed=seed,
        estimand=estimand,
        approximation=approximation,
    )
    return found


def distances(
    pairs: Iterable[Pair],
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    seed: int = 0,
    estimand: str = "jeffreys",
    approximation: Approximation = EXACT,
    max_memory: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[Distance]:
    """The distance of each pair, in the order given; all share batches and trajectories.

    ``progress`` is called with (pairs done, pairs in all) after each; the rest is as in
    ``stream``.
    """
    pairs = checked_pairs(pairs)
    found: dict[int, Distance] = {}
    for place, result in stream(
        pairs,
        process=process,
        samples=samples,
        seed=seed,
        estimand=estimand,
        approximation=approximation,
        max_memory=max_memory,
    ):
        found[place] = result
        if progress is not None:
            progress(len(found), len(pairs))
    return [found[place] for place in range(len(pairs))]


def stream(
    pairs: Iterable[Pair],
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    seed: int = 0,
    estimand: str = "jeffreys",
    approximation: Approximation = EXACT,
    max_memory: int | None = None,
) -> Iterator[tuple[int, Distance]]:
    """Yield (place in ``pairs``, Distance) as each is finished, roughly in the order given.

    Takes what ``distance`` takes, and max_memory: in bytes, for the trajectories that are kept
    until their last pair is done; None is a quarter of what is free. What does not fit is walked
    again, as ``cost`` tells beforehand. Everything is checked before the first is measured.
    """
    pairs, process = checked_pairs(pairs), _chosen(process)
    samples, seed = whole("samples", samples, least=1), whole("seed", seed, least=0)
    max_memory = None if max_memory is None else whole("max_memory", max_memory, least=1)
    reduce = reduction(estimand, len(process.schedule))
    checked_approximation(approximation).check(process, samples, estimand)
    record = _record(estimand, approximation)
    line = signature(
        process, samples=samples, seed=seed, estimand=estimand, approximation=approximation
    )

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
            estimand=estimand,
            samples=len(terms.forward),
            steps=len(process.schedule),
            guidance=process.guidance,
            seed=seed,
            approximation=approximation,
            signature=line,
            terms=terms,
        )

    def rounds() -> Iterator[tuple[int, Distance]]:
        """One, unless k is adaptive: then more and more samples of fewer and fewer pairs."""
        unsure: dict[int, list[Terms]] = {place: [] for place in range(len(pairs))}
        begin, end = seed, seed + samples
        while places := sorted(unsure):
            asked = [pairs[place] for place in places]
            for n, new in measure(process, asked, range(begin, end), record, max_memory):
                terms = Terms.join([*unsure[places[n]], new])
                mean = estimate(reduce(terms))
                if approximation.enough(mean, len(terms.forward)):
                    del unsure[places[n]]
                    yield places[n], distance_of(places[n], terms, mean)
                else:
                    unsure[places[n]] = [terms]
            begin, end = end, seed + approximation.next_samples(end - seed)

    return rounds()


def cost(
    pairs: Iterable[Pair],
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    estimand: str = "jeffreys",
    approximation: Approximation = EXACT,
    max_memory: int | None = None,
) -> Plan:
    """What ``distances`` would do for the same arguments: ``rows``, ``recomputed`` and the work.

    With a tolerance it is the first round: what the run costs at least.
    """
    pairs, process = checked_pairs(pairs), _chosen(process)
    samples = whole("samples", samples, least=1)
    reduction(estimand, len(process.schedule))  # raises for a name that means nothing
    checked_approximation(approximation).check(process, samples, estimand)
    if max_memory is None:
        bound = automatic_bound(process.device)
    else:
        bound = whole("max_memory", max_memory, least=1)
    return plan(distinct(pairs), process, samples, _record(estimand, approximation), bound)


def signature(
    process: GenerativeProcess,
    *,
    samples: int,
    seed: int,
    estimand: str,
    approximation: Approximation = EXACT,
) -> str:
    """One line, in sacreBLEU's manner, that says how a distance was measured.

    "|" and control characters within a name are percent-encoded, so that no name forges a field.
    For ``girsanov`` it also says what the integral reads: the path measures of a stochastic
    sampler, or the marginals that a deterministic one shares with its SDE. What was only estimated
    says so: ``cross_steps``, ``tolerance``.
    """
    adaptive = approximation.tolerance is not None
    facts = {
        "process": process.name,
        "rev": process.revision or "none",
        "sampler": process.sampler,
        "T": len(process.schedule),
        "w": f"{process.guidance:.12g}",
        "k": f"{samples}..{approximation.most_samples}" if adaptive else samples,
        "seed": seed,
        "estimand": estimand,
    }
    if estimand == "girsanov":
        facts["reading"] = "path" if process.schedule.stochastic else "marginal"
    if approximation.cross_steps is not None:
        facts["cross_steps"] = approximation.cross_steps
    if adaptive:
        facts["tolerance"] = f"{approximation.tolerance:.12g}"
    facts |= {
        "dtype": process.dtype,
        "batch": process.batch_size,
        "device": process.device,
        "v": __version__,
    }
    names = ("process", "rev", "sampler")  # which others chose, and none of which needs a ":"
    return "|".join(
        f"{key}:{fact(value, ':' if key in names else '')}" for key, value in facts.items()
    )


def _record(estimand: str, approximation: Approximation) -> Record:
    return Record(
        output=estimand == "output",
        coupled=estimand == "coupled",
        cross_steps=approximation.cross_steps,
    )


def _chosen(process: GenerativeProcess | None) -> GenerativeProcess:
    return _bundled() if process is None else checked_process(process)


@cache
def _bundled() -> GenerativeProcess:
    from .processes import load  # diffusers and transformers: only when nothing else was given

    return load()

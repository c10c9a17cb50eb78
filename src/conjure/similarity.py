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

The trajectories are walked in ``core/sampling.py`` and compared in ``core/divergence.py``; what
that leaves is reduced to one number a sample in ``core/estimands.py``, and averaged with its
uncertainty in ``core/uncertainty.py``. This page puts the four together.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from . import __version__
from .core.divergence import Record, pair_terms
from .core.errors import InputError
from .core.estimands import reduction
from .core.plan import Pair, blocks, network_rows
from .core.process import GenerativeProcess
from .core.shapes import Terms
from .core.uncertainty import estimate


@dataclass(frozen=True)
class Distance:
    """How far apart two texts are in a process, and all that is needed to measure it again.

    value:          the mean over samples; 0 for the same images, no upper end
    standard_error: of that mean, or None for one sample
    interval:       (low, high), 95 % by Student's t, or None for one sample
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
) -> Distance:
    """How far apart two texts are, by the images that they conjure in a process.

    process:  what ``conjure.load`` returns, or an object of your own with the attributes of
              ``GenerativeProcess``; None is the process that comes with the package
    samples:  k, noises to average over; sample i starts from the noise of seed + i
    estimand: jeffreys (Algorithm 1), kl (text1's trajectories alone), initial, final, output,
              coupled, girsanov (nats), "pointwise:3" or "cumulative:3" (a step, from 1)

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
    pair = (text1, text2)
    [result] = stream([pair], process=process, samples=samples, seed=seed, estimand=estimand)
    return result


def distances(
    pairs: Iterable[Pair],
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    seed: int = 0,
    estimand: str = "jeffreys",
    progress: Callable[[int, int], object] | None = None,
) -> list[Distance]:
    """The distance of each pair, in the order given; neighbours share batches and trajectories.

    ``progress`` is called with (pairs done, pairs in all) after each; the rest is as in
    ``distance``.
    """
    pairs = _checked_pairs(pairs)
    found: list[Distance] = []
    for result in stream(pairs, process=process, samples=samples, seed=seed, estimand=estimand):
        found.append(result)
        if progress is not None:
            progress(len(found), len(pairs))
    return found


def stream(
    pairs: Iterable[Pair],
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    seed: int = 0,
    estimand: str = "jeffreys",
) -> Iterator[Distance]:
    """Distances in the order of ``pairs``, yielded as they are measured, block by block.

    Takes what ``distance`` takes. Everything given is checked before the first is measured.
    """
    process = _checked_process(process)
    samples = _whole("samples", samples, least=1)
    seed = _whole("seed", seed, least=0)
    reduce = reduction(estimand, len(process.schedule))
    planned = blocks(_checked_pairs(pairs), process, samples)
    record = _record(estimand)
    line = signature(process, samples=samples, seed=seed, estimand=estimand)

    def measure(block: Sequence[Pair]) -> Iterator[Distance]:
        found = pair_terms(process, block, range(seed, seed + samples), record)
        for (text1, text2), terms in zip(block, found, strict=True):
            mean = estimate(reduce(terms))
            yield Distance(
                text1=text1,
                text2=text2,
                value=mean.value,
                standard_error=mean.standard_error,
                interval=mean.interval,
                estimand=estimand,
                samples=samples,
                steps=len(process.schedule),
                guidance=process.guidance,
                seed=seed,
                signature=line,
                terms=terms,
            )

    return (result for block in planned for result in measure(block))


def cost(
    pairs: Iterable[Pair],
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    estimand: str = "jeffreys",
) -> int:
    """How many network rows ``distances`` would compute for the same arguments."""
    process = _checked_process(process)
    return network_rows(_checked_pairs(pairs), process, samples, _record(estimand))


def signature(process: GenerativeProcess, *, samples: int, seed: int, estimand: str) -> str:
    """One line, in sacreBLEU's manner, that says how a distance was measured.

    For ``girsanov`` it also says what the integral reads: the path measures of a stochastic
    sampler, or the marginals that a deterministic one shares with its SDE.
    """
    facts = {
        "process": process.name,
        "rev": process.revision or "none",
        "sampler": process.sampler,
        "T": len(process.schedule),
        "w": f"{process.guidance:.12g}",
        "k": samples,
        "seed": seed,
        "estimand": estimand,
    }
    if estimand == "girsanov":
        facts["reading"] = "path" if process.schedule.stochastic else "marginal"
    facts |= {
        "dtype": process.dtype,
        "batch": process.batch_size,
        "device": process.device,
        "v": __version__,
    }
    return "|".join(f"{key}:{value}" for key, value in facts.items())


def _record(estimand: str) -> Record:
    return Record(output=estimand == "output", coupled=estimand == "coupled")


def _checked_pairs(pairs: Iterable[Pair]) -> list[Pair]:
    if isinstance(pairs, str | bytes):
        raise InputError("pairs must be a list of (text, text), not a single text")
    return [_checked_pair(number, pair) for number, pair in enumerate(pairs, start=1)]


def _checked_pair(number: int, pair: Pair) -> Pair:
    if isinstance(pair, str | bytes) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise InputError(f"pair {number} must be two texts, not {pair!r:.80}")
    for text in pair:
        if not isinstance(text, str):
            raise InputError(f"pair {number}: a text must be a str, not {text!r:.80}")
        if not text.strip():
            raise InputError(f"pair {number}: a text is empty")
    return pair[0], pair[1]


def _whole(name: str, number: int, least: int) -> int:
    try:
        value = int(operator.index(number))
    except TypeError:
        value = least - 1
    if not least <= value < 2**63:  # the seeds that a generator takes
        raise InputError(f"{name} must be a whole number, at least {least}, not {number!r:.80}")
    return value


def _checked_process(process: GenerativeProcess | None) -> GenerativeProcess:
    if process is None:
        return _bundled()
    wanted = [*GenerativeProcess.__annotations__, "embed", "predict", "solver"]
    missing = [name for name in wanted if not hasattr(process, name)]
    if missing:
        raise InputError(
            f"process {process!r:.80} has no {', '.join(missing)}: "
            "give what conjure.load() returns, or an object with these attributes"
        )
    return process


@cache
def _bundled() -> GenerativeProcess:
    from .processes import load  # diffusers and transformers: only when nothing else was given

    return load()

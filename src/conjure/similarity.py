"""Two texts in, a distance out: the fast way through Algorithm 1, composed from ``core/``.

``core/reference.py`` has the algorithm as printed. Here the work is planned (``core/planner.py``),
trajectories are walked (``core/sampling.py``) and predictions along them compared
(``core/divergence.py``). The estimand reduces the terms to one number a sample
(``core/estimands.py``), and the samples are averaged with an interval (``core/uncertainty.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from torch import Tensor

from . import display
from .calibration.lookup import find_reference
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .calibration.reference import Reference

# What ``divergence.measure`` takes and yields: process, pairs, seeds, spec, max_memory
Measure = Callable[
    [GenerativeProcess, Sequence[Pair], Sequence[int], Spec, int | None],
    Iterator[tuple[int, Terms]],
]


@dataclass(frozen=True)
class Distance:
    """The distance of two texts in a process, and all that is needed to measure it again.

    value:          the mean over samples, at least 0, in the unit of the estimand (most have none)
    standard_error: of that mean, or None for one sample
    interval:       (low, high), 95 % by Student's t on the logarithm, or None for one sample
    samples:        k, the samples taken; with a tolerance it can exceed ``spec.samples``
    spec:           what was measured
    signature:      how it was measured; ``str(signature)`` is one line
    terms:          the terms behind the value; ``terms.forward`` is (samples, steps)
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

    @property
    def reference(self) -> Reference | None:
        """Where known pairs lie in this process, or None if it is not calibrated for the distance.

        The settings must be the same: weights, sampler, T, guidance, dtype, estimand. Only k, seed
        and tolerance may differ. ``conjure calibrate`` makes a reference. Raises InputError for a
        damaged one.
        """
        return find_reference(self.signature)

    @property
    def similarity(self) -> float | None:
        """The fraction of unrelated pairs that are farther, in [0, 1]; None if not calibrated.

        It falls strictly as the distance grows. It is 1 at distance 0 alone, 0.5 at the median of
        unrelated pairs, and never 0: ``Reference.similarity`` defines it between and beyond them.
        It says how rare such a distance is among unrelated texts of the list that ships; it is no
        probability that the texts mean the same.
        """
        reference = self.reference
        return None if reference is None else reference.similarity(self.value)

    def __repr__(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2g}"
        near = "" if self.similarity is None else f", similarity {self.similarity:.3f}"
        pair = f"{brief(self.text1)}, {brief(self.text2)}"
        return f"Distance({pair}: {self.estimand} {self.value:.6g}{error}{near}, {self.signature})"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the terms over the steps: mean and standard error on each text's trajectories.

        ax: where to draw; None is a new figure of pyplot. Raises InputError without matplotlib.
        """
        values = [terms.numpy() for terms in self._by_step()]
        unit = "squared difference,\nsum over the latent"
        return display.draw_profiles(display.axes_of(ax), (self.text1, self.text2), values, unit)

    def _by_step(self) -> tuple[Tensor, Tensor]:
        """The terms of both directions, (samples, steps), with the weights of ``cross_steps``."""
        weights = self.terms.weights
        both = self.terms.forward, self.terms.backward
        return both if weights is None else (both[0] * weights, both[1] * weights)

    def to_pandas(self) -> Any:
        """A DataFrame of one row. ``pandas.concat`` joins those of several distances.

        Raises InputError without pandas.
        """
        low, high = self.interval or (None, None)
        row = {
            "text1": self.text1,
            "text2": self.text2,
            "value": self.value,
            "standard_error": self.standard_error,
            "interval_low": low,
            "interval_high": high,
            "similarity": self.similarity,
            "estimand": self.estimand,
            "samples": self.samples,
            "steps": self.steps,
            "guidance": self.guidance,
            "seed": self.seed,
            "signature": str(self.signature),
        }
        return display.pandas().DataFrame([row])

    def _repr_html_(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2g}"
        facts = {"samples": self.samples, "steps": self.steps, "guidance": f"{self.guidance:g}"}
        if self.interval is not None:
            facts = {"95 % interval": "{:.6g} to {:.6g}".format(*self.interval), **facts}
        if (reference := self.reference) is not None:
            facts = {"near": reference.words(self.value), **facts}
        forward, backward = self._by_step()
        return display.card(
            (self.text1, self.text2),
            f"{self.estimand} {self.value:.6g}{error}",
            facts,
            str(self.signature),
            picture=display.bars(
                (forward + backward).mean(dim=0).tolist(),
                "squared differences of the predictions, a bar a step, from noise to picture",
            ),
        )

    def _repr_png_(self) -> bytes | None:
        return display.png(self.plot)


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
    """How different the two sampling processes are that two texts induce in a process.

    process:     the result of ``conjure.load``, or your own object with the attributes of
                 ``GenerativeProcess``; None is the process that comes with the package
    samples:     k, the noises to average over; sample i starts from the noise of seed + i
    estimand:    jeffreys (Algorithm 1), kl (text1's trajectories only), initial, final, output,
                 coupled, girsanov (nats as T → ∞), chain (nats at any T; samplers that add noise),
                 "pointwise:3" or "cumulative:3" (a step, counted from 1)
    cross_steps, tolerance, max_samples: estimates, see ``Spec``

    Raises InputError for an invalid text, number, estimand or process, and NonFiniteError, which
    names the prompt and the step, if the network predicts NaN or infinity.

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
    """The distance of each pair, in the order given. All pairs share batches and trajectories.

    max_memory: as in ``stream``
    progress:   called with (pairs done, pairs in all) after each pair

    The other arguments and the errors are those of ``distance``.
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
    measure: Measure = measure,
) -> Iterator[tuple[int, Distance]]:
    """Yield (place in ``pairs``, Distance) as each pair is finished, roughly in the order given.

    max_memory: bytes for the trajectories, each kept until its last pair is done; None is a quarter
                of the free memory. Trajectories that do not fit are walked again; ``cost`` says how
                many rows that takes
    measure:    what measures the terms of pairs: ``core.divergence.measure``, or a function with
                its arguments that observes or keeps what that yields, such as
                ``runs.terms.TermStore.measure``. Pairs that it leaves out are left out here, too

    All arguments are checked before the first pair is measured.
    """
    pairs = checked_pairs(pairs)
    max_memory = None if max_memory is None else whole("max_memory", max_memory, minimum=1)
    process = _chosen(process)
    spec.check(process)
    check_texts(process, pairs)

    def distance_of(place: int, terms: Terms, mean: Estimate) -> Distance:
        if not math.isfinite(mean.value):  # predictions are finite, but squares may overflow
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
        """One round; with a tolerance, more rounds of more samples for the pairs that need them."""
        unsure: dict[int, list[Terms]] = {place: [] for place in range(len(pairs))}
        begin, end = spec.seed, spec.seed + spec.samples
        while places := sorted(unsure):
            left = [pairs[place] for place in places]
            absent = {*places}
            for n, new in measure(process, left, range(begin, end), spec, max_memory):
                absent.discard(places[n])
                terms = Terms.join([*unsure[places[n]], new])
                mean = estimate(spec.entry(terms))
                if spec.enough(mean, len(terms.forward)):
                    del unsure[places[n]]
                    yield places[n], distance_of(places[n], terms, mean)
                else:
                    unsure[places[n]] = [terms]
            for place in absent:
                del unsure[place]
            begin, end = end, spec.seed + spec.next_samples(end - spec.seed)

    return rounds()


def cost(
    pairs: Iterable[Pair],
    process: GenerativeProcess | None = None,
    spec: Spec = Spec(),  # noqa: B008  (frozen)
    *,
    max_memory: int | None = None,
) -> Plan:
    """The plan of ``stream`` for the same arguments, with its cost: ``rows`` and ``recomputed``.

    With a tolerance it is the plan of the first round, the minimum cost of the run.
    """
    pairs = checked_pairs(pairs)
    needed = distinct(pairs)
    max_memory = None if max_memory is None else whole("max_memory", max_memory, minimum=1)
    process = _chosen(process)
    spec.check(process)
    check_texts(process, pairs)  # before the plan embeds one of them, so that there is one warning
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

"""Who gives a pair its distance: a process, or a baseline. ``scores`` keeps what they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..baselines import Baseline
    from ..core.process import GenerativeProcess
    from ..core.spec import Signature, Spec
    from ..core.types import Pair
    from ..similarity import Distance


@dataclass(frozen=True)
class Result:
    """The numbers of one pair; error and interval are None for a single sample.

    per_sample: the (samples,) distances that ``value`` is the mean of; not a column of the output
    """

    value: float
    standard_error: float | None
    interval_low: float | None
    interval_high: float | None
    per_sample: tuple[float, ...]

    @classmethod
    def of(cls, distance: Distance) -> Result:
        low, high = distance.interval or (None, None)
        values = tuple(distance.spec.entry(distance.terms).tolist())
        return cls(distance.value, distance.standard_error, low, high, values)

    @classmethod
    def read(cls, record: dict[str, Any]) -> Result:
        """The result that ``asdict`` made a JSON object of.

        Raises ValueError or TypeError where a number is not one that a distance can have.
        """
        found = cls(**{**record, "per_sample": tuple(record["per_sample"])})
        for value in (found.value, *found.per_sample):
            distance_of(value)
        for bound in (found.standard_error, found.interval_low, found.interval_high):
            if bound is not None:
                distance_of(bound)
        if not found.per_sample:
            raise ValueError("a result of no sample")
        return found


def distance_of(value: object) -> float:
    """A number that was kept on disk. Raises ValueError for any but a finite one of at least 0."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < float("inf"):  # type: ignore[operator]
        raise ValueError(f"{value!r:.80} is not a distance")
    return float(value)  # type: ignore[arg-type]


class Scorer(Protocol):
    """Gives pairs their distances. Nothing needs to be inherited."""

    @property
    def signature(self) -> Signature:
        """How it measures, as things stand now."""
        ...

    @property
    def seeded(self) -> bool:
        """Whether another seed would give other numbers."""
        ...

    def unreadable(self, texts: Sequence[str]) -> Mapping[str, str]:
        """The texts of which nothing is read → why."""
        ...

    def cost_line(self, pairs: Sequence[Pair], done: int) -> str:
        """What these pairs will cost; ``done`` others were finished earlier."""
        ...

    def results(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, Result]]:
        """Yield (place in ``pairs``, Result) as each is finished."""
        ...


@dataclass(frozen=True)
class ProcessScorer:
    """Distances by a process. max_memory: as in ``similarity.stream``."""

    process: GenerativeProcess
    spec: Spec
    max_memory: int | None = None

    @property
    def signature(self) -> Signature:
        from ..core.spec import sign

        return sign(self.process, self.spec)

    @property
    def seeded(self) -> bool:
        return True

    def unreadable(self, texts: Sequence[str]) -> Mapping[str, str]:
        from ..core.reading import unreadable

        return unreadable(self.process, texts)

    def cost_line(self, pairs: Sequence[Pair], done: int) -> str:
        from ..similarity import cost
        from .cost import cost_line

        plan = cost(pairs, self.process, self.spec, max_memory=self._bound())
        text = pairs[0][0] if pairs else ""
        count = len(pairs) + done
        adaptive = self.spec.adaptive
        return cost_line(self.process, plan, text, count, done=done, at_least=adaptive)

    def results(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, Result]]:
        from ..similarity import stream

        for place, found in stream(pairs, self.process, self.spec, max_memory=self._bound()):
            yield place, Result.of(found)

    def _bound(self) -> int:
        from ..core.memory import automatic_bound

        return automatic_bound(self.process.device) if self.max_memory is None else self.max_memory


@dataclass(frozen=True)
class BaselineScorer:
    """Distances by a baseline: one number a pair, without samples or interval."""

    baseline: Baseline

    @property
    def signature(self) -> Signature:
        return self.baseline.signature

    @property
    def seeded(self) -> bool:
        return "seed" in self.baseline.signature.key  # a text's vector is always the same

    def unreadable(self, texts: Sequence[str]) -> Mapping[str, str]:
        return {}  # a baseline tells only while it measures

    def cost_line(self, pairs: Sequence[Pair], done: int) -> str:
        from .baseline_distances import work_of

        return work_of(self.baseline, pairs, done)

    def results(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, Result]]:
        from .baseline_distances import in_chunks

        for place, value in in_chunks(self.baseline, pairs):
            yield place, Result(value, None, None, None, (value,))

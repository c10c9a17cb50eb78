"""Who gives a pair its distance: a process, or a baseline. ``scores`` keeps what they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..baselines import Baseline
    from ..core.process import GenerativeProcess
    from ..core.spec import Signature, Spec
    from ..core.types import Pair
    from ..similarity import Distance
    from .baseline_distances import DistanceStore
    from .parts import Part
    from .store import Store
    from .terms import TermStore


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


def distance_of(value: object) -> float:
    """A number that was kept on disk. Raises ValueError for any but a finite one of at least 0."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < float("inf"):  # type: ignore[operator]
        raise ValueError(f"{value!r:.80} is not a distance")
    return float(value)  # type: ignore[arg-type]


class Kept(Protocol):
    """Finished work of a scorer in a run folder; a context manager."""

    store: Store
    failures: dict[Pair, str]  # pair → why it has no distance

    def close(self) -> None:
        """Write what is finished, and let other processes at the folder."""
        ...


@dataclass(frozen=True)
class Keeping:
    """Where a run keeps its work, and how it goes on.

    folder: of the run
    fresh:  begin again: what the folder holds is removed when the work begins
    part:   (I, N), the part of the work that this process does; None is all of it
    facts:  for the manifest: the command, the data
    """

    folder: Path
    fresh: bool = False
    part: Part | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


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

    def reject(self, reasons: Mapping[Pair, str], kept: Any) -> None:
        """Keep pairs with texts of which nothing is read as failed: pair → why."""
        ...

    def keep(self, keeping: Keeping) -> Any:
        """Open the run folder that keeps the work: ``Kept``. Raises InputError for another's."""
        ...

    def missing(self, pairs: Sequence[Pair], kept: Any = None) -> set[Pair]:
        """The pairs that are to be measured, as (text1, text2) in the order given."""
        ...

    def cost_line(self, pairs: Sequence[Pair], kept: Any = None) -> str:
        """What these pairs will cost."""
        ...

    def results(
        self, pairs: Sequence[Pair], kept: Any = None, failures: dict[Pair, str] | None = None
    ) -> Iterator[tuple[int, Result]]:
        """Yield (place in ``pairs``, Result) as each is finished; those that fail are left out.

        failures: filled with them, where nothing is kept: pair → why
        """
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

    def reject(self, reasons: Mapping[Pair, str], kept: TermStore) -> None:
        kept.reject(reasons, self.spec.seed, self.spec)

    def keep(self, keeping: Keeping) -> TermStore:
        from .terms import TermStore

        return TermStore(
            keeping.folder,
            self.process,
            part=keeping.part,
            fresh=keeping.fresh,
            facts=keeping.facts,
        )

    def missing(self, pairs: Sequence[Pair], kept: TermStore | None = None) -> set[Pair]:
        if kept is None:
            return {pair for pair in pairs if pair[0] != pair[1]}
        missing = kept.missing(pairs, self._seeds, self.spec)
        found = {pair for group in missing.values() for pair in group}
        return {pair for pair in pairs if (min(pair), max(pair)) in found}

    def cost_line(self, pairs: Sequence[Pair], kept: TermStore | None = None) -> str:
        from ..core.reading import check_texts
        from ..similarity import cost
        from .cost import cost_line

        check_texts(self.process, pairs)  # before a plan embeds one, so that there is one warning
        missing = self.missing(pairs, kept)
        done = sum(pair not in missing for pair in pairs) if kept is not None else 0
        if kept is None:
            plan = cost(pairs, self.process, self.spec, max_memory=self._bound())
        else:
            self.spec.check(self.process)
            plan = kept.plan(self.process, pairs, self._seeds, self.spec, self._bound())
            done -= sum(one == other for one, other in pairs)  # such pairs cost nothing at any time
        text = next(iter(missing), pairs[0])[0] if pairs else ""
        adaptive = self.spec.adaptive
        return cost_line(self.process, plan, text, len(pairs), done=done, at_least=adaptive)

    def results(
        self,
        pairs: Sequence[Pair],
        kept: TermStore | None = None,
        failures: dict[Pair, str] | None = None,
    ) -> Iterator[tuple[int, Result]]:
        from ..similarity import stream
        from .failing import leaving_out
        from .remote import RemoteProcess

        how = leaving_out({} if failures is None else failures) if kept is None else kept.measure
        remote = isinstance(self.process, RemoteProcess)  # its workers have bounds of their own
        bound = self.max_memory if remote else self._bound()
        for place, found in stream(pairs, self.process, self.spec, max_memory=bound, measure=how):
            yield place, Result.of(found)

    @property
    def _seeds(self) -> range:
        """The seeds of the first round."""
        return range(self.spec.seed, self.spec.seed + self.spec.samples)

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

    def reject(self, reasons: Mapping[Pair, str], kept: DistanceStore) -> None:
        """There are none."""

    def keep(self, keeping: Keeping) -> DistanceStore:
        from .baseline_distances import DistanceStore

        return DistanceStore(
            keeping.folder,
            self.baseline,
            part=keeping.part,
            fresh=keeping.fresh,
            facts=keeping.facts,
        )

    def missing(self, pairs: Sequence[Pair], kept: DistanceStore | None = None) -> set[Pair]:
        return {*pairs} if kept is None else {*kept.missing(pairs)}

    def cost_line(self, pairs: Sequence[Pair], kept: DistanceStore | None = None) -> str:
        from .baseline_distances import work_of

        missing = self.missing(pairs, kept)
        left = [pair for pair in pairs if pair in missing]
        return work_of(self.baseline, left, len(pairs) - len(left))

    def results(
        self,
        pairs: Sequence[Pair],
        kept: DistanceStore | None = None,
        failures: dict[Pair, str] | None = None,
    ) -> Iterator[tuple[int, Result]]:
        from .baseline_distances import in_chunks

        found = {} if failures is None else failures
        stream = (
            in_chunks(self.baseline, pairs, found.__setitem__)
            if kept is None
            else kept.stream(pairs)
        )
        for place, value in stream:
            yield place, Result(value, None, None, None, (value,))

"""A process whose network is elsewhere: its facts are here, and workers compute with it.

A driver plans, keeps and reports with it. It never holds the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ..core.errors import InputError, NonFiniteError
from ..core.reading import tell
from .blocks import Block, Pending, Seeds
from .failing import MOST_FAILURES

if TYPE_CHECKING:
    from pathlib import Path

    from ..core.spec import Spec
    from ..core.types import Conditioning, Pair
    from .terms import TermStore


@dataclass(frozen=True)
class Recipe:
    """How a worker gets a process. The arguments of ``conjure.load``; then those of each
    ``with_settings``."""

    source: tuple[str, ...]
    settings: Mapping[str, Any]
    changes: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Facts:
    """What a worker says of a process.

    attributes: those of ``core.process.GenerativeProcess`` and the optional ones
    key:        of its signature
    versions:   of the packages that may change rounding
    remarks:    warnings that came while it was loaded
    """

    attributes: Mapping[str, Any]
    key: Mapping[str, Any]
    versions: Mapping[str, Any]
    remarks: Sequence[Warning] = ()


@dataclass(frozen=True)
class Order:
    """What all blocks of one call share. key: of the process; folder: where shards are written.

    expected: units of the whole call, which say how long finished ones may wait to be written
    sharing:  workers that share the memory of a device, so that none takes the part of another
    """

    recipe: Recipe
    key: Mapping[str, Any]
    folder: Path
    spec: Spec
    max_memory: int | None
    expected: int
    sharing: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came of a block. lost: why its worker is gone, or None.

    shards:   names of what the worker wrote
    batch:    the most rows at once in the end: the batch is halved where memory runs out
    stopped:  whether the worker was asked to stop
    remarks:  warnings, which are told once
    """

    shards: Sequence[str] = ()
    batch: int | None = None
    seconds: float = 0.0
    stopped: bool = False
    remarks: Sequence[Warning] = ()
    lost: str | None = None


class Crew(Protocol):
    """Workers that hold a process each, wherever they are."""

    workers: int

    def ask(self, recipe: Recipe, method: str, *arguments: Any) -> Any:
        """What a method of one of the workers' processes returns."""
        ...

    def run(
        self, order: Order, pending: Pending, batch_size: int
    ) -> Iterator[tuple[Block, Outcome]]:
        """Hand out blocks; yield each with its outcome. What is put back is handed out again.

        batch_size: rows that fill the network; smaller blocks waste time

        Raises ``Stopped`` when the blocks in flight have ended, if a signal asked for it.
        """
        ...


class RemoteProcess:
    """The process of a ``Crew``, with the attributes of ``GenerativeProcess``.

    Texts are read and embedded by a worker. ``predict`` is refused: pairs are handed out by
    ``compute``, which ``TermStore.measure`` calls.
    """

    def __init__(self, crew: Crew, recipe: Recipe, facts: Facts) -> None:
        self.crew, self.recipe, self.facts = crew, recipe, facts
        self.__dict__.update(facts.attributes)
        self._told: set[str] = set()
        self.batch_size: int = facts.attributes["batch_size"]
        self.name: str = facts.attributes["name"]

    def __repr__(self) -> str:
        return f"<RemoteProcess {self.name!r} of {self.crew.workers} workers>"

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        found: Conditioning = self.crew.ask(self.recipe, "embed", list(prompts))
        return found

    def unconditional(self) -> Conditioning | None:
        found: Conditioning | None = self.crew.ask(self.recipe, "unconditional")
        return found

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        return dict(self.crew.ask(self.recipe, "unreadable", list(texts)))

    def remarks(self, texts: Sequence[str]) -> list[Warning]:
        return list(self.crew.ask(self.recipe, "remarks", list(texts)))

    def seconds_a_row(self, text: str) -> float:
        """The time of one row of the whole crew, by a probe of one worker."""
        return float(self.crew.ask(self.recipe, "seconds_a_row", text)) / self.crew.workers

    def with_settings(self, **changes: Any) -> RemoteProcess:
        """The same model as another process, as ``PipelineProcess.with_settings``."""
        recipe = Recipe(
            self.recipe.source, self.recipe.settings, (*self.recipe.changes, dict(changes))
        )
        return RemoteProcess(self.crew, recipe, self.crew.ask(recipe, "facts"))

    def predict(self, *_: object) -> NoReturn:
        raise InputError(
            f"the network of {self.name!r:.80} is with the workers, and this is computed here: "
            "leave --engine out"
        )

    solver = predict

    def compute(
        self,
        kept: TermStore,
        missing: Mapping[Seeds, Sequence[Pair]],
        seeds: Seeds,
        spec: Spec,
        max_memory: int | None,
    ) -> Iterator[Pair]:
        """Have the missing units computed; yield each pair when ``kept`` has all of its seeds.

        Raises NonFiniteError if very many pairs fail one after the other, and ``Stopped``.
        """
        units = sum(len(own) * len(pairs) for own, pairs in missing.items())
        folder = kept.store.folder.resolve()
        order = Order(self.recipe, self.facts.key, folder, spec, max_memory, units)
        pending, failures = Pending(missing), FailuresInARow()
        for block, outcome in self.crew.run(order, pending, self.batch_size):
            self._take(outcome)
            for table in kept.store.take_up(None if outcome.lost else outcome.shards):
                kept.read(table)
            left = kept.missing(block.pairs, block.seeds, spec)
            if left and not outcome.stopped:
                _check_visible(folder, outcome)
                for piece in _pieces(block, left, outcome):
                    pending.put_back(piece)
            for pair in block.pairs:
                if (why := kept.failed(pair, seeds, spec)) is not None:
                    failures.add(pair, why)
                elif not kept.missing([pair], seeds, spec):
                    failures.none()
                    yield pair

    def _take(self, outcome: Outcome) -> None:
        """Tell each warning once; take up a batch that was halved, for the provenance."""
        for remark in outcome.remarks:
            if str(remark) not in self._told:
                self._told.add(str(remark))
                tell(remark)
        if outcome.batch is not None:
            self.batch_size = min(self.batch_size, outcome.batch)


def _pieces(
    block: Block, left: Mapping[Seeds, Sequence[Pair]], outcome: Outcome
) -> Iterator[Block]:
    """What a block has left. An attempt counts only if the block brought nothing."""
    brought = sum(len(own) * len(pairs) for own, pairs in left.items()) < len(block)
    attempts = 0 if brought else block.attempts + (outcome.lost is None)
    for seeds, pairs in left.items():
        yield Block(tuple(pairs), seeds, attempts)


def _check_visible(folder: Path, outcome: Outcome) -> None:
    """Raise InputError where a worker has written what this machine does not see."""
    from .manifest import ASIDE, SHARDS

    for name in outcome.shards:
        if not any((folder / where / name).exists() for where in (SHARDS, ASIDE)):
            raise InputError(
                f"a worker has written {name}, and {folder} does not show it here: the folder must"
                " be on a disk that all nodes share"
            )


class FailuresInARow:
    """Raises NonFiniteError if very much fails, one after the other, for reasons of its own.

    All pairs with a text that fails have one reason.
    """

    def __init__(self) -> None:
        self._reasons: set[str] = set()

    def add(self, pair: Pair, why: str) -> None:
        self._reasons.add(why)
        if len(self._reasons) >= MOST_FAILURES:
            raise NonFiniteError(why, pair)

    def none(self) -> None:
        self._reasons.clear()

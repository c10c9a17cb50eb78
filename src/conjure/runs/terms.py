"""Terms of pairs, kept on disk: each pair and seed once, for all estimands and numbers of samples.

Samples are independent of each other, since sample i starts from the noise of seed + i. So a folder
with k = 1 needs four more samples to serve k = 5, and a folder with k = 5 serves any smaller k.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ..core.currency import currency
from ..core.divergence import measure, measure_kept
from ..core.errors import InputError
from ..core.memory import automatic_bound
from ..core.planner import Plan, Sizes, distinct, places_of, plan
from ..core.process import GenerativeProcess
from ..core.spec import Signature, Spec, provenance, sign_process
from ..core.types import Observer, Pair, Terms
from .failing import measure_others
from .parts import Part, of_part
from .remote import RemoteProcess
from .store import Store
from .trajectories import KeptTrajectories, portions
from .units import KEY, LISTS, RECORDS, Known, Unit, read_units, terms_kind

Seeds = tuple[int, ...]


class TermStore:
    """The terms of a process in one run folder; a context manager.

    ``measure`` stands in for that of the core.

    folder: of the run
    part:   the part of the work that this process does
    fresh:  whether to begin again: what the folder holds is removed when work begins
    facts:  further facts for the manifest: the command, the data
    helper: as in ``Store``: this process computes for the one that holds the lock

    failures: pair → why it has no numbers, of all pairs that were asked for
    """

    def __init__(
        self,
        folder: Path,
        process: GenerativeProcess,
        *,
        part: Part | None = None,
        fresh: bool = False,
        facts: Mapping[str, Any] | None = None,
        helper: bool = False,
    ) -> None:
        signature = sign_process(process)
        if not process.revision:
            raise InputError(
                f"process {process.name!r:.80} has no revision, so kept work could not be told from"
                " another model's: give it one that changes with its weights"
            )
        kind = terms_kind(len(process.schedule))
        self.store = Store(folder, kind, signature, part=part, fresh=fresh, helper=helper)
        self.store.provenance = lambda: provenance(process)
        self.failures: dict[Pair, str] = {}
        self.part, self._helper, self._facts = part, helper, dict(facts or {})
        self._known: dict[tuple[Pair, int], Known] = defaultdict(Known)
        self._unfinished = 0  # calls of ``measure`` that have not come to their end
        self._left: list[tuple[KeptTrajectories, Mapping[Pair, Seeds]]] = []  # of finished work
        for table in self.store.tables():
            self.read(table)

    def __enter__(self) -> TermStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.store.close()
        if not self._unfinished:
            self._remove_left()

    def _remove_left(self) -> None:
        """Remove trajectories of finished work: a run was killed after its last unit.

        They stay while another process is at work, and on a disk that is read-only.
        """
        left, self._left = self._left, []
        if left:
            with suppress(InputError, OSError), self.store.alone():
                for kept, done in left:
                    kept.remove(done)

    @property
    def signature(self) -> Signature:
        return self.store.signature

    def measure(
        self,
        process: GenerativeProcess,
        pairs: Sequence[Pair],
        seeds: Sequence[int],
        spec: Spec = Spec(),  # noqa: B008  (frozen)
        max_memory: int | None = None,
        observer: Observer | None = None,
    ) -> Iterator[tuple[int, Terms]]:
        """``divergence.measure``, but computing only what is missing; what it computes is kept.

        A pair that fails is left out, its reason is in ``failures``, and the others go on. A pair
        with units in other parts of the work is left out until these are finished. An ``observer``
        must see every comparison, so with it all pairs are computed.

        Raises NonFiniteError if very many pairs fail one after the other, and ``Stopped``.
        """
        if sign_process(process).key != self.signature.key:
            raise InputError(f"{self.store.folder} holds the terms of another process")
        self._unfinished += 1
        places, seeds = places_of(pairs), tuple(seeds)
        wanted = [*places]
        for place, pair in enumerate(pairs):
            if pair[0] == pair[1]:  # exactly zero, and never kept
                for _, terms in measure(process, [pair], seeds, spec):
                    yield place, terms

        def answers(pair: Pair) -> Iterator[tuple[int, Terms]]:
            terms = self._terms(process, pair, seeds, spec)
            if terms is None:
                return
            for place, swapped in places[pair]:
                yield place, terms.swapped() if swapped else terms

        missing = self.missing(wanted, seeds, spec)
        if observer is not None and wanted:
            missing = {seeds: wanted}
        if missing:
            self._begin(missing, wanted, seeds, spec)
            missing = missing if observer is not None else self.missing(wanted, seeds, spec)
        pending = {pair for group in missing.values() for pair in group}
        for pair in wanted:
            if pair not in pending:
                yield from answers(pair)
        if isinstance(process, RemoteProcess) and observer is None:
            computed = process.compute(self, missing, seeds, spec, max_memory)
        else:
            computed = self._computed(process, missing, spec, max_memory, observer)
        for pair in computed:
            yield from answers(pair)
        kept = self._trajectories(process, spec)
        own = None if self.part is None else of_part(wanted, seeds, self.part)
        if missing:
            self.store.flush()  # first: trajectories stay until nothing needs them
            kept.remove(own)
        elif kept.any:  # a later call may need them
            self._left.append((kept, dict.fromkeys(wanted, seeds) if own is None else own))
        self._note_failures(wanted, seeds, spec)
        self._unfinished -= 1

    def reject(self, reasons: Mapping[Pair, str], seed: int, spec: Spec) -> None:
        """Keep pairs that cannot be measured as failed: pair → why. One part of the work does."""
        wanted = {
            (min(pair), max(pair)): why for pair, why in reasons.items() if pair[0] != pair[1]
        }
        cross_steps = spec.cross_steps or 0
        new = [p for p in wanted if seed not in self._known.get((p, cross_steps), _NOTHING).failed]
        if not new or (self.part is not None and self.part[0] > 1):
            return
        self._begin({(seed,): new}, new, (seed,), spec)
        for pair in new:
            self._keep_failure(pair, seed, spec, wanted[pair])

    def missing(
        self, pairs: Sequence[Pair], seeds: Sequence[int], spec: Spec
    ) -> dict[Seeds, list[Pair]]:
        """What is to be computed: {seeds: pairs}, each seed once. A failed unit is not tried again.

        Seeds that lack the same pairs are together, and all pairs of a seed, which share its
        trajectories.
        """
        wanted, seeds = distinct(pairs), tuple(seeds)
        mine = dict.fromkeys(wanted, seeds)
        if self.part is not None:
            mine = of_part(wanted, seeds, self.part)
        needs = spec.needs & RECORDS
        found: dict[int, list[Pair]] = defaultdict(list)
        for pair, own in mine.items():
            known = self._known.get((pair, spec.cross_steps or 0), _NOTHING)
            if any(seed in known.failed for seed in seeds):
                continue
            for seed in own:
                if seed not in known.units or not known.units[seed].has(needs):
                    found[seed].append(pair)
        alike: dict[tuple[Pair, ...], list[int]] = defaultdict(list)
        for seed in sorted(found):
            alike[tuple(found[seed])].append(seed)
        return {tuple(own): list(group) for group, own in alike.items()}

    def units(self) -> Iterator[tuple[Pair, int, int]]:
        """The units that have numbers: pair, cross_steps, seed."""
        for (pair, cross_steps), known in self._known.items():
            yield from ((pair, cross_steps, seed) for seed in known.units)

    def stored(self, process: GenerativeProcess, pair: Pair, seed: int, spec: Spec) -> Terms:
        """The terms of a stored unit."""
        terms = self._terms(process, pair, (seed,), spec)
        assert terms is not None, "ask for what ``units`` gives"
        return terms

    def plan(
        self,
        process: GenerativeProcess,
        pairs: Sequence[Pair],
        seeds: Sequence[int],
        spec: Spec,
        max_memory: int | None = None,
    ) -> Plan:
        """What computing the missing units takes.

        No text is walked twice for want of memory: its trajectory comes from the disk.
        """
        missing = self.missing(pairs, seeds, spec)
        if not missing:
            return Plan((), 0, 0)
        bound = automatic_bound(process.device) if max_memory is None else max_memory
        sizes = Sizes.of(process, next(iter(missing.values()))[0][0])
        plans = [plan(group, sizes, len(own), spec, bound) for own, group in missing.items()]
        kept, saved = self._trajectories(process, spec), 0
        if kept.any and not self.store.fresh:
            saved = sum(kept.saved(group, own, sizes, spec) for own, group in missing.items())
        rows = sum(each.rows - each.recomputed for each in plans) - saved
        return Plan([part for each in plans for part in each.parts], rows, 0)

    def _trajectories(self, process: GenerativeProcess, spec: Spec) -> KeptTrajectories:
        return KeptTrajectories(self.store.folder, self.signature.key, process, spec)

    def _begin(
        self,
        missing: Mapping[Seeds, list[Pair]],
        wanted: Sequence[Pair],
        seeds: Seeds,
        spec: Spec,
    ) -> None:
        lacking = sum(len(own) * len(group) for own, group in missing.items())
        facts = {
            "spec": {"seed": seeds[0], "samples": len(seeds), "estimand": spec.estimand}
            | spec.approximation(),
            "progress": {
                "pairs": len(wanted),
                "missing_units": lacking,
                "stored_units": self.store.contents.units,
            },
            "versions": self.signature.provenance,
            **self._facts,
        }
        for table in self.store.begin(facts, lacking):
            self.read(table)

    def _computed(
        self,
        process: GenerativeProcess,
        missing: Mapping[Seeds, list[Pair]],
        spec: Spec,
        max_memory: int | None,
        observer: Observer | None,
    ) -> Iterator[Pair]:
        """Compute what is missing here; yields each pair once, with its last missing seed."""
        left = Counter(pair for own, group in missing.items() for pair in group for _ in own)
        for lacking, group in missing.items():
            for own in portions(process, group, lacking, spec, max_memory):
                for pair in self.compute(process, group, own, spec, max_memory, observer):
                    left[pair] -= len(own)
                    if not left[pair]:
                        yield pair

    def compute(
        self,
        process: GenerativeProcess,
        pairs: Sequence[Pair],
        seeds: Seeds,
        spec: Spec,
        max_memory: int | None = None,
        observer: Observer | None = None,
    ) -> Iterator[Pair]:
        """Compute and keep, whatever is there; yields each finished pair.

        What fails is kept too, with its reason. Pairs that have failed under other seeds are left
        out.
        """
        cross_steps = spec.cross_steps or 0
        wanted = [p for p in pairs if not self._known[p, cross_steps].failed]
        keeper = None if self._helper else self._trajectories(process, spec)

        def begin(group: list[Pair]) -> Iterator[tuple[int, Terms]]:
            if keeper is None or observer is not None:  # which must see each step of a walk
                return measure(process, group, seeds, spec, max_memory, observer)
            return measure_kept(process, group, seeds, spec, max_memory, keeper)

        def fail(pair: Pair, seed: int | None, why: str) -> None:
            self._keep_failure(pair, seeds[0] if seed is None else seed, spec, why)

        for pair, terms in measure_others(wanted, begin, fail):
            if self._keep(pair, seeds, spec, terms):
                yield pair

    def _keep(self, pair: Pair, seeds: Seeds, spec: Spec, terms: Terms) -> bool:
        """Keep the units of a finished pair; whether their numbers are finite."""
        units = []
        for i, seed in enumerate(seeds):
            row: dict[str, Any] = {
                "output": None if terms.output is None else terms.output[i].item()
            }
            for name in LISTS:
                values = getattr(terms, name)
                row[name] = None if values is None else values[i].numpy()
            if not all(np.isfinite(v).all() for v in row.values() if v is not None):
                why = "the terms are larger than any number: take a smaller guidance"
                self._keep_failure(pair, seed, spec, why)
                return False
            units.append(Unit(**row))
        known = self._known[pair, spec.cross_steps or 0]
        for seed, unit in zip(seeds, units, strict=True):
            known.units[seed] = unit
        own = {"text1": pair[0], "text2": pair[1], "cross_steps": spec.cross_steps or 0}
        self.store.add(
            [{**own, "seed": seed, **vars(u)} for seed, u in zip(seeds, units, strict=True)]
        )
        return True

    def _keep_failure(self, pair: Pair, seed: int, spec: Spec, why: str) -> None:
        cross_steps = spec.cross_steps or 0
        self._known[pair, cross_steps].failed[seed] = why
        key = dict(zip(KEY, (*pair, seed, cross_steps), strict=True))
        self.store.add([{**key, "failed": why}])

    def failed(self, pair: Pair, seeds: Sequence[int], spec: Spec) -> str | None:
        """Why a pair has no numbers under one of the seeds, if that is known."""
        known = self._known.get((pair, spec.cross_steps or 0), _NOTHING)
        return next((known.failed[seed] for seed in seeds if seed in known.failed), None)

    def _note_failures(self, pairs: Sequence[Pair], seeds: Seeds, spec: Spec) -> None:
        for pair in pairs:
            if (why := self.failed(pair, seeds, spec)) is not None:
                self.failures[pair] = why

    def _terms(
        self, process: GenerativeProcess, pair: Pair, seeds: Seeds, spec: Spec
    ) -> Terms | None:
        """The kept terms of a pair; None if one of the seeds is missing."""
        known = self._known.get((pair, spec.cross_steps or 0), _NOTHING)
        units = [known.units[seed] for seed in seeds if seed in known.units]
        needs = spec.needs & RECORDS
        if len(units) < len(seeds) or not all(unit.has(needs) for unit in units):
            return None

        def column(name: str) -> torch.Tensor:
            values = [getattr(unit, name) for unit in units]
            return torch.from_numpy(np.array(values, dtype=np.float64))

        return Terms(
            column("forward"),
            column("backward"),
            process.schedule,
            column("output") if "output" in needs else None,
            column("coupled") if "coupled" in needs else None,
            column("weights") if spec.cross_steps else None,
            currency(process),
        )

    def read(self, table: pa.Table) -> None:
        """Take up the units of a shard; of two for one key the one that records more."""
        for pair, cross_steps, seed, unit in read_units(table):
            known = self._known[pair, cross_steps]
            if isinstance(unit, str):
                known.failed[seed] = unit
                continue
            before = known.units.get(seed)
            if before is None or before.records < unit.records:
                known.units[seed] = unit


_NOTHING = Known()

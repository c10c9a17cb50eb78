"""One pass over many pairs, kept on disk. Every row of a process in every table comes from it.

A pass holds what all estimands need: ``Terms`` with ``output`` and ``coupled``, for each pair and
seed. ``terms.py`` keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.checks import checked_pairs, checked_process, checked_seeds, whole
from ..core.errors import NonFiniteError
from ..core.planner import Plan, distinct
from ..core.process import GenerativeProcess
from ..core.reading import check_texts
from ..core.spec import Signature, Spec, sign_process
from ..core.types import Pair, Terms
from .cost import cost_line
from .parts import PartFinished
from .progress import progress_bar

if TYPE_CHECKING:
    from .parts import Part
    from .terms import TermStore

EVERYTHING = Spec(record=frozenset({"output", "coupled"}))


class Passes:
    """Terms of pairs under processes, kept on disk as they finish; a context manager.

    folder:     where the run folders are, one for each key of a process
    samples, seed: k, and the first of its seeds, unless ``measure`` is given another k
    max_memory: as in ``similarity.stream``
    say:        is given a line that says what a run will cost, before it begins
    bar:        whether to draw a progress bar (on a terminal only)
    part:       the part of the work that this process does, see ``parts.py``
    """

    def __init__(
        self,
        folder: Path,
        *,
        samples: int = 1,
        seed: int = 0,
        max_memory: int | None = None,
        say: Callable[[str], object] = lambda line: None,
        bar: bool = False,
        part: Part | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.samples = whole("samples", samples, minimum=1)
        self.seed = checked_seeds(seed, self.samples)
        self.max_memory = max_memory
        self._say, self._bar, self._part = say, bar, part
        self._open: dict[Signature, TermStore] = {}

    def __enter__(self) -> Passes:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the run folders; what was measured stays."""
        with ExitStack() as all_of_them:  # one that fails leaves no other open
            while self._open:
                all_of_them.callback(self._open.popitem()[1].close)

    def measure(
        self,
        process: GenerativeProcess,
        pairs: Sequence[Pair],
        *,
        samples: int | None = None,
    ) -> list[Terms]:
        """Terms of each pair in the order given, ``output`` and ``coupled`` among them.

        What is not on disk yet is measured, and each pair is on disk soon after it is finished. The
        terms are those that the folder holds, so that a later run returns the same to the last bit.
        Raises InputError as ``stream`` does. Raises NonFiniteError if a pair fails, after all
        others are measured and kept, and PartFinished if other parts of the work are missing.
        """
        pairs, kept, seeds = self._ask(process, pairs, samples)
        missing = kept.missing(pairs, seeds, EVERYTHING)
        wanted = distinct(pairs)
        pending = {pair for group in missing.values() for pair in group}
        if pending:
            text, done = next(iter(pending))[0], len(wanted) - len(pending)
            work = kept.plan(process, pairs, seeds, EVERYTHING, self.max_memory)
            self._say(cost_line(process, work, text, len(wanted), done=done))
        found: dict[int, Terms] = {}
        shown, done = self._bar and bool(pending), len(wanted) - len(pending)
        with progress_bar(len(wanted), done=done, shown=shown) as bar:
            for place, terms in kept.measure(process, pairs, seeds, EVERYTHING, self.max_memory):
                found[place] = terms
                pair = min(pairs[place]), max(pairs[place])
                if pair in pending:
                    pending.discard(pair)
                    bar.update()
        kept.store.flush()  # what is reported is on the disk
        _require_all(kept, pairs)
        if len(found) < len(pairs) and self._part is not None:
            raise PartFinished(self._part)
        return [found[place] for place in range(len(pairs))]

    def cost(
        self,
        process: GenerativeProcess,
        pairs: Sequence[Pair],
        *,
        samples: int | None = None,
    ) -> Plan:
        """What measuring the pairs, or what is missing of them, takes."""
        pairs, kept, seeds = self._ask(process, pairs, samples)
        return kept.plan(process, pairs, seeds, EVERYTHING, self.max_memory)

    def _ask(
        self, process: GenerativeProcess, pairs: Sequence[Pair], samples: int | None
    ) -> tuple[list[Pair], TermStore, range]:
        from .terms import TermStore  # pyarrow: only when something is kept

        count = self.samples if samples is None else whole("samples", samples, minimum=1)
        checked = checked_pairs(pairs)
        signature = sign_process(checked_process(process))
        checked_seeds(self.seed, count)
        check_texts(process, checked)
        if signature not in self._open:
            folder = self.folder / signature.digest
            self._open[signature] = TermStore(folder, process, part=self._part)
        return checked, self._open[signature], range(self.seed, self.seed + count)


def _require_all(kept: TermStore, pairs: Sequence[Pair]) -> None:
    """Raise NonFiniteError that says how many pairs failed, if any did."""
    failed = [pair for pair in distinct(pairs) if pair in kept.failures]
    if failed:
        more = f" (and {len(failed) - 1:,} more pairs failed)" if len(failed) > 1 else ""
        raise NonFiniteError(kept.failures[failed[0]] + more, failed[0])

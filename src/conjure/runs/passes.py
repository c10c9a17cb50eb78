"""One pass over many pairs, kept on disk. Every row of a process in every table comes from it.

A pass holds what all estimands need: ``Terms`` with ``output`` and ``coupled``, for each pair and
seed. Samples are independent of each other, since sample i starts from the noise of seed + i. So a
file with k = 1 needs four more samples to serve k = 5, and a file with k = 5 serves any smaller k.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.checks import checked_pairs, checked_process, checked_seeds, whole
from ..core.currency import currency
from ..core.divergence import measure
from ..core.errors import InputError
from ..core.memory import automatic_bound
from ..core.planner import Plan, Sizes, distinct, plan
from ..core.process import GenerativeProcess
from ..core.reading import check_texts
from ..core.spec import Signature, Spec, sign_process
from ..core.types import Pair, Terms
from .cost import cost_line
from .journal import Journal
from .progress import progress_bar

EVERYTHING = Spec(record=frozenset({"output", "coupled"}))


class Passes:
    """Terms of pairs under processes, kept on disk as they finish; a context manager.

    folder:     where the files are, one for each key of a process: JSON lines, of which the first
                is the key; one writer at a time
    samples, seed: k, and the first of its seeds, unless ``measure`` is given another k
    max_memory: as in ``similarity.stream``
    say:        is given a line that says what a run will cost, before it begins
    bar:        whether to draw a progress bar (on a terminal only)
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
    ) -> None:
        self.folder = Path(folder)
        self.samples = whole("samples", samples, minimum=1)
        self.seed = checked_seeds(seed, self.samples)
        self.max_memory = max_memory
        self._say, self._bar = say, bar
        self._open: dict[Signature, _PassFile] = {}

    def __enter__(self) -> Passes:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; what was measured stays."""
        while self._open:
            self._open.popitem()[1].close()

    def measure(
        self,
        process: GenerativeProcess,
        pairs: Sequence[Pair],
        *,
        samples: int | None = None,
    ) -> list[Terms]:
        """Terms of each pair in the order given, ``output`` and ``coupled`` among them.

        What is not on disk yet is measured, all of it in one stream, and each pair is on disk as
        soon as it is finished. The terms are those that the file holds, so that a later run
        returns the same to the last bit. Raises InputError and NonFiniteError as ``stream`` does.
        """
        pairs, file, seeds = self._ask(process, pairs, samples)
        missing = file.missing(pairs, seeds)
        if missing:
            done = len(distinct(pairs)) - sum(map(len, missing.values()))
            self._fill(process, file, missing, done)
        return [file.terms(process, pair, seeds) for pair in pairs]

    def cost(
        self,
        process: GenerativeProcess,
        pairs: Sequence[Pair],
        *,
        samples: int | None = None,
    ) -> Plan:
        """What measuring the pairs, or what is missing of them, takes."""
        pairs, file, seeds = self._ask(process, pairs, samples)
        return self._plan(process, file.missing(pairs, seeds))

    def _ask(
        self, process: GenerativeProcess, pairs: Sequence[Pair], samples: int | None
    ) -> tuple[list[Pair], _PassFile, range]:
        count = self.samples if samples is None else whole("samples", samples, minimum=1)
        checked = checked_pairs(pairs)
        signature = sign_process(checked_process(process))
        if not process.revision:
            raise InputError(
                f"process {process.name!r:.80} has no revision, so kept work could not be told from"
                " another model's: give it one that changes with its weights"
            )
        checked_seeds(self.seed, count)
        check_texts(process, checked)
        if signature not in self._open:
            self._open[signature] = _PassFile(self.folder, signature, process)
        return checked, self._open[signature], range(self.seed, self.seed + count)

    def _fill(
        self,
        process: GenerativeProcess,
        file: _PassFile,
        missing: Mapping[Seeds, list[Pair]],
        done: int,
    ) -> None:
        count = sum(map(len, missing.values())) + done
        text = next(iter(missing.values()))[0][0]
        self._say(cost_line(process, self._plan(process, missing), text, count, done=done))
        bound = self._bound(process)
        with progress_bar(count, done=done, shown=self._bar) as bar:
            for seeds, pairs in missing.items():
                for place, terms in measure(process, pairs, seeds, EVERYTHING, bound):
                    file.add(pairs[place], seeds, terms)
                    bar.update()

    def _plan(self, process: GenerativeProcess, missing: Mapping[Seeds, list[Pair]]) -> Plan:
        bound = self._bound(process)
        if not missing:
            return Plan((), 0, 0)
        sizes = Sizes.of(process, next(iter(missing.values()))[0][0])
        plans = [
            plan(pairs, sizes, len(seeds), EVERYTHING, bound) for seeds, pairs in missing.items()
        ]
        return Plan(
            [part for each in plans for part in each.parts],
            sum(each.rows for each in plans),
            sum(each.recomputed for each in plans),
        )

    def _bound(self, process: GenerativeProcess) -> int:
        return automatic_bound(process.device) if self.max_memory is None else self.max_memory


Seeds = tuple[int, ...]


class _PassFile:
    """The finished pairs of one process: each once, in alphabetical direction, seed by seed.

    A seed's row is forward, backward and coupled (T each) and output (1), little-endian float32
    (float64 where the latents are), in base64: 373 bytes a sentence pair and seed at T = 10.
    Rounding to float32 is of the order of the network's own.
    """

    def __init__(self, folder: Path, signature: Signature, process: GenerativeProcess) -> None:
        self._steps = len(process.schedule)
        self._dtype = "<f8" if process.latent_dtype == torch.float64 else "<f4"
        self._rows: dict[Pair, dict[int, NDArray[np.float64]]] = defaultdict(dict)
        self._journal = Journal(folder, signature)
        try:
            for record in self._journal.records:
                a, b = record["texts"]
                seeds = tuple(record["seeds"])
                values = np.frombuffer(base64.b64decode(record["terms"]), self._dtype)
                if not np.all((values >= 0) & np.isfinite(values)):
                    raise ValueError("a squared difference that is negative or not finite")
                self._keep((a, b), seeds, values.reshape(len(seeds), 3 * self._steps + 1))
        except (ValueError, LookupError, TypeError) as error:
            raise self._journal.refusal() from error
        self._journal.records.clear()

    def missing(self, pairs: Sequence[Pair], seeds: range) -> dict[Seeds, list[Pair]]:
        """Which pairs lack which of the seeds: {seeds: pairs}."""
        found: dict[Seeds, list[Pair]] = defaultdict(list)
        for pair in distinct(pairs):
            known = self._rows.get(pair, {})
            if lacking := tuple(seed for seed in seeds if seed not in known):
                found[lacking].append(pair)
        return dict(found)

    def add(self, pair: Pair, seeds: Seeds, terms: Terms) -> None:
        """Keep a finished pair: on disk when this returns."""
        assert terms.coupled is not None
        assert terms.output is not None
        columns = (terms.forward, terms.backward, terms.coupled, terms.output.unsqueeze(1))
        rows = torch.cat(columns, dim=1).numpy().astype(self._dtype)
        packed = base64.b64encode(rows.tobytes()).decode()
        self._journal.add({"texts": pair, "seeds": seeds, "terms": packed})
        self._keep(pair, seeds, rows)

    def terms(self, process: GenerativeProcess, pair: Pair, seeds: range) -> Terms:
        width = 3 * self._steps + 1
        if pair[0] == pair[1]:
            rows = np.zeros((len(seeds), width))
        else:
            known = self._rows[min(pair), max(pair)]
            rows = np.stack([known[seed] for seed in seeds])
        each = torch.from_numpy(rows[:, :-1]).reshape(len(seeds), 3, self._steps)
        forward, backward, coupled = each.unbind(dim=1)
        output = torch.from_numpy(rows[:, -1])
        found = Terms(
            forward, backward, process.schedule, output, coupled, compare=currency(process)
        )
        return found if pair[0] <= pair[1] else found.swapped()

    def close(self) -> None:
        self._journal.close()

    def _keep(self, pair: Pair, seeds: Seeds, rows: NDArray[np.floating]) -> None:
        self._rows[pair].update(zip(seeds, rows.astype(np.float64), strict=True))

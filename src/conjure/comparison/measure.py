"""The same pairs under several processes, each under the first k seeds and the next k."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from ..core.errors import InputError
from ..core.reading import unreadable
from ..core.spec import Signature, Spec, sign
from ..core.text import brief
from ..datasets.read import Dataset
from ..paper.variants import sample_distances
from ..runs.parts import Turns
from ..stats.resampling import Array

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..core.types import Pair
    from ..runs.passes import Passes


@dataclass(frozen=True)
class Subject:
    """What is compared.

    title:   what the pairs are, for people
    pairs:   n pairs of texts
    subsets: the subset of each pair, or None
    dataset: the set, if people have scored the pairs
    """

    title: str
    pairs: Sequence[Pair]
    subsets: Sequence[str] | None = None
    dataset: Dataset | None = None


@dataclass(frozen=True)
class Compared:
    """What was measured.

    distances:  {process: (2k, n)}, a row a seed
    signatures: {process: how each of its rows of k seeds was measured}, with the first seed of all
    """

    subject: Subject
    samples: int
    distances: Mapping[str, Array]
    signatures: Mapping[str, Signature]

    @property
    def couples(self) -> list[tuple[str, str]]:
        """Any two processes, by their labels."""
        return list(combinations(self.distances, 2))


def all_words(words: Sequence[str]) -> Subject:
    """All pairs of a list of words. Raises InputError for fewer than three different words."""
    words = list(dict.fromkeys(words))
    if len(words) < 3:
        raise InputError(f"three words or more are needed to rank their pairs, not {len(words)}")
    return Subject(f"all pairs of {len(words)} words", list(combinations(words, 2)))


def check_readable(processes: Mapping[str, GenerativeProcess], texts: Sequence[str]) -> None:
    """Raise InputError for a text of which one of the processes reads nothing."""
    for label, process in processes.items():
        for text, reason in unreadable(process, list(dict.fromkeys(texts))).items():
            raise InputError(f"{brief(text)} cannot be compared under {brief(label)}: {reason}")


def measure(
    processes: Mapping[str, GenerativeProcess],
    subject: Subject,
    passes: Passes,
    estimand: str = "jeffreys",
    say: Callable[[str], object] = lambda line: None,
) -> Compared:
    """Distances of the pairs under each process; ``passes`` has the k and the first seed.

    What ``passes`` has on disk is not measured again. Raises InputError for an estimand that a
    process does not have, before anything is measured; and PartFinished, after every process has
    had its part, if other parts of the work are missing.
    """
    k = passes.samples
    spec = Spec(2 * k, passes.seed, estimand)
    for process in processes.values():
        spec.check(process)
    rows = {
        label: passes.cost(process, subject.pairs, samples=2 * k).rows
        for label, process in processes.items()
    }
    say(
        f"{len(processes)} processes, {len(subject.pairs):,} pairs, seeds {spec.seed} to "
        f"{spec.seed + 2 * k - 1}: {sum(rows.values()):,} network rows that are not measured yet"
    )
    distances, signatures = {}, {}
    turns = Turns()
    for label, process in processes.items():
        if rows[label]:
            say(label)
        with turns.one():
            terms = passes.measure(process, subject.pairs, samples=2 * k)
            distances[label] = sample_distances(terms, estimand)
            signatures[label] = sign(process, spec)
    turns.end()
    return Compared(subject, k, distances, signatures)

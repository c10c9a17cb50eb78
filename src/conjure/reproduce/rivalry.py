"""Distances of the rivals, kept on disk as they come: a second run loads no model for nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..core.plan import Pair
from ..rivals import Rival
from .journal import Journal

CHUNK = 1000  # pairs; what is lost where a run is stopped


class RivalDistances:
    """Distances by rivals, one file for each signature; close it when done."""

    def __init__(
        self,
        folder: Path,
        *,
        say: Callable[[str], object] = lambda line: None,
        bar: bool = False,
    ) -> None:
        self.folder = folder
        self._say, self._bar = say, bar
        self._journals: dict[str, Journal] = {}
        self._known: dict[str, dict[Pair, float]] = {}

    def close(self) -> None:
        while self._journals:
            self._journals.popitem()[1].close()

    def measure(self, rival: Rival, pairs: Sequence[Pair]) -> list[float]:
        """The rival's distance of each pair, in the order given; only missing ones are measured."""
        from tqdm import tqdm

        journal, known = self._open(rival)
        missing = list(dict.fromkeys(pair for pair in pairs if pair not in known))
        if missing:
            count = rival.cost(missing)
            self._say(f"{rival.name}: {len(missing):,} pairs, {count:,} texts or continuations")
            with tqdm(total=len(missing), unit="pair", disable=None if self._bar else True) as bar:
                for start in range(0, len(missing), CHUNK):
                    chunk = missing[start : start + CHUNK]
                    for pair, distance in zip(chunk, rival.distances(chunk), strict=True):
                        journal.add({"texts": pair, "distance": distance})
                        known[pair] = distance
                    bar.update(len(chunk))
        return [known[pair] for pair in pairs]

    def _open(self, rival: Rival) -> tuple[Journal, dict[Pair, float]]:
        line = rival.signature
        if line not in self._journals:
            journal = Journal(self.folder, line)
            try:
                self._known[line] = {
                    (record["texts"][0], record["texts"][1]): float(record["distance"])
                    for record in journal.records
                }
            except (ValueError, LookupError, TypeError) as error:
                raise journal.refusal() from error
            self._journals[line] = journal
        return self._journals[line], self._known[line]

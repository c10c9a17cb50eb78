"""What run folders hold, for the commands that show, join and export them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ..core.errors import InputError
from ..core.registry import Estimand
from ..core.schedule import Schedule
from ..core.spec import Signature, Spec
from ..core.text import number_of
from ..core.types import Pair, Terms
from ..core.uncertainty import estimate
from .distances import DISTANCES
from .manifest import Manifest, read_manifest
from .pictures import pictures_kind
from .progress import duration
from .shards import Contents, Kind, read_shards
from .store import Store
from .units import RECORDS, Unit, read_units, terms_kind


@dataclass(frozen=True)
class RunFolder:
    """A run folder that was read."""

    path: Path
    manifest: Manifest
    kind: Kind
    contents: Contents

    @classmethod
    def read(cls, path: Path) -> RunFolder:
        """Raises InputError for a folder that is no run, or is damaged."""
        manifest = read_manifest(path)
        if manifest is None:
            raise InputError(f"{path} is not a run folder: it has no manifest.json")
        kind = kind_of(manifest)
        return cls(path, manifest, kind, read_shards(path, kind, manifest.key))

    @property
    def failures(self) -> list[tuple[Pair, str]]:
        """The pairs that failed, with the reason; each once."""
        found: dict[Pair, str] = {}
        if "failed" in self.kind.schema.names:
            for shard in self.contents.shards.values():
                columns = (shard.table[name].to_pylist() for name in ("text1", "text2", "failed"))
                found |= {(a, b): why for a, b, why in zip(*columns, strict=True) if why}
        return list(found.items())

    def object(self) -> dict[str, Any]:
        """What the folder holds, as a JSON object."""
        contents, progress = self.contents, self.manifest.facts.get("progress", {})
        seconds, left = contents.seconds, None
        if isinstance(progress, dict):
            at_start, missing = progress.get("stored_units"), progress.get("missing_units")
            if isinstance(at_start, int) and isinstance(missing, int):
                left = max(0, missing - (contents.units - at_start))
        rate = contents.units / seconds if seconds else None
        return {
            "folder": str(self.path),
            "kind": self.manifest.kind,
            "key": dict(self.manifest.key),
            "shards": len(contents.shards),
            "units": contents.units,
            "units_left": left,
            "seconds": seconds,
            "seconds_left": left / rate if left is not None and rate else None,
            "failed": [{"text1": a, "text2": b, "reason": why} for (a, b), why in self.failures],
            "damaged": {path.name: why for path, why in contents.damaged.items()},
            "written": self.manifest.facts.get("written"),
        }

    def lines(self) -> list[str]:
        """The same for people."""
        facts = self.object()
        done = f"{number_of(facts['units'], 'unit')} in {number_of(facts['shards'], 'shard')}"
        lines = [
            f"{'run':<10} {self.path}",
            f"{'kind':<10} {facts['kind']}",
            f"{'key':<10} {Signature(self.manifest.key)}",
            f"{'finished':<10} {done}, in {duration(facts['seconds'])}",
        ]
        if facts["units_left"] is not None:
            left = f"{number_of(facts['units_left'], 'unit')} of the last command"
            if facts["seconds_left"]:
                left += f", about {duration(facts['seconds_left'])}"
            lines.append(f"{'left':<10} {left}")
        for (a, b), why in self.failures:
            lines.append(f"{'failed':<10} {a!r:.60} and {b!r:.60}: {why}")
        for path, why in self.contents.damaged.items():
            lines.append(f"{'damaged':<10} {path.name}: {why}")
        return lines


def kind_of(manifest: Manifest) -> Kind:
    """The kind of a manifest, with the columns and checks of its key."""
    key = manifest.key
    try:
        if manifest.kind == "terms":
            return terms_kind(int(key["steps"]))
        if manifest.kind == "distances":
            return DISTANCES
        if manifest.kind == "pictures":
            shape = [int(size) for size in str(key["size"]).split("x")]
            dtype = torch.float64 if key["dtype"] == "float64" else torch.float32
            return pictures_kind(shape, dtype)
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"the manifest's key does not say what its {manifest.kind} are") from error
    raise InputError(
        f"the manifest is of kind {manifest.kind!r:.40}, which this version cannot read"
    )


def merge(target: Path, sources: Sequence[Path]) -> int:
    """Copy what other runs of the same key hold into ``target``; returns the number of new units.

    A folder that does not exist is made. Raises InputError where keys differ or a shard is damaged;
    then nothing is written.
    """
    read = [RunFolder.read(path) for path in sources]
    first = read[0]
    for other in read[1:]:
        if difference := first.manifest.difference(other.manifest.kind, other.manifest.key):
            raise InputError(f"{other.path} is another run than {first.path}: {difference}")
    for folder in read:
        for path, why in folder.contents.damaged.items():
            raise InputError(f"{path} cannot be used, for {why}: go on with that run, or remove it")
    with ExitStack() as stack:
        store = stack.enter_context(Store(target, first.kind, Signature(first.manifest.key)))
        store.begin(first.manifest.facts, 1)
        known = {_key(first.kind, row) for table in store.tables() for row in _keys(first, table)}
        added = 0
        for folder in read:
            for shard in folder.contents.shards.values():
                keys = [_key(first.kind, row) for row in _keys(first, shard.table)]
                new = [n for n, key in enumerate(keys) if key not in known]
                known.update(keys)
                if new:
                    facts = {k: v for k, v in shard.facts.items() if k not in ("kind", "key")}
                    store.write(shard.table.take(new), facts)
                    added += len(new)
    return added


def _keys(folder: RunFolder, table: pa.Table) -> list[dict[str, Any]]:
    names = list(folder.kind.key)
    extra = [n for n in ("coupled", "output", "failed") if n in table.column_names]
    rows: list[dict[str, Any]] = table.select([*names, *extra]).to_pylist()
    return rows


def _key(kind: Kind, row: dict[str, Any]) -> tuple[Any, ...]:
    """What tells units apart; one that records more is another."""
    records = tuple(row.get(n) is not None for n in ("coupled", "output", "failed"))
    return (*(row[name] for name in kind.key), records)


def exported(
    folder: RunFolder, estimand: str | None
) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """The columns and rows of a table: a distance for each pair, over all its seeds.

    estimand: of terms; by default that of the run's last command. Pairs without what it needs are
              left out
    """
    if folder.manifest.kind == "distances":
        found = [
            {"text1": row["text1"], "text2": row["text2"], "value": row["distance"]}
            for shard in folder.contents.shards.values()
            for row in shard.table.to_pylist()
            if row["failed"] is None
        ]
        return ("text1", "text2", "value"), sorted(
            found, key=lambda row: (row["text1"], row["text2"])
        )
    if folder.manifest.kind != "terms":
        raise InputError(f"a run of {folder.manifest.kind} has no distances to export")
    spec = folder.manifest.facts.get("spec", {})
    name = estimand or (spec.get("estimand") if isinstance(spec, dict) else None) or "jeffreys"
    entry = Spec(estimand=name).entry
    columns = ("text1", "text2", "value", "standard_error", "interval_low", "interval_high")
    rows = []
    steps = int(folder.manifest.key["steps"])
    cross_steps = (spec.get("cross_steps") if isinstance(spec, dict) else None) or 0
    for (a, b), units in sorted(_pairs(folder, cross_steps).items()):
        usable = [unit for _, unit in sorted(units.items()) if unit.has(entry.needs & RECORDS)]
        if not usable:
            continue
        mean = estimate(_reduced(entry, _terms(usable, steps), name))
        low, high = mean.interval or (None, None)
        numbers = (mean.value, mean.standard_error, low, high)
        rows.append(dict(zip(columns, (a, b, *numbers), strict=True)) | {"samples": len(usable)})
    return (*columns, "samples"), rows


def _pairs(folder: RunFolder, cross_steps: int) -> dict[Pair, dict[int, Unit]]:
    found: dict[Pair, dict[int, Unit]] = defaultdict(dict)
    for shard in folder.contents.shards.values():
        for pair, steps, seed, unit in read_units(shard.table):
            if steps == cross_steps and not isinstance(unit, str):
                before = found[pair].get(seed)
                if before is None or before.records < unit.records:
                    found[pair][seed] = unit
    return found


def _terms(units: Sequence[Unit], steps: int) -> Terms:
    """Terms of a schedule that is not known: its sigmas are NaN, which no result can hide."""

    def column(name: str) -> torch.Tensor | None:
        values = [getattr(unit, name) for unit in units]
        if any(value is None for value in values):
            return None
        return torch.from_numpy(np.array(values, dtype=np.float64))

    nan = float("nan")
    unknown = Schedule((nan,) * steps, (nan,) * (steps + 1), nan, stochastic=False)
    forward, backward = column("forward"), column("backward")
    assert forward is not None  # a unit has both
    assert backward is not None
    return Terms(forward, backward, unknown, column("output"), column("coupled"), column("weights"))


def _reduced(entry: Estimand, terms: Terms, name: str) -> torch.Tensor:
    """One number a sample. Raises InputError for an estimand that reads the schedule."""
    entry.check_steps(len(terms.schedule))
    found = None
    if entry.refuse(terms.schedule) is None:
        found = entry.reduce(terms) if entry.step is None else entry.reduce(terms, entry.step)
    if found is None or not torch.isfinite(found).all():
        raise InputError(
            f"estimand {name!r:.40} depends on the schedule, which a run folder does not hold: "
            "score the pairs with --run, which computes nothing again"
        )
    return found

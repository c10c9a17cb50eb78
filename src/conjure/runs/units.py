"""Units of terms: a pair under one seed. The columns of a shard, and what its values can be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..core.types import Pair
from .shards import Kind

_LIST = pa.list_(pa.float64())
SCHEMA = pa.schema(
    [
        pa.field("text1", pa.string(), nullable=False),  # text1 < text2
        pa.field("text2", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("cross_steps", pa.int32(), nullable=False),  # 0: all steps are measured
        pa.field("forward", _LIST),
        pa.field("backward", _LIST),
        pa.field("coupled", _LIST),
        pa.field("output", pa.float64()),
        pa.field("weights", _LIST),
        pa.field("failed", pa.string()),  # why there are no numbers
    ]
)
KEY = ("text1", "text2", "seed", "cross_steps")
LISTS = ("forward", "backward", "coupled", "weights")


def _fault(table: pa.Table, steps: int) -> str | None:
    """Why the values of a table cannot be terms of T = ``steps``."""
    texts = table.column("text1").to_pylist(), table.column("text2").to_pylist()
    seeds = table.column("seed").to_numpy()
    if any(one >= other for one, other in zip(*texts, strict=True)):
        return "its texts are not in order"
    if len(seeds) and not 0 <= seeds.min() <= seeds.max() < 2**32:
        return "a seed is out of range"
    failed = np.array(table.column("failed").is_valid())
    widths = set()
    for name in (*LISTS, "output"):
        column = table.column(name).combine_chunks()
        there = np.array(column.is_valid())
        if (there & failed).any() or (name in ("forward", "backward") and (~there & ~failed).any()):
            return "its numbers and failures do not fit"
        if name in LISTS:
            widths |= {*np.array(column.value_lengths().drop_null())}
            column = column.flatten()
        values = column.drop_null().to_numpy(zero_copy_only=False)
        if column.null_count and name in LISTS:
            return "a number is missing"
        if not np.all(np.isfinite(values) & (values >= 0)):
            return "it holds a number that no squared difference can be"
    return f"its terms are not {steps} steps long" if widths - {steps} else None


def terms_kind(steps: int) -> Kind:
    """Terms of T = ``steps``."""
    return Kind("terms", SCHEMA, KEY, partial(_fault, steps=steps))


@dataclass
class Unit:
    """What is known of a pair and seed; None where it is not recorded."""

    forward: NDArray[np.float64]
    backward: NDArray[np.float64]
    coupled: NDArray[np.float64] | None = None
    output: float | None = None
    weights: NDArray[np.float64] | None = None

    def has(self, needs: frozenset[str]) -> bool:
        return all(getattr(self, name) is not None for name in needs)

    @property
    def records(self) -> int:
        return (self.coupled is not None) + (self.output is not None)


@dataclass
class Known:
    """The units of one pair under one ``cross_steps``, and why others failed."""

    units: dict[int, Unit] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


RECORDS = frozenset({"output", "coupled"})


def _rows(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column: arrays of lists, numbers, or None."""
    array = column.combine_chunks()
    if not pa.types.is_list(array.type):
        return list(array.to_pylist())
    there = np.array(array.is_valid())
    values = array.flatten().to_numpy(zero_copy_only=False).reshape(max(there.sum(), 1), -1)
    found: list[Any] = [None] * len(there)
    for row, n in enumerate(np.flatnonzero(there)):
        found[n] = values[row]
    return found


def read_units(table: pa.Table) -> Iterator[tuple[Pair, int, int, Unit | str]]:
    """The units of a shard: pair, cross_steps, seed, and the unit or why it failed."""
    columns = {name: _rows(table.column(name)) for name in (*LISTS, "output")}
    keys = (table.column(name).to_pylist() for name in (*KEY, "failed"))
    for n, (text1, text2, seed, cross_steps, failed) in enumerate(zip(*keys, strict=True)):
        unit = Unit(**{name: values[n] for name, values in columns.items()})
        yield (text1, text2), cross_steps, seed, unit if failed is None else failed

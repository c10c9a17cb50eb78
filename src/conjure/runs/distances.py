"""Units of baselines: a pair, in its direction, and its distance."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from .shards import Kind

SCHEMA = pa.schema(
    [
        pa.field("text1", pa.string(), nullable=False),
        pa.field("text2", pa.string(), nullable=False),
        pa.field("distance", pa.float64()),
        pa.field("failed", pa.string()),  # why there is no number
    ]
)


def _fault(table: pa.Table) -> str | None:
    """Why the values of a table cannot be distances."""
    distance, failed = table.column("distance"), table.column("failed")
    if (np.array(distance.is_valid()) == np.array(failed.is_valid())).any():
        return "its numbers and failures do not fit"
    values = distance.drop_null().to_numpy()
    if not np.all(np.isfinite(values) & (values >= 0)):
        return "it holds a number that no distance can be"
    return None


DISTANCES = Kind("distances", SCHEMA, ("text1", "text2"), _fault)

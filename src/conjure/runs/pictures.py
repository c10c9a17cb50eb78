"""Latents of pictures, kept on disk: x_0 of one text, a unit for each seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ..core.process import GenerativeProcess
from ..core.sampling import walk
from ..core.spec import Signature, process_key, provenance
from .shards import Kind
from .stopping import check_stop
from .store import Store


def pictures_kind(shape: Sequence[int], dtype: torch.dtype) -> Kind:
    """Latents of a shape, flat, in the dtype of the trajectories."""
    number = pa.float64() if dtype == torch.float64 else pa.float32()
    schema = pa.schema(
        [
            pa.field("text", pa.string(), nullable=False),
            pa.field("seed", pa.int64(), nullable=False),
            pa.field("x_0", pa.list_(number), nullable=False),
        ]
    )
    return Kind("pictures", schema, ("text", "seed"), partial(_fault, size=prod(shape)))


def _fault(table: pa.Table, size: int) -> str | None:
    """Why the values of a table cannot be latents of ``size`` entries."""
    column = table.column("x_0").combine_chunks()
    if column.null_count or {*column.value_lengths().to_pylist()} - {size}:
        return f"its latents do not have {size} entries"
    values = column.flatten()
    if values.null_count or not np.isfinite(values.to_numpy()).all():
        return "it holds a number that no latent can be"
    return None


@torch.no_grad()
def kept_pictures(
    process: GenerativeProcess, text: str, seeds: Sequence[int], folder: Path
) -> torch.Tensor:
    """x_0 of a text, one for each seed: (len(seeds), *latent_shape) on the CPU.

    folder: holds the run folders; pictures that are there are not drawn again

    Raises NonFiniteError, ``Stopped``, and InputError as ``Store`` does.
    """
    key = Signature({**process_key(process), "pictures": "x_0"}, provenance(process))
    kind = pictures_kind(process.latent_shape, process.latent_dtype)
    with Store(folder / key.digest, kind, key) as store:
        known: dict[int, Any] = {}
        for table in store.tables():
            _read(table, text, known)
        if any(seed not in known for seed in seeds):
            missing = [seed for seed in seeds if seed not in known]
            for table in store.begin({"versions": dict(key.provenance)}, len(missing)):
                _read(table, text, known)
            store.provenance = lambda: provenance(process)
            missing = [seed for seed in seeds if seed not in known]
            while missing:
                batch, missing = missing[: process.batch_size], missing[process.batch_size :]
                found = _ends(process, text, batch)
                known |= found
                store.add([{"text": text, "seed": s, "x_0": x} for s, x in found.items()])
                check_stop()
    rows = np.stack([known[seed] for seed in seeds])
    return torch.from_numpy(rows).reshape(len(seeds), *process.latent_shape)


def _ends(process: GenerativeProcess, text: str, seeds: Sequence[int]) -> Mapping[int, Any]:
    for step in walk(process, [text], seeds, finish=True):
        last = step.x_next
    assert last is not None  # with ``finish`` the last step gives x_0
    return dict(zip(seeds, last[0].cpu().flatten(1).numpy(), strict=True))


def _read(table: pa.Table, text: str, known: dict[int, Any]) -> None:
    """Take up the pictures of a text from a shard."""
    column = table.column("x_0").combine_chunks()
    values = column.flatten().to_numpy().reshape(len(table), -1)
    texts, seeds = (table.column(name).to_pylist() for name in ("text", "seed"))
    known |= {seed: values[n] for n, seed in enumerate(seeds) if texts[n] == text}

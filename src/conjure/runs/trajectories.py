"""Trajectories kept while a run goes on, so that a run that is stopped does not walk them again.

A text that has pairs left is worth it: its trajectory takes 2T − 2 network rows (T without
guidance), which a matrix would lose for each of its texts. The files are removed when the work is
done.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.memory import automatic_bound
from ..core.planner import Sizes, plan, shared_rows, walk_rows
from ..core.process import GenerativeProcess
from ..core.spec import Fact, Spec
from ..core.types import Conditioning, Pair, Trajectory
from .beside import TRAJECTORIES, Beside

RESERVE = 2**30  # bytes of the disk that stay free
_VERSION = 1  # of the files
_NAMES = ("x", "eps_cond", "eps_uncond", "x_0")


class KeptTrajectories:
    """A ``Keeper`` in a run folder: a file for each text and seed.

    folder: of the run, whose lock this process has
    key:    of the process
    spec:   says what trajectories record

    A file that cannot be written is not kept, and that is all: it would only save time.
    """

    def __init__(
        self, folder: Path, key: Mapping[str, Fact], process: GenerativeProcess, spec: Spec
    ) -> None:
        self._files = Beside(folder, TRAJECTORIES)
        self._process = process
        self._facts = {
            **key,
            "trajectory": _VERSION,
            "uncond": spec.keeps_uncond,
            "x_0": "output" in spec.needs,
        }

    @property
    def any(self) -> bool:
        """Whether the folder has any."""
        return self._files.folder.is_dir()

    def has(self, prompt: str, seeds: Sequence[int]) -> bool:
        """Whether all of these are kept."""
        return all(self._files.has(self._key(prompt, seed)) for seed in seeds)

    def saved(self, pairs: Sequence[Pair], seeds: Sequence[int], sizes: Sizes, spec: Spec) -> int:
        """The network rows that measuring these pairs need not compute."""
        texts = {text for pair in pairs for text in pair}
        there = sum(self.has(text, seeds) for text in texts)
        shared = shared_rows(sizes, spec) if there == len(texts) else 0
        return len(seeds) * (there * walk_rows(sizes, spec) + shared)

    def load(self, prompt: str, seeds: Sequence[int], cond: Conditioning) -> Trajectory | None:
        if not self.has(prompt, seeds):
            return None
        rows = []
        for seed in seeds:
            found = self._read(prompt, seed)
            if found is None:
                return None
            rows.append(found)

        def joined(name: str, axis: int) -> Tensor | None:
            if name not in rows[0]:
                return None
            return torch.stack([row[name] for row in rows], dim=axis).to(self._process.device)

        x, eps_cond = joined("x", 1), joined("eps_cond", 1)
        assert x is not None  # ``_read`` has seen both
        assert eps_cond is not None
        return Trajectory(x, eps_cond, joined("eps_uncond", 1), joined("x_0", 0), cond)

    def save(self, prompt: str, seeds: Sequence[int], trajectory: Trajectory) -> None:
        for n, seed in enumerate(seeds):
            tensors = {"x": trajectory.x[:, n], "eps_cond": trajectory.eps_cond[:, n]}
            if trajectory.eps_uncond is not None:
                tensors["eps_uncond"] = trajectory.eps_uncond[:, n]
            if trajectory.x_0 is not None:
                tensors["x_0"] = trajectory.x_0[n]
            file = BytesIO()
            arrays: dict[str, Any] = {
                name: tensor.cpu().numpy() for name, tensor in tensors.items()
            }
            np.savez(file, **arrays)
            data = file.getvalue()
            with suppress(InputError, OSError):
                if shutil.disk_usage(self._files.folder.parent).free < RESERVE + len(data):
                    return
                # After a loss of power a checksum may not fit; then the text is walked again.
                self._files.write(self._key(prompt, seed), data, sync=False)

    def remove(self, done: Mapping[Pair, Sequence[int]] | None) -> None:
        """Remove files: the work is done. done: {pair: seeds} of this process; None is all work.

        If another part of the work has one of these texts, it walks that text again when stopped.
        """
        if not self.any:
            return
        if done is None:
            self._files.remove()
            return
        for name in {(text, seed) for pair, own in done.items() for text in pair for seed in own}:
            self._files.discard(self._key(*name))

    def _key(self, prompt: str, seed: int) -> dict[str, Fact]:
        return {**self._facts, "text": prompt, "seed": seed}

    def _read(self, prompt: str, seed: int) -> dict[str, Tensor] | None:
        """The tensors of a file, if they are those that a walk would give."""
        data = self._files.read(self._key(prompt, seed))
        if data is None:
            return None
        try:
            with np.load(BytesIO(data), allow_pickle=False) as file:
                found = {name: torch.from_numpy(file[name]) for name in file.files}
        except (ValueError, KeyError, EOFError, OSError, TypeError, zipfile.BadZipFile):
            return None
        shape, steps = tuple(self._process.latent_shape), len(self._process.schedule)
        wanted = {"x": (steps, *shape), "eps_cond": (steps, *shape)}
        if self._facts["uncond"] and self._process.unconditional() is not None:
            wanted["eps_uncond"] = (steps, *shape)
        if self._facts["x_0"]:
            wanted["x_0"] = shape
        same = {name: tuple(tensor.shape) for name, tensor in found.items()} == wanted
        kinds = {tensor.dtype for tensor in found.values()} == {self._process.latent_dtype}
        whole = same and kinds and all(bool(t.isfinite().all()) for t in found.values())
        return found if whole else None


def portions(
    process: GenerativeProcess,
    pairs: Sequence[Pair],
    seeds: tuple[int, ...],
    spec: Spec,
    max_memory: int | None,
) -> Iterator[tuple[int, ...]]:
    """The seeds, as many at a time as fit the memory and a batch.

    A pair is finished with the last of them, so all of them are lost if a run is stopped.
    """
    most = min(len(seeds), max(1, process.batch_size))
    if len(seeds) > 1:
        bound = automatic_bound(process.device) if max_memory is None else max_memory
        sizes = Sizes.of(process, pairs[0][0])
        parts = plan(pairs, sizes, len(seeds), spec, bound).parts
        most = min(most, *(part.samples for part in parts))
    for start in range(0, len(seeds), most):
        yield seeds[start : start + most]

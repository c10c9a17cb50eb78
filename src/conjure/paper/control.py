"""The control: a generative process that ignores its prompt must agree with nobody.

"A random sampler attributes no meaning." Algorithm 1 itself would give such a process a distance
of 0 for every pair, since both texts start from the same noise; that has no correlation at all.
So the null process is asked for pictures, as one asks a sampler, and gives any that it has: each
side of each pair draws one of a pool of unconditional pictures (the process's own sampler, the
empty prompt), and the distance is ‖x_0 − x̃_0‖² between the two.

One such draw agrees with people by chance, one way or the other. So a hundred are made from the
pool, for no further network row; the row's figure is their mean, beside what most lie between.

Pictures are drawn for a place in the set and a side of it, never for a text: were they the text's,
a text beside itself would always be at distance 0, and identical texts do score 5 of 5: the
control would know something. Texts and pairs that come again would tie their places together,
too. Drawn like this, distances are independent of the texts and, given the pool, of each other.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch

from ..core.process import GenerativeProcess
from ..core.sampling import walk
from ..core.spec import sign_process
from ..datasets.files import replacing
from ..stats.resampling import Array

DRAWS = 100  # of all pairs of a set; each has a figure of its own
POOL = 256  # pictures: picture m starts from the noise of seed m, whatever seed a run has


def null_distances(
    process: GenerativeProcess, name: str, count: int, seed: int, folder: Path
) -> Array:
    """Distances of the pairs of a set, so called and so many, by the null process: (DRAWS, count).

    The pool is walked once for a process (2·POOL·T network rows at most) and kept in ``folder``.
    Raises InputError where the process knows no empty prompt.
    """
    apart = pool_distances(process, folder)
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    pictures = generator.integers(POOL, size=(DRAWS, 2, count))
    return np.asarray(apart[pictures[:, 0], pictures[:, 1]])


def pool_distances(process: GenerativeProcess, folder: Path) -> Array:
    """‖x_0 − x̃_0‖² between any two pictures of the pool: (POOL, POOL), from disk if it is there."""
    path = folder / f"null-{sign_process(process).digest}.npy"
    if path.exists():
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    pictures = _pictures(process).double().flatten(1)
    apart = np.stack([(pictures - one).square().sum(dim=1).numpy() for one in pictures])
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft, draft.open("wb") as file:
        np.save(file, apart)
    return np.asarray(apart)


@torch.no_grad()
def _pictures(process: GenerativeProcess) -> torch.Tensor:
    """(POOL, *latent_shape) on the CPU: x_0 of the empty prompt."""
    found = []
    for start in range(0, POOL, process.batch_size):
        seeds = range(start, min(start + process.batch_size, POOL))
        for step in walk(process, [""], seeds, finish=True):
            last = step.x_next
        assert last is not None  # a walk that is finished ends with x_0
        found.append(last[0].cpu())
    return torch.cat(found)

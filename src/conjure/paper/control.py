"""The control: a generative process that ignores its prompt must agree with nobody.

"A random sampler attributes no meaning." Algorithm 1 cannot show that: it gives such a process a
distance of 0 for every pair, because both texts start from the same noise, and a constant has no
correlation. So the control compares pictures instead. Each side of each pair draws one picture at
random from a pool of unconditional pictures (the process's sampler with the empty prompt). The
distance of the pair is ‖x_0 − x̃_0‖² between its two pictures.

One such draw agrees with people by chance, a little above or below zero. So a hundred draws are
made from the same pool, which costs no further network row. The figure of the row is their mean,
and its interval is the range that holds 95 % of them.

A picture is drawn for a place in the set (pair and side), never for a text. If a text had its own
picture, a text beside itself would be at distance 0; identical texts have the highest human score,
so the control would know something. Texts and pairs that occur twice would be tied together, too.
Drawn by place, distances are independent of the texts and, given the pool, of each other.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from ..core.process import GenerativeProcess
from ..runs.pictures import kept_pictures
from ..stats.resampling import Array

DRAWS = 100  # of all pairs of a set; each gives one figure
POOL = 256  # pictures; picture m starts from the noise of seed m, whatever the seed of the run


def control_distances(
    process: GenerativeProcess, name: str, count: int, seed: int, folder: Path
) -> Array:
    """Distances of the ``count`` pairs of the set ``name`` under the control: (DRAWS, count).

    The pool is sampled once for a process (at most 2·POOL·T network rows) and kept in ``folder``.
    Raises InputError where the process cannot take the empty prompt.
    """
    apart = pool_distances(process, folder)
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    pictures = generator.integers(POOL, size=(DRAWS, 2, count))
    return np.asarray(apart[pictures[:, 0], pictures[:, 1]])


def pool_distances(process: GenerativeProcess, folder: Path) -> Array:
    """‖x_0 − x̃_0‖² between any two pictures of the pool: (POOL, POOL)."""
    pictures = kept_pictures(process, "", range(POOL), folder).double().flatten(1)
    return np.stack([(pictures - one).square().sum(dim=1).numpy() for one in pictures])

"""The latents of drawings: principal components of squares of 16 pixels.

    z = W (square − mean),    W = S^(−1/2) Vᵀ, scaled so that z has mean square 1

of the squares' singular value decomposition U S Vᵀ. Half of the whitening is done: components that
show more still weigh more, but less than in pixels. Small drawings are one square, large ones are
four. 32 components keep 76 and 82 % of their variance; the decoder, which has seen every drawing,
puts back the rest.
"""

from __future__ import annotations

from pathlib import Path

import torch
from boards import FACTOR, Drawing, cut, draw_cells
from optimisation import fingerprint, save
from scenes import COLOURS
from torch import Tensor

CHANNELS = 32
SMALL, LARGE = 16, 32  # pixels
Key = tuple[int, str | None]  # side in pixels and background


def squares(cells: Tensor) -> Tensor:
    """(C, 3, s, s) → (C, n, n, 768): its squares of 16 pixels."""
    rows = cells.shape[-1] // FACTOR
    return cut(cells, rows).flatten(2).unflatten(1, (rows, rows))


def components(small: Tensor, large: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (768,) and W (768, 32) of small and of large cells' squares, both alike."""
    four = squares(large)
    parts = torch.cat([squares(small).flatten(0, 2), four[:, 0, 0], four[:, 1, 1]]).double()
    mean = parts.mean(0)
    _, s, axes = torch.linalg.svd(parts - mean, full_matrices=False)
    w = axes[:CHANNELS].T * s[:CHANNELS] ** -0.5
    return mean, w / ((parts - mean) @ w).square().mean().sqrt()


def encode(cells: Tensor, mean: Tensor, w: Tensor) -> Tensor:
    """(C, 3, s, s) → (C, 32, s / 16, s / 16)."""
    return ((squares(cells).double() - mean) @ w).float().permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def kept_codes(run: Path, drawings: list[Drawing]) -> dict[Key, Tensor]:
    """The codes of all drawings, small and large, on white and on each colour.

    They are made once for these drawings, and kept in the run folder.
    """
    file = run / f"codes-{fingerprint(*(drawing.file for drawing in drawings))}.pt"
    if not file.exists():
        small, large = draw_cells(drawings, SMALL), draw_cells(drawings, LARGE)
        mean, w = components(small, large)
        codes = {(SMALL, None): encode(small, mean, w), (LARGE, None): encode(large, mean, w)}
        for colour in COLOURS:
            codes[LARGE, colour] = encode(draw_cells(drawings, LARGE, colour), mean, w)
        save({"codes": codes}, file)
    return torch.load(file, weights_only=True)["codes"]

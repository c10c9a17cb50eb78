"""The latents of drawings: principal components of their pixels.

    z = W (pixels − mean),    W = S^(−1/2) Vᵀ, scaled so that z has mean square 1

of the drawings' singular value decomposition U S Vᵀ. Half of the whitening is done: components that
show more still weigh more, but less than in pixels. 64 components keep 88 % of the variance; the
decoder, which has seen every drawing, puts back the rest.
"""

from __future__ import annotations

from pathlib import Path

import torch
from boards import COLOURS, Drawing, draw_cells
from optimisation import fingerprint, save
from torch import Tensor

CHANNELS = 64
Codes = dict[str | None, Tensor]  # background → (C, 64)


def components(cells: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (768,) and W (768, 64) of cells (C, 3, 16, 16), in float64."""
    pixels = cells.flatten(1).double()
    mean = pixels.mean(0)
    _, s, axes = torch.linalg.svd(pixels - mean, full_matrices=False)
    w = axes[:CHANNELS].T * s[:CHANNELS] ** -0.5
    return mean, w / ((pixels - mean) @ w).square().mean().sqrt()


@torch.no_grad()
def kept_codes(run: Path, drawings: list[Drawing]) -> Codes:
    """The codes of all drawings, on white (None) and on each colour.

    They are made once for these drawings and this module, and kept in the run folder.
    """
    made_of = (*(drawing.file for drawing in drawings), str(CHANNELS), Path(__file__))
    file = run / f"codes-{fingerprint(*made_of)}.pt"
    if not file.exists():
        mean, w = components(draw_cells(drawings))
        codes = {
            colour: ((draw_cells(drawings, colour).flatten(1).double() - mean) @ w).float()
            for colour in (None, *COLOURS)
        }
        save({"codes": codes}, file)
    return torch.load(file, weights_only=True)["codes"]

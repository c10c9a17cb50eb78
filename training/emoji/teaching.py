"""The teacher: what a perfect student of the drawings would predict, in closed form.

A caption's cells are drawn independently, cell i from p_i(c) over the C drawings. So the best
prediction of a noisy picture is known (Karras et al. 2022, Appendix B.3):

    E[x₀ | x_t, caption] = Σ_c p_i(c | x_t) z_c   in cell i,
    p_i(c | x_t) ∝ p_i(c) exp(−‖x_t − α z_c‖² / 2σ²)

    p(c | phrase) ∝ exp(s · (cos(phrase, c) − mean over c) / deviation over c)

Cosines are standardised over the drawings, so that vague and precise phrases are told apart by the
order of the drawings, and not by how large their cosines are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from board_autoencoder import encode_cells, white
from boards import FACTOR, LAYOUTS, Drawing, draw_cells, put_together
from captions import Caption
from diffusers import AutoencoderTiny
from encoding import encoded
from optimisation import fingerprint, save
from scenes import COLOURS
from torch import Tensor
from torch.nn.functional import normalize

SHARPNESS = {"single": 2.0, "beside": 2.0, "above": 2.0, "board": 1.0}  # s


def vectors(text: Path, texts: list[str]) -> Tensor:
    """(n, 384): the mean of each text's states, at length 1."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = encoded(text, [texts[i] for i in order], padding="longest")
    sums = torch.cat([(states * mask[..., None]).sum(1) for states, mask in found])
    result = torch.empty_like(sums)
    result[order] = sums
    return normalize(result, dim=1)


def logits(phrases: Tensor, drawings: Tensor) -> Tensor:
    """(n, C) from vectors (n, 384) and (C, 384): cosines, standardised over the drawings."""
    cosine = phrases @ drawings.T
    return (cosine - cosine.mean(1, keepdim=True)) / cosine.std(1, keepdim=True)


def describe(text: Path, drawings: list[Drawing]) -> Tensor:
    """(C, 384): the vector of each drawing's name, and of its name and keywords, together."""
    names = vectors(text, [d.name for d in drawings])
    whole = vectors(text, [", ".join((d.name, *d.keywords)) for d in drawings])
    return normalize(names + whole, dim=1)


def encode_all(vae: AutoencoderTiny, drawings: list[Drawing]) -> dict[str, Any]:
    """The codes (C, channels, s, s) of all drawings in each layout, and the latents of white."""
    kinds = [(layout, None) for layout in LAYOUTS] + [("single", colour) for colour in COLOURS]
    codes = {}
    for layout, colour in kinds:
        cells = draw_cells(drawings, LAYOUTS[layout][0], colour)[:, None]
        codes[layout, colour] = torch.cat([encode_cells(vae, p)[:, 0] for p in cells.split(64)])
        print("encoded", layout, colour or "", flush=True)
    return {"codes": codes, "white": white(vae)}


class Teacher:
    """Draws pictures of captions, and denoises them exactly."""

    @torch.no_grad()
    def __init__(self, run: Path, text: Path, drawings: list[Drawing]) -> None:
        """The codes are made once for an autoencoder, and kept in the run folder."""
        weights = run / "vae" / "diffusion_pytorch_model.safetensors"
        names = "\n".join(drawing.file.name for drawing in drawings)
        file = run / f"codes-{fingerprint(weights, names)}.pt"
        if not file.exists():
            save(encode_all(AutoencoderTiny.from_pretrained(run / "vae"), drawings), file)
        kept = torch.load(file, weights_only=True)
        self.codes: dict[tuple[str, str | None], Tensor] = kept["codes"]
        self.empty: Tensor = kept["white"]
        self.described = describe(text, drawings)

    def prior(self, phrases: Tensor, caption: Caption) -> Tensor:
        """(n, C) log p(c) of each cell of a caption, from its phrases' vectors (n or 1, 384)."""
        logit = SHARPNESS[caption.layout] * logits(phrases, self.described)
        return logit.log_softmax(1).expand(len(LAYOUTS[caption.layout][1]), -1)

    def draw(
        self, priors: Tensor, caption: Caption, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Indices (B, n) of drawings from priors (B, n, C), and the codes of these cells."""
        codes = self.codes[caption.layout, caption.colour]
        flat = priors.exp().flatten(0, 1)
        chosen = torch.multinomial(flat, 1, generator=generator).view(priors.shape[:2])
        return chosen, codes[chosen]

    def denoise(
        self, cells: Tensor, priors: Tensor, alpha: Tensor, sigma: Tensor, caption: Caption
    ) -> Tensor:
        """E[x₀ | x_t] of noisy cells (B, n, channels, s, s); alpha, sigma: (B,)."""
        codes = self.codes[caption.layout, caption.colour]
        z, x = codes.flatten(1), cells.flatten(2)
        a, variance = alpha.view(-1, 1, 1), sigma.square().view(-1, 1, 1)
        likelihood = (a * (x @ z.T) - 0.5 * a.square() * z.square().sum(1)) / variance
        mean = (likelihood + priors).softmax(2) @ z
        return mean.view_as(cells)

    def whole(self, cells: Tensor, caption: Caption) -> Tensor:
        """Cells as one picture of latents (B, channels, 8, 8)."""
        return put_together(cells, caption.layout, self.empty)

    def cut(self, picture: Tensor, caption: Caption) -> Tensor:
        """A picture of latents (B, channels, 8, 8) as its cells (B, n, channels, s, s)."""
        side, corners = LAYOUTS[caption.layout]
        s = side // FACTOR
        places = [(row // FACTOR, column // FACTOR) for row, column in corners]
        return torch.stack([picture[..., i : i + s, j : j + s] for i, j in places], dim=1)

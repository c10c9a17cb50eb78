"""The teacher: what a perfect student of the drawings would predict, in closed form.

A caption's cells are drawn independently, cell i from p_i(c) over the C drawings. So the best
prediction of a noisy picture is known (Karras et al. 2022, Appendix B.3):

    E[x₀ | x_t, caption] = Σ_c p_i(c | x_t) z_c   in cell i,
    p_i(c | x_t) ∝ p_i(c) exp(−‖x_t − α z_c‖² / 2σ²)

    p(c | phrase) ∝ exp(s · (cos(phrase, c) − mean over c) / deviation over c)

Cosines are standardised over the drawings, so that it counts how far a drawing stands out
for this phrase, and not how large its cosines are. It answers for any picture, not only
for one that the caption has drawn. So a student can be taught what Algorithm 1 asks: how two texts
differ on the same noisy picture.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from boards import LAYOUTS, Drawing, cut, find_drawings, put_together
from codes import kept_codes
from encoding import encoded
from noise import noise_schedule
from torch import Tensor
from torch.nn.functional import normalize
from vocabulary import vocabulary

SHARPNESS = 1.25  # s
Kind = tuple[str, str | None]  # a caption's layout and its background


def vectors(text: Path, texts: list[str]) -> Tensor:
    """(n, 384): the mean of each text's states, at length 1."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = encoded(text, [texts[i] for i in order], padding="longest")
    sums = torch.cat([(states * mask[..., None]).sum(1) for states, mask in found])
    result = torch.empty_like(sums)
    result[order] = sums
    return normalize(result, dim=1)


def logits(phrases: Tensor, drawings: Tensor) -> Tensor:
    """(…, C) from vectors (…, 384) and (C, 384): cosines, standardised over the drawings."""
    cosine = phrases @ drawings.T
    return (cosine - cosine.mean(-1, keepdim=True)) / cosine.std(-1, correction=0, keepdim=True)


def describe(text: Path, drawings: list[Drawing]) -> Tensor:
    """(C, 384): the vector of each drawing's name, and of its name and keywords, together."""
    names = vectors(text, [d.name for d in drawings])
    whole = vectors(text, [", ".join((d.name, *d.keywords)) for d in drawings])
    return normalize(names + whole, dim=1)


class Teacher:
    """Draws pictures of captions, and denoises them exactly."""

    def __init__(self, data: Path, text: Path, run: Path) -> None:
        everything = find_drawings(data)
        codes, described = kept_codes(run, everything), describe(text, everything)
        kept = vocabulary(data, everything, described, codes[None])
        self.drawings = [everything[i] for i in kept]
        self.codes = {colour: found[kept] for colour, found in codes.items()}
        self.described = described[kept]
        self.alphas = noise_schedule().alphas_cumprod

    def prior(self, phrases: Tensor) -> Tensor:
        """log p(c) of each phrase (B, phrases, C), from the phrases' vectors (B, phrases, 384)."""
        return (SHARPNESS * logits(phrases, self.described)).log_softmax(-1)

    def anything(self, count: int) -> Tensor:
        """log p(c) of a text that says nothing (count, 1, C)."""
        number = len(self.described)
        return torch.full((count, 1, number), -math.log(number))

    def draw(self, prior: Tensor, kind: Kind, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Indices (B, 16) of the drawings in each cell, and the latents (B, 64, 4, 4)."""
        of_cells = prior[:, list(LAYOUTS[kind[0]])]
        flat = of_cells.exp().flatten(0, 1)
        chosen = torch.multinomial(flat, 1, generator=generator).view(of_cells.shape[:2])
        return chosen, put_together(self.codes[kind[1]][chosen][..., None, None])

    def denoise(self, x: Tensor, prior: Tensor, t: Tensor, kind: Kind) -> Tensor:
        """E[x₀ | x_t] of noisy latents (B, 64, 4, 4) at timesteps t (B,)."""
        of_cells = prior if prior.shape[1] == 1 else prior[:, list(LAYOUTS[kind[0]])]
        mean = self.mean(cut(x)[..., 0, 0], of_cells, t, self.codes[kind[1]])
        return put_together(mean[..., None, None])

    def mean(self, cells: Tensor, prior: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """E[z | cell] of noisy cells (B, n, 64), from log p(c) (B, 1 or n, C) and the codes z."""
        alpha = self.alphas[t].view(-1, 1, 1)  # ᾱ; σ² is 1 − ᾱ
        gap = alpha.sqrt() * (cells @ z.T) - alpha * z.square().sum(1) / 2
        return (gap / (1 - alpha) + prior).softmax(2) @ z

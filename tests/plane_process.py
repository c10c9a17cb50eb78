"""A process with known predictions whose latents have channels, rows and columns."""

from __future__ import annotations

import torch

from conjure.core.gaussian import GaussianProcess


class Planes(GaussianProcess):
    """Gaussians of 12 numbers as latents of 2 channels, 2 rows and 3 columns."""

    def __init__(self, **settings: object) -> None:
        draw = torch.Generator().manual_seed(0)
        named = {
            text: (3 * torch.randn(12, generator=draw, dtype=torch.float64), scale * torch.eye(12))
            for scale, text in enumerate(["", *"abc"], start=1)
        }
        super().__init__(named, **{"steps": 4, "batch_size": 5} | settings)
        self.latent_shape = (2, 2, 3)
        self.rows = 0

    def predict(self, x, step, conditioning):
        self.rows += len(x)
        return super().predict(x.flatten(1), step, conditioning).reshape(x.shape)

"""Processes for tests with workers of Ray, which import this module in processes of their own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from conjure.core.gaussian import GaussianProcess

POISON, FAILING = "x", "n"  # a text that ends the worker's process; a text without numbers
_MARK = 1234.5  # by which the network knows FAILING


class Slow(GaussianProcess):
    """Gaussians named by letters; a batch of one row takes some hundredths of a second."""

    def __init__(self, **settings: object) -> None:
        draw = torch.Generator().manual_seed(0)
        named = {
            text: (torch.randn(4, generator=draw, dtype=torch.float64), scale * torch.eye(4))
            for scale, text in enumerate("abcdefghij" + FAILING + POISON, start=1)
        }
        named[FAILING][0][0] = _MARK
        super().__init__(named, **{"steps": 3, "batch_size": 1} | settings)

    def embed(self, prompts):
        if POISON in prompts:
            os._exit(1)
        return super().embed(prompts)

    def predict(self, x, step, conditioning):
        time.sleep(0.02)
        predicted = super().predict(x, step, conditioning)
        predicted[conditioning.tensors["mean"][:, 0] == _MARK] = float("nan")
        return predicted


def slow(**settings: object) -> Slow:
    return Slow(**settings)


def differing(folder: Path) -> Slow:
    """Another process for whoever loads it second."""
    try:
        (folder / "loaded").mkdir()
    except FileExistsError:
        return Slow(sigma_max=70.0)
    return Slow()

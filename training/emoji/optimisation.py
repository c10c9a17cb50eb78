"""Shared by the training steps: a learning rate that follows the share done, and safe saving."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import torch


def learning_rate(peak: float, share: float, warm: float = 0.02) -> float:
    """Linear warm-up to ``peak``, then a cosine to zero; ``share`` of the training done, 0 … 1."""
    if share < warm:
        return peak * share / warm
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (share - warm) / (1 - warm))))


def save(state: dict, path: Path) -> None:
    """Write a new file, then rename it, so that a crash cannot damage the last checkpoint."""
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def fingerprint(*parts: Path | str) -> str:
    """Eight digits for the bytes of files and texts: in the name of what was made from them."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode()
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()[:8]

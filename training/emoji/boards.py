"""What the process draws: a board of drawings, four large ones or sixteen small ones.

A picture has 64 × 64 pixels and 4 × 4 latents, one for each square of 16 pixels. A *cell* is a
square of a picture that holds one drawing, and its latents are those of its drawing alone. So the
exact denoiser of a text treats each cell by itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scenes import COLOURS, clean_name
from torch import Tensor

SIZE, FACTOR = 64, 16  # pixels of a picture's side; pixels of a latent's side
LEFT_OUT = {None, 2, 9}  # emojibase's groups: regional letters, skin and hair, flags


@dataclass(frozen=True)
class Layout:
    """``rows`` × ``rows`` cells; ``phrases`` says for each cell which phrase it draws."""

    rows: int
    phrases: tuple[int, ...]

    @property
    def side(self) -> int:
        """Of a cell, in pixels."""
        return SIZE // self.rows


LAYOUTS = {
    "word": Layout(2, (0, 0, 0, 0)),
    "beside": Layout(2, (0, 1, 0, 1)),
    "above": Layout(2, (0, 0, 1, 1)),
    "board": Layout(4, (0,) * 16),
}


@dataclass(frozen=True)
class Drawing:
    """One emoji: its name, its other words, the emoji itself, and the file with its drawing."""

    name: str
    keywords: tuple[str, ...]
    emoji: str
    group: int
    file: Path


def find_drawings(data: Path) -> list[Drawing]:
    """Every emoji that Noto draws, without flags and skin tones."""
    folder = data / "google" / "img" / "google" / "64"
    found = []
    for entry in json.loads((data / "emojibase" / "en" / "data.json").read_text("utf-8")):
        if entry.get("group") in LEFT_OUT:
            continue
        code = entry["hexcode"].lower()
        files = [folder / f"{c}.png" for c in (code, f"{code}-fe0f", code.replace("-fe0f", ""))]
        file = next((file for file in files if file.exists()), None)
        if file is None:
            continue
        name = clean_name(entry["label"])
        words = [tag.replace("’", "'").lower() for tag in entry.get("tags", [])]
        words = [w for w in words if w != name and w.isascii() and len(w) > 2 and not w.isdigit()]
        found.append(Drawing(name, tuple(words), entry["emoji"], entry["group"], file))
    return found


def on_colour(drawing: Drawing, colour: str | None = None) -> Image.Image:
    """A drawing on one of the colours; None is white."""
    with Image.open(drawing.file) as picture:
        whole = picture.convert("RGBA")
    flat = Image.new("RGB", whole.size, COLOURS.get(colour or "", (255, 255, 255)))
    flat.paste(whole, (0, 0), whole)
    return flat


def draw_cells(drawings: list[Drawing], side: int, colour: str | None = None) -> Tensor:
    """(C, 3, side, side) float32 in −1 … 1: each drawing on white or on a colour."""
    whole = [on_colour(drawing, colour) for drawing in drawings]
    cells = [np.asarray(p.resize((side, side), Image.Resampling.LANCZOS)) for p in whole]
    return torch.from_numpy(np.stack(cells)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def put_together(cells: Tensor) -> Tensor:
    """Cells (B, n², channels, s, s), row by row, to pictures (B, channels, n s, n s)."""
    batch, count, channels, side, _ = cells.shape
    rows = round(count**0.5)
    whole = cells.view(batch, rows, rows, channels, side, side).permute(0, 3, 1, 4, 2, 5)
    return whole.reshape(batch, channels, rows * side, rows * side)


def cut(picture: Tensor, rows: int) -> Tensor:
    """Pictures (B, channels, S, S) to their cells (B, rows², channels, S / rows, S / rows)."""
    batch, channels, whole, _ = picture.shape
    side = whole // rows
    cells = picture.view(batch, channels, rows, side, rows, side).permute(0, 2, 4, 1, 3, 5)
    return cells.reshape(batch, rows * rows, channels, side, side)

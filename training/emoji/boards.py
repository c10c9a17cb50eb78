"""What the process draws: one drawing, two in their places, or a board of sixteen.

A picture has 64 × 64 pixels and 8 × 8 latents. A *cell* is a square of it that holds one drawing,
encoded alone. So the latents of a picture are those of its cells, side by side, and the exact
denoiser of a text treats each cell by itself.
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

SIZE, FACTOR = 64, 8  # pixels of a picture's side; pixels of a latent's side
LEFT_OUT = {None, 2, 9}  # emojibase's groups: regional letters, skin and hair, flags
# The corners (row, column) and the side of each cell, in pixels.
LAYOUTS: dict[str, tuple[int, tuple[tuple[int, int], ...]]] = {
    "single": (64, ((0, 0),)),
    "beside": (32, ((16, 0), (16, 32))),
    "above": (32, ((0, 16), (32, 16))),
    "board": (16, tuple((16 * i, 16 * j) for i in range(4) for j in range(4))),
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


def put_together(cells: Tensor, layout: str, empty: Tensor) -> Tensor:
    """Cells (B, n, channels, s, s), pixels or latents, to pictures (B, channels, S, S).

    empty: (channels,), what is where no cell is. s is the layout's side, or an eighth of it.
    """
    side, corners = LAYOUTS[layout]
    scale = side // cells.shape[-1]
    whole = SIZE // scale
    picture = empty.view(1, -1, 1, 1).repeat(len(cells), 1, whole, whole)
    for n, (row, column) in enumerate(corners):
        i, j, s = row // scale, column // scale, side // scale
        picture[:, :, i : i + s, j : j + s] = cells[:, n]
    return picture

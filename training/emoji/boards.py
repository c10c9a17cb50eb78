"""What the process draws: a sheet of sixteen small drawings.

A picture has 64 × 64 pixels: 4 × 4 *cells* of 16 pixels, each with a drawing of its own. It has
4 × 4 latents, one position for each cell, and a cell's latents are those of its drawing alone. So
the exact denoiser of a text treats each cell by itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIDE, CELL = 4, 16  # cells of a picture's side; pixels of a cell's side
LEFT_OUT = {None, 2, 9}  # emojibase's groups: regional letters, skin and hair, flags
COLOURS = {
    "red": (235, 87, 87),
    "orange": (242, 153, 74),
    "yellow": (247, 220, 111),
    "green": (111, 207, 151),
    "blue": (86, 164, 235),
    "purple": (187, 107, 217),
    "pink": (255, 182, 213),
    "grey": (189, 189, 189),
    "black": (40, 40, 40),
}


# Which of a caption's phrases each cell draws, row by row.
LAYOUTS = {
    "word": (0,) * 16,
    "beside": (0, 0, 1, 1) * 4,
    "above": (0,) * 8 + (1,) * 8,
    "sentence": (0,) * 16,
}


@dataclass(frozen=True)
class Drawing:
    """One emoji: its name, its other words, the emoji itself, and the file with its drawing."""

    name: str
    keywords: tuple[str, ...]
    emoji: str
    group: int
    file: Path


def clean_name(label: str) -> str:
    """Unicode's name in everyday words: "man: bald" → "bald man"."""
    label = label.replace("’", "'").lower()
    if ": " in label:
        noun, quality = label.split(": ", 1)
        label = f"{quality} {noun}"
    return label.removesuffix(" face") if label.count(" ") == 1 else label


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


def draw_cells(drawings: list[Drawing], colour: str | None = None) -> Tensor:
    """(C, 3, 16, 16) float32 in −1 … 1: each drawing on white or on a colour."""
    whole = [on_colour(drawing, colour) for drawing in drawings]
    cells = [np.asarray(p.resize((CELL, CELL), Image.Resampling.LANCZOS)) for p in whole]
    return torch.from_numpy(np.stack(cells)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def put_together(cells: Tensor) -> Tensor:
    """Cells (B, 16, channels, s, s), row by row, to pictures (B, channels, 4 s, 4 s)."""
    rows = cells.unflatten(1, (SIDE, SIDE)).permute(0, 3, 1, 4, 2, 5)
    return rows.flatten(4, 5).flatten(2, 3)


def cut(pictures: Tensor) -> Tensor:
    """What ``put_together`` undoes."""
    cells = pictures.unflatten(3, (SIDE, -1)).unflatten(2, (SIDE, -1))
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)

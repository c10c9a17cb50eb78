"""Emoji drawings and their words → scenes: a 64×64 picture and a caption that describes it.

Sources (see README.md): two npm packages of 64-pixel drawings, Noto and Twemoji, and
``emojibase-data`` with their English names and keywords.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 64
HALF = SIZE // 2
STYLES = {"google": 2, "twitter": 1}  # how often the autoencoder sees each
STYLE = "google"  # for the denoiser: in so small a model, two drawings for a word would blur
SKIPPED_GROUPS = {None, 2, 8, 9}  # no group, components, symbols, flags
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
# People and smileys come in dozens of near-copies; weights keep animals and food frequent.
GROUP_WEIGHTS = {0: 0.6, 1: 0.5, 3: 2.0, 4: 1.6, 5: 1.1, 6: 1.2, 7: 1.0}


@dataclass(frozen=True)
class Concept:
    """One emoji: its name, its other words, and its drawing in each style as RGBA (64, 64, 4)."""

    name: str
    keywords: tuple[str, ...]
    group: int
    drawings: dict[str, Image.Image]


@dataclass(frozen=True)
class Scene:
    """What to draw, and its caption; ``concepts`` are one or two indices."""

    concepts: tuple[int, ...]
    style: str
    layout: str  # "single", "beside", "above"
    colour: str | None
    caption: str


def clean_name(label: str) -> str:
    """Unicode's name in everyday words: "man: bald" → "bald man"."""
    label = label.replace("’", "'").lower()
    if ": " in label:
        noun, quality = label.split(": ", 1)
        label = f"{quality} {noun}"
    return label.removesuffix(" face") if label.count(" ") == 1 else label


def load_concepts(data: Path) -> list[Concept]:
    """The emoji that both styles draw, without flags, symbols and skin tones."""
    folders = {style: data / style / "img" / style / "64" for style in STYLES}
    concepts = []
    for entry in json.loads((data / "emojibase" / "en" / "data.json").read_text("utf-8")):
        if entry.get("group") in SKIPPED_GROUPS:
            continue
        code = entry["hexcode"].lower()
        spellings = (code, f"{code}-fe0f", code.replace("-fe0f", ""))
        drawings = {}
        for style, folder in folders.items():
            found = next(
                (folder / f"{s}.png" for s in spellings if (folder / f"{s}.png").exists()), None
            )
            if found:
                drawings[style] = Image.open(found).convert("RGBA")
        if drawings.keys() != STYLES.keys():
            continue
        name = clean_name(entry["label"])
        words = [w.replace("’", "'").lower() for w in entry.get("tags", [])]
        words = [w for w in words if w != name and w.isascii() and len(w) > 2 and not w.isdigit()]
        concepts.append(Concept(name, tuple(words), entry["group"], drawings))
    return concepts


def article(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _phrase(concept: Concept, rng: random.Random, keyword_share: float) -> str:
    use_keyword = concept.keywords and rng.random() < keyword_share
    return rng.choice(concept.keywords) if use_keyword else concept.name


SINGLE = ("{x}", "{x}", "{ax}", "{ax}", "a picture of {ax}", "a photo of {ax}", "there is {ax}")
ON_COLOUR = (
    "{x} on a {c} background",
    "{ax} in front of {c}",
    "{ax} on {c}",
    "a {c} picture of {ax}",
)
BESIDE = (
    "{ax} to the left of {ay}", "{ay} to the right of {ax}", "{ax} next to {ay}",
    "{ax} and {ay}", "{x} and {y}", "{ax} beside {ay}", "{ax} with {ay}",
)  # fmt: skip
ABOVE = (
    "{ax} above {ay}",
    "{ax} on top of {ay}",
    "{ay} below {ax}",
    "{ay} under {ax}",
    "{ax} over {ay}",
)


def draw_scene(
    concepts: list[Concept], rng: random.Random, kind: str, style: str | None = None
) -> Scene:
    """One scene at random. kind: "single" on white, "colour", or "pair"; style: None for any."""
    weights = [GROUP_WEIGHTS[c.group] for c in concepts]
    if kind == "pair":  # "a dog and a cat" more often than "an adhesive bandage and a bald man"
        weights = [w / len(c.name.split()) for w, c in zip(weights, concepts, strict=True)]
    count = 2 if kind == "pair" else 1
    chosen = rng.choices(range(len(concepts)), weights, k=count)
    style = style or rng.choices(list(STYLES), list(STYLES.values()))[0]
    colour = rng.choice(list(COLOURS)) if kind == "colour" else None
    if kind == "pair" and rng.random() < 0.15:
        colour = rng.choice(list(COLOURS))
    layout = "single" if kind != "pair" else rng.choice(("beside", "beside", "above"))
    share = 0.5 if kind == "single" else 0.2
    phrases = [_phrase(concepts[i], rng, share) for i in chosen]
    x, y = phrases[0], phrases[-1]
    templates = {"single": SINGLE, "beside": BESIDE, "above": ABOVE}[layout]
    if kind == "colour":
        templates = ON_COLOUR
    caption = rng.choice(templates).format(x=x, y=y, ax=article(x), ay=article(y), c=colour)
    if kind == "pair" and colour:
        caption += f" on a {colour} background"
    return Scene(tuple(chosen), style, layout, colour, caption)


def render(scene: Scene, concepts: list[Concept]) -> np.ndarray:
    """(64, 64, 3) uint8: drawings pasted on white or on the scene's colour."""
    canvas = Image.new("RGB", (SIZE, SIZE), COLOURS.get(scene.colour or "", (255, 255, 255)))
    drawings = [concepts[i].drawings[scene.style] for i in scene.concepts]
    if scene.layout == "single":
        canvas.paste(drawings[0], (0, 0), drawings[0])
    else:
        small = [d.resize((HALF, HALF), Image.Resampling.LANCZOS) for d in drawings]
        beside = scene.layout == "beside"
        for place, drawing in zip((0, HALF), small, strict=True):
            corner = (place, HALF // 2) if beside else (HALF // 2, place)
            canvas.paste(drawing, corner, drawing)
    return np.asarray(canvas)


def to_pixels(pictures: np.ndarray):  # noqa: ANN201 (a torch tensor; torch loads when needed)
    """(n, 64, 64, 3) uint8 → (n, 3, 64, 64) float32 in −1 … 1."""
    import torch

    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()

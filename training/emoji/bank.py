"""Draw the training scenes once: their latents and captions, in one file.

    python training/emoji/bank.py --data DATA --text TEXT --out RUN

There are composed scenes of named emoji, and scenes for texts of WordNet, which show the emoji
nearest in meaning. Writes RUN/bank.pt: ``latents`` (m, 8, 8, 8) float16, one for each distinct
picture; ``captions``, the distinct captions; ``scenes`` (n, 2), the latent and the caption of each
scene; ``composed``, the number of scenes of named emoji, which come first.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from corpus import draw_texts
from diffusers import AutoencoderTiny
from related import nearest_concepts, related_scene
from scenes import STYLE, Concept, Scene, draw_scene, load_concepts, render, to_pixels

KINDS = {"single": 0.55, "colour": 0.12, "pair": 0.33}
NAME_TIMES, KEYWORD_TIMES = 3, 2  # how often each also stands for what is near it


@torch.no_grad()
def encode(vae: AutoencoderTiny, pictures: np.ndarray, batch: int = 64) -> torch.Tensor:
    """(n, 64, 64, 3) uint8 → (n, 8, 8, 8) float16."""
    parts = np.array_split(pictures, max(1, len(pictures) // batch))
    with torch.autocast("cpu", torch.bfloat16):
        latents = [vae.encode(to_pixels(part)).latents for part in parts]
    return torch.cat(latents).half()


def all_scenes(
    concepts: list[Concept], rng: random.Random, args: argparse.Namespace
) -> Iterator[Scene]:
    for kind in rng.choices(list(KINDS), list(KINDS.values()), k=args.scenes):
        yield draw_scene(concepts, rng, kind, STYLE)
    names = sorted({concept.name for concept in concepts})
    keywords = sorted({word for concept in concepts for word in concept.keywords})
    texts = draw_texts(args.data, rng, args.texts) + NAME_TIMES * names + KEYWORD_TIMES * keywords
    nearest = nearest_concepts(args.text, texts, concepts)
    for text, near in zip(texts, nearest, strict=True):
        yield related_scene(text, near, rng)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--text", type=Path, required=True, help="folder with text_encoder/ tokenizer/"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=110_000)
    parser.add_argument("--texts", type=int, default=70_000, help="of WordNet")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    concepts = load_concepts(args.data)
    vae = AutoencoderTiny.from_pretrained(args.out / "vae").to(memory_format=torch.channels_last)
    pictures: dict[tuple, int] = {}
    captions: dict[str, int] = {}
    scenes, waiting, latents = [], [], []
    for scene in all_scenes(concepts, random.Random(args.seed), args):
        key = (scene.concepts, scene.layout, scene.colour)
        if key not in pictures:
            pictures[key] = len(pictures)
            waiting.append(render(scene, concepts))
        scenes.append((pictures[key], captions.setdefault(scene.caption, len(captions))))
        if len(waiting) == 4096:
            latents.append(encode(vae, np.stack(waiting)))
            waiting.clear()
            print(
                f"{len(pictures)} pictures, {len(captions)} captions, {len(scenes)} scenes",
                flush=True,
            )
    if waiting:
        latents.append(encode(vae, np.stack(waiting)))
    bank = {
        "latents": torch.cat(latents),
        "captions": list(captions),
        "scenes": torch.tensor(scenes),
        "composed": args.scenes,
    }
    torch.save(bank, args.out / "bank.pt")
    z = bank["latents"].float()
    print(f"{len(concepts)} concepts, {len(z)} pictures, {len(captions)} captions")
    print(
        "latent mean",
        z.mean((0, 2, 3)).numpy().round(2),
        "deviation",
        z.std((0, 2, 3)).numpy().round(2),
    )


if __name__ == "__main__":
    main()

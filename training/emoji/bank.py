"""Draw the training scenes once: their latents and captions, in one file.

    python training/emoji/bank.py --data DATA --out RUN

Writes RUN/bank.pt: ``latents`` (m, 8, 8, 8) float16, one for each distinct picture; ``captions``,
the distinct captions; ``scenes`` (n, 2), for each scene which latent and which caption; ``styles``
(n,), which of STYLES it is drawn in.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from scenes import STYLES, draw_scene, load_concepts, render, to_pixels

KINDS = {"single": 0.62, "colour": 0.14, "pair": 0.24}


@torch.no_grad()
def encode(vae: AutoencoderTiny, pictures: np.ndarray, batch: int = 64) -> torch.Tensor:
    """(n, 64, 64, 3) uint8 → (n, 8, 8, 8) float16."""
    parts = np.array_split(pictures, max(1, len(pictures) // batch))
    with torch.autocast("cpu", torch.bfloat16):
        latents = [vae.encode(to_pixels(part)).latents for part in parts]
    return torch.cat(latents).half()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=110_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    concepts = load_concepts(args.data)
    vae = AutoencoderTiny.from_pretrained(args.out / "vae").to(memory_format=torch.channels_last)
    rng = random.Random(args.seed)
    pictures: dict[tuple, int] = {}
    captions: dict[str, int] = {}
    scenes, styles, waiting, latents = [], [], [], []
    for kind in rng.choices(list(KINDS), list(KINDS.values()), k=args.scenes):
        scene = draw_scene(concepts, rng, kind)
        key = (scene.concepts, scene.style, scene.layout, scene.colour)
        if key not in pictures:
            pictures[key] = len(pictures)
            waiting.append(render(scene, concepts))
        styles.append(list(STYLES).index(scene.style))
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
    }
    bank["styles"] = torch.tensor(styles)
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

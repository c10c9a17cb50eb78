"""A hundred prompts, and what the process draws for them, to be named by a person.

    python training/emoji/hundred.py --data DATA --run RUN \\
        --process src/conjure/processes/emoji --out FOLDER

50 names of drawings that it was taught, 30 pairs of names or keywords in their places and 20
sentences, drawn by a fixed seed. Writes ``sheet.png``, numbered and without the prompts, and
``prompts.txt``. Look at the sheet first, write down what you see, then compare.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from boards import Drawing
from captions import pairs
from corpus import ACTIONS, Composer
from PIL import Image, ImageDraw, ImageFont
from samples import open_pipeline
from teaching import Teacher

SEED, COLUMNS, SHOWN, MARGIN = 2026, 10, 128, 22


def draw_prompts(data: Path, drawings: list[Drawing]) -> list[str]:
    rng = random.Random(SEED)
    names = rng.sample(sorted({drawing.name for drawing in drawings}), 50)
    places = [caption.text for caption in pairs(drawings, rng, 30)]
    composer = Composer(data, rng)
    return [*names, *places, *(composer.sentence((ACTIONS,)) for _ in range(20))]


def sheet(pictures: list[Image.Image]) -> Image.Image:
    rows = -(-len(pictures) // COLUMNS)
    whole = Image.new("RGB", (COLUMNS * (SHOWN + 8), rows * (SHOWN + MARGIN)), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(15)
    for n, picture in enumerate(pictures):
        x, y = n % COLUMNS * (SHOWN + 8), n // COLUMNS * (SHOWN + MARGIN)
        pen.text((x + 4, y + 2), str(n + 1), "black", font)
        whole.paste(picture.resize((SHOWN, SHOWN), Image.Resampling.NEAREST), (x + 4, y + 20))
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="run folder of the training")
    parser.add_argument("--process", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=1.0)
    args = parser.parse_args()
    prompts = draw_prompts(args.data, Teacher(args.data, args.process, args.run).drawings)
    pipe = open_pipeline(args.process)
    how = {"num_inference_steps": args.steps, "guidance_scale": args.guidance}
    how |= {"height": 64, "width": 64}
    drawn = [
        pipe(prompt, generator=torch.Generator().manual_seed(0), **how).images[0]
        for prompt in prompts
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    sheet(drawn).save(args.out / "sheet.png")
    (args.out / "prompts.txt").write_text("".join(f"{p}\n" for p in prompts), "utf-8")


if __name__ == "__main__":
    main()

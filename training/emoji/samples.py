"""Draw a sheet of samples: what a process conjures for a few prompts, one row a prompt.

python training/emoji/samples.py --process src/conjure/processes/emoji --to sheet.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image, ImageDraw, ImageFont

PROMPTS = (
    "tiger", "whale", "pizza", "guitar", "a dog to the left of a cat",
    "snow leopard", "bengal tiger", "a house", "an apple on a blue background",
    "a car above a tree", "a man is riding a bicycle", "someone is eating food",
    "the king", "sadness",
)  # fmt: skip
CELL, LABEL = 128, 230


def draw(
    pipe: StableDiffusionPipeline, prompts: tuple[str, ...], columns: int, **how
) -> Image.Image:
    """A sheet of ``len(prompts)`` rows; column i starts from the noise of seed i in every row."""
    font = ImageFont.load_default(15)
    sheet = Image.new("RGB", (LABEL + columns * CELL, len(prompts) * CELL), "white")
    pen = ImageDraw.Draw(sheet)
    for row, prompt in enumerate(prompts):
        generators = [torch.Generator().manual_seed(i) for i in range(columns)]
        pictures = pipe(
            prompt, num_images_per_prompt=columns, generator=generators, height=64, width=64, **how
        ).images
        pen.multiline_text((8, row * CELL + CELL // 3), wrap(prompt), "black", font)
        for column, picture in enumerate(pictures):
            large = picture.resize((CELL - 8, CELL - 8), Image.Resampling.NEAREST)
            sheet.paste(large, (LABEL + column * CELL + 4, row * CELL + 4))
    return sheet


def open_pipeline(folder: Path) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def wrap(text: str, width: int = 24) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--process", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--prompts", nargs="*", default=PROMPTS)
    args = parser.parse_args()
    how = {"num_inference_steps": args.steps, "guidance_scale": args.guidance}
    draw(open_pipeline(args.process), tuple(args.prompts), args.columns, **how).save(args.to)


if __name__ == "__main__":
    main()

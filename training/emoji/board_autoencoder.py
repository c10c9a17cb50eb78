"""Train the autoencoder of sheets: 64×64 pictures ↔ 4×4 latents of 64 channels.

    python training/emoji/board_autoencoder.py --data DATA --out RUN

A diffusers ``AutoencoderKLHunyuanImage``, in small. Its layers turn channels into pixels, so that a
cell's latents can say what each of its 16 × 16 pixels is. The latents are given: principal
components of the drawings (codes.py). The encoder learns them, and how large its error is. The
decoder learns to draw sheets from them; its loss is L1 plus L1 of the picture's gradients. It sees
codes with noise of random size, and so learns to draw clearly what the denoiser has left vague.
Resumes from RUN/autoencoder.pt. ``--pictures`` may grow between runs; the learning rate follows the
share done.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import torch
from autoencoder import gradients
from boards import CELL, SIDE, Drawing, draw_cells, find_drawings, put_together
from codes import CHANNELS, kept_codes
from diffusers import AutoencoderKLHunyuanImage
from optimisation import DEVICE, learning_rate, save
from scenes import COLOURS
from torch import Tensor, nn
from torch.nn import functional as F

COLOURED = 0.25  # share of the pictures
NOISE = 0.4  # largest deviation of the noise on the codes


def build() -> AutoencoderKLHunyuanImage:
    model = AutoencoderKLHunyuanImage(
        in_channels=3,
        out_channels=3,
        latent_channels=CHANNELS,
        block_out_channels=(32, 32, 64, 128, 128),
        layers_per_block=0,  # of the encoder; the decoder has one more
        spatial_compression_ratio=CELL,
        sample_size=CELL * SIDE,
        scaling_factor=1.0,
    )
    with torch.no_grad():  # cells are drawn by themselves
        for layer in (model.decoder.conv_in, *model.decoder.mid_block.modules()):
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                middle = 3 * layer.weight[..., 1, 1]
                nn.init.zeros_(layer.weight)
                layer.weight[..., 1, 1] = middle
    return model


class Pictures:
    """Endless sheets of drawings at random, with their codes."""

    def __init__(self, drawings: list[Drawing], run: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.codes = kept_codes(run, drawings)
        self.cells = {colour: draw_cells(drawings, colour) for colour in self.codes}

    def draw(self, size: int) -> tuple[Tensor, Tensor]:
        """Pictures (size, 3, 64, 64) in −1 … 1, and their codes (size, 32, 4, 4)."""
        colour = self.rng.choice(list(COLOURS)) if self.rng.random() < COLOURED else None
        cells, codes = self.cells[colour], self.codes[colour]
        chosen = torch.randint(len(cells), (size, SIDE**2), generator=self.generator)
        return put_together(cells[chosen]), put_together(codes[chosen][..., None, None])


def losses(model: AutoencoderKLHunyuanImage, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Of the encoder (a Gaussian's log-likelihood) and of the decoder."""
    deviation = NOISE * torch.rand(len(codes), 1, 1, 1, device=codes.device)
    y = model.decode(codes + deviation * torch.randn_like(codes)).sample
    edges = sum(F.l1_loss(a, b) for a, b in zip(gradients(y), gradients(x), strict=True))
    found = model.encode(x).latent_dist
    return F.gaussian_nll_loss(found.mean, codes, found.var), F.l1_loss(y, x) + edges


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    drawings = find_drawings(args.data)
    model = build().to(DEVICE, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-4)
    steps = args.pictures // args.batch
    checkpoint, start = args.out / "autoencoder.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=DEVICE)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]
    pictures = Pictures(drawings, args.out, args.seed + start)
    clock = time.time()
    for step in range(start, steps):
        encoder, decoder = losses(model, *(part.to(DEVICE) for part in pictures.draw(args.batch)))
        optimizer.zero_grad(set_to_none=True)
        (encoder + decoder).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(args.lr, (step + 1) / steps)
        optimizer.step()
        if step % 500 == 0 or step == steps - 1:
            rate = (step - start + 1) * args.batch / (time.time() - clock)
            print(
                f"step {step}/{steps} encoder {encoder.item():.4f} decoder {decoder.item():.4f} "
                f"{rate:.0f} pictures/s",
                flush=True,
            )
        if step % 1000 == 999 or step == steps - 1:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            save(state | {"step": step + 1}, checkpoint)
    model.to(memory_format=torch.contiguous_format).save_pretrained(args.out / args.name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with google/ emojibase/ wordnet/"
    )
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--pictures", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--name", default="vae")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    train(args)


if __name__ == "__main__":
    main()

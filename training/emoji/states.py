"""What the denoiser reads of each caption: the text encoder's token states, kept in chunks.

    python training/emoji/states.py --data DATA --text TEXT --out RUN

Writes RUN/captions.json and RUN/states-…/NNN.pt, of ``CHUNK`` captions each: ``states``
(n, 32, 384) float16, padding included, as ``StableDiffusionPipeline`` passes them; ``vectors``
(n, 384), the mean state of each, at length 1. Chunks that are there are kept. ``--part I/N`` makes
every N-th chunk, so that several programs can share the work once captions.json is there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
from pathlib import Path

import torch
from boards import find_drawings
from captions import Caption, all_captions
from encoding import encoded
from optimisation import fingerprint, save
from torch import Tensor
from torch.nn.functional import normalize

CHUNK = 4096


def encode(text: Path, texts: list[str]) -> tuple[Tensor, Tensor]:
    """The states (n, 32, 384) float16 and the vectors (n, 384) of some texts."""
    states, vectors = [], []
    for found, mask in encoded(text, texts, padding="max_length"):
        states.append(found.half())
        vectors.append(normalize((found * mask[..., None]).sum(1), dim=1))
    return torch.cat(states), torch.cat(vectors)


def encoder_file(text: Path) -> Path:
    return text / "text_encoder" / "model.safetensors"


def states_folder(run: Path, text: Path) -> Path:
    """Of these captions and this text encoder, and of no others."""
    return run / f"states-{fingerprint(encoder_file(text), run / 'captions.json')}"


def read_captions(run: Path) -> list[Caption]:
    return [
        Caption(**entry | {"phrases": tuple(entry["phrases"])})
        for entry in json.loads((run / "captions.json").read_text("utf-8"))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", default="1/1")
    args = parser.parse_args()
    captions = all_captions(args.data, find_drawings(args.data))
    random.Random(0).shuffle(captions)
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "captions.json"
    if not file.exists():
        file.write_text(json.dumps([dataclasses.asdict(c) for c in captions]), "utf-8")
    if read_captions(args.out) != captions:
        raise SystemExit(f"{file} holds other captions")
    folder = states_folder(args.out, args.text)
    folder.mkdir(exist_ok=True)
    part, parts = map(int, args.part.split("/"))
    for n in range(part - 1, -(-len(captions) // CHUNK), parts):
        target = folder / f"{n:03}.pt"
        if not target.exists():
            texts = [c.text for c in captions[n * CHUNK : (n + 1) * CHUNK]]
            states, vectors = encode(args.text, texts)
            save({"states": states, "vectors": vectors}, target)
            print(target, flush=True)


if __name__ == "__main__":
    main()

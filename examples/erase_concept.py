"""Erase one concept of the bundled process by a closed-form edit of its cross-attention.

The edit is that of UCE (Gandikota et al., WACV 2024, Equation 7). Each matrix W of keys and values
becomes the least-squares solution that sends the text states c of the target to what W made of a
neutral text, and leaves those of other words where they were:

    W' = (Σ_target W c* cᵀ + Σ_kept W c cᵀ + λ W) (Σ_target c cᵀ + Σ_kept c cᵀ + λ I)⁻¹

python examples/erase_concept.py erased
conjure compare emoji erased --target dog,puppy --bystander cat,wolf,horse,car,pizza,sun
"""

import json
import sys
from pathlib import Path

import torch

import conjure

TARGET, NEUTRAL = ("dog", "puppy"), "thing"
KEPT = ("cat", "horse", "bird", "fish", "tree", "flower", "car", "boat", "house", "sun", "pizza")
KEPT += ("apple", "ball", "guitar", "book", "king", "woman", "man", "happy", "angry", "")
TEMPLATES = ("{}", "a {}", "the {}", "a picture of a {}")
RIDGE = 0.1


def states(process, words):
    """The text encoder's states at all positions of the words' texts: (texts, positions, d)."""
    texts = [template.format(word).strip() for word in words for template in TEMPLATES]
    return process.embed(texts).tensors["encoder_hidden_states"].double()


def edited(weight, sources, wanted, kept):
    """W' for one matrix W (out, d); sources, wanted and kept are (n, d)."""
    w, ridge = weight.double(), RIDGE * torch.eye(weight.shape[1], dtype=torch.float64)
    left = w @ (wanted.T @ sources + kept.T @ kept + ridge)
    return (left @ torch.linalg.inv(sources.T @ sources + kept.T @ kept + ridge)).to(weight)


def erase(folder):
    """Save a copy of the bundled process without the target."""
    process = conjure.load()
    sources = states(process, TARGET).flatten(0, 1)
    wanted = states(process, [NEUTRAL] * len(TARGET)).flatten(0, 1)
    kept = states(process, KEPT).flatten(0, 1)
    with torch.no_grad():
        for name, layer in process.pipeline.unet.named_modules():
            if name.endswith(("attn2.to_k", "attn2.to_v")):
                layer.weight.copy_(edited(layer.weight, sources, wanted, kept))
    process.pipeline.save_pretrained(folder)
    settings = {"name": "erased", "sampler": process.sampler, "guidance": process.guidance}
    settings["steps"] = len(process.schedule)
    Path(folder, "conjure.json").write_text(json.dumps(settings) + "\n")


if __name__ == "__main__":
    erase(sys.argv[1])

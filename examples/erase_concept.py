"""Erase one concept of the bundled process by a closed-form edit of what reads its text.

The edit is that of UCE (Gandikota et al., WACV 2024, Equation 7). Each matrix W that is applied to
the text states becomes the least-squares solution that sends the states c of the target to what W
made of a neutral text, and leaves those of other words where they were:

    W' = (Σ_target W c* cᵀ + Σ_kept W c cᵀ + λ W) (Σ_target c cᵀ + Σ_kept c cᵀ + λ I)⁻¹

In Stable Diffusion these matrices are the keys and values of cross-attention. Here they are the
projection before it, and those of the pooled text, which goes with the time into every layer.

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
    unet = process.pipeline.unet
    texts = [states(process, words) for words in (TARGET, [NEUTRAL] * len(TARGET), KEPT)]
    pooled = [unet.add_embedding.norm1.double()(found) for found in texts]
    pool = unet.add_embedding.float().pool
    with torch.no_grad():
        for layer, read in (
            (unet.encoder_hid_proj, texts),
            (pool.q_proj, pooled),
            (pool.k_proj, pooled),
            (pool.v_proj, pooled),
        ):
            sources, wanted, kept = (found.flatten(0, 1) for found in read)
            layer.weight.copy_(edited(layer.weight, sources, wanted, kept))
    process.pipeline.save_pretrained(folder)
    settings = {"name": "erased", "sampler": process.sampler, "guidance": process.guidance}
    settings["steps"] = len(process.schedule)
    Path(folder, "conjure.json").write_text(json.dumps(settings) + "\n")


if __name__ == "__main__":
    erase(sys.argv[1])

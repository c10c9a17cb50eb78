"""The drawings for a text: the concepts whose words are nearest to it in meaning.

Emoji come with names and keywords only. So that the process also answers to sentences, texts of
WordNet are paired with the emoji that the text encoder finds nearest. Rank r is drawn with a
probability in proportion to DECAY^r, the same for every text. Otherwise vague texts would conjure
the average of everything, and so be all alike.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from encoding import encoded
from scenes import STYLE, Concept, Scene
from torch import Tensor
from torch.nn.functional import normalize

NEAREST, DECAY = 16, 0.85
WEIGHTS = [DECAY**rank for rank in range(NEAREST)]


def embed(folder: Path, texts: list[str]) -> Tensor:
    """(n, 384) float32 of unit length: the mean of each text's token states."""
    sums = [
        (states.float() * mask[..., None]).sum(1)
        for states, mask in encoded(folder, texts, padding="longest")
    ]
    return normalize(torch.cat(sums), dim=1)


def nearest_concepts(folder: Path, texts: list[str], concepts: list[Concept]) -> list[list[int]]:
    """For each text the indices of the NEAREST concepts, nearest first."""
    named = embed(folder, [concept.name for concept in concepts])
    described = embed(folder, [", ".join((c.name, *c.keywords)) for c in concepts])
    similarity = embed(folder, texts) @ normalize(named + described, dim=1).T
    return similarity.topk(NEAREST, dim=1).indices.tolist()


def related_scene(text: str, nearest: list[int], rng: random.Random) -> Scene:
    """One or two of the nearest concepts on white."""
    first, second = rng.choices(nearest, WEIGHTS, k=2)
    layout = rng.choice(("single", "single", "beside", "above"))
    if layout == "single" or first == second:
        return Scene((first,), STYLE, "single", None, text)
    return Scene((first, second), STYLE, layout, None, text)

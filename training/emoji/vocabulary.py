"""Which drawings the process draws: 524 of Noto's 1,636.

On STS-B dev and SICK-R trial a perfect student of so many drawings agrees with people about as
well as one of all (README.md), and a small network can know them. These are drawings whose name is
a word of WordNet, without symbols; men and women who do something; and some things of every day,
which have no such name or are too much like others. Of two drawings that read and look most alike,
the one that WordNet's texts name less often goes, if it is not common, until enough are left.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import torch
from boards import Drawing
from corpus import find, synsets
from torch import Tensor
from torch.nn.functional import normalize

NAMED, SYMBOLS, PEOPLE = 450, 8, 1  # drawings with a name of WordNet; groups of emojibase
COMMON = 15  # times that a name is in WordNet's texts
LOOKS = 0.3  # how much looking alike counts, where reading alike counts 1
EVERYDAY = {
    "grinning", "red heart", "leopard", "dolphin", "panda", "octopus", "deciduous tree",
    "sunflower", "bouquet", "red apple", "green apple", "banana", "strawberry", "carrot",
    "hot beverage", "wine glass", "beer mug", "fork and knife", "mobile phone", "laptop", "books",
    "light bulb", "man's shoe", "t-shirt", "soccer ball", "teddy bear", "wrapped gift", "money bag",
    "health worker", "firefighter", "astronaut", "office worker",
}  # fmt: skip
PERSONS = {"man", "woman", "men", "women", "people"}
STILL = {
    "facing", "kneeling", "standing", "gesturing", "frowning", "pouting", "facepalming", "turban",
    "shrugging", "tipping", "bowing", "wheelchair", "mountain", "cartwheeling", "handball",
}  # fmt: skip  # poses, gestures, and what is there already


def wordnet(data: Path) -> tuple[set[str], Counter[str]]:
    """Its words, and how often its definitions and examples have a run of one to three words."""
    lemmas, counts = set(), Counter()
    for synset in synsets(find(data, "data.noun").parent):
        lemmas.update(name.lower() for name in synset.lemmas)
        for text in (synset.definition, *synset.examples):
            words = re.findall(r"[a-z0-9'-]+", text.lower())
            for length in (1, 2, 3):
                counts.update(map(" ".join, zip(*(words[i:] for i in range(length)), strict=False)))
    return lemmas, counts


def does_something(drawing: Drawing) -> bool:
    words = drawing.name.split()
    doing = any(word.endswith("ing") for word in words)
    return drawing.group == PEOPLE and words[0] in PERSONS and doing and not STILL & set(words)


def thinned(alike: Tensor, counts: list[int], number: int) -> list[int]:
    """Places of ``number`` things: again and again, of the two most alike the rarer goes.

    Common ones stay. ValueError if too many are common.
    """
    common = torch.tensor(counts) >= COMMON
    alike = alike.masked_fill(common[:, None] & common, -torch.inf).fill_diagonal_(-torch.inf)
    left = set(range(len(counts)))
    while len(left) > number:
        if alike.max() == -torch.inf:
            raise ValueError(f"cannot leave {number} of {len(counts)}: the others are common")
        first, second = divmod(int(alike.argmax()), len(counts))
        goes = first if counts[first] < counts[second] else second
        alike[goes] = alike[:, goes] = -torch.inf
        left.remove(goes)
    return sorted(left)


def vocabulary(data: Path, drawings: list[Drawing], described: Tensor, codes: Tensor) -> list[int]:
    """Places of the chosen among all drawings.

    described (C, 384), at length 1: what each reads like; codes (C, 64): what it looks like.
    ValueError if a thing of every day is not among them.
    """
    if missing := EVERYDAY - {drawing.name for drawing in drawings}:
        raise ValueError(f"no drawing of {', '.join(sorted(missing))}")
    lemmas, counts = wordnet(data)
    named = {d.name: i for i, d in enumerate(drawings) if d.group != SYMBOLS and d.name in lemmas}
    sure = {i for i, d in enumerate(drawings) if does_something(d) or d.name in EVERYDAY}
    places = sorted(set(named.values()) - sure)
    looks = normalize(codes[places], dim=1)
    alike = described[places] @ described[places].T + LOOKS * looks @ looks.T
    kept = thinned(alike, [counts[drawings[i].name] for i in places], NAMED)
    return sorted([*(places[i] for i in kept), *sure])

"""Many sentences, and how they change when a few words do.

A sentence of the corpus and the same sentence after some changes: a word lost, added or replaced,
or its two parts swapped. Many of the new words are colours: a text that names a colour is not
one that asks for a background. The vectors of ``SENTENCES`` pairs are made once and kept in the run
folder.
"""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import torch
from captions import is_word
from corpus import COLOURS, read_corpus
from optimisation import fingerprint, save
from states import encoder_file
from teaching import vectors
from torch import Tensor

SENTENCES = 120_000
CHANGES = (1, 1, 1, 2, 2, 3)  # in a sentence
COLOURFUL = 0.3  # of new words are colours


def changed(text: str, words: list[str], rng: random.Random) -> str:
    """The text after some changes; new words are colours or among ``words``."""
    found = text.split()
    for _ in range(rng.choice(CHANGES)):
        place, change = rng.randrange(len(found)), rng.random()
        new = rng.choice(COLOURS.split(",") if rng.random() < COLOURFUL else words)
        if change < 0.3 and len(found) > 2:
            del found[place]
        elif change < 0.6:
            found[place] = new
        elif change < 0.8:
            found.insert(place, new)
        else:
            found = found[place:] + found[:place]
    return " ".join(found)


def pairs_of_texts(data: Path, rng: random.Random, count: int) -> list[tuple[str, str]]:
    """Sentences of the corpus (corpus.py), each with a changed one. None asks for a background."""
    texts = (t for t in read_corpus(data) if not is_word(t) and not t.endswith("background"))
    sentences = list(islice(texts, count))
    words = [word for text in sentences[::20] for word in text.split()]
    return [(text, changed(text, words, rng)) for text in sentences]


def kept_pairs(data: Path, text: Path, run: Path, count: int = SENTENCES) -> tuple[Tensor, Tensor]:
    """The vectors (count, 384) float16 of sentences, and of the changed ones."""
    pairs = pairs_of_texts(data, random.Random(0), count)
    file = run / f"texts-{fingerprint(encoder_file(text), *(t for pair in pairs for t in pair))}.pt"
    if not file.exists():
        found = [vectors(text, list(side)).half() for side in zip(*pairs, strict=True)]
        save({"sentences": found[0], "changed": found[1]}, file)
    kept = torch.load(file, weights_only=True, mmap=True)
    return kept["sentences"], kept["changed"]

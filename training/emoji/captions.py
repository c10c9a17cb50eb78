"""What is asked for, and what is then drawn: captions with their layouts and phrases.

A caption's *phrases* say what its cells show (boards.py): one phrase for all, or one for each half.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from boards import COLOURS, Drawing
from corpus import article, draw_sentences, find, lemma_counts

SINGLE = (
    "{x}", "{x}", "{ax}", "{ax}", "the {x}", "a picture of {ax}", "a photo of {ax}",
    "a drawing of {ax}", "there is {ax}",
)  # fmt: skip
COLOURED = (
    "{x} on a {c} background",
    "{ax} on a {c} background",
    "{ax} in front of {c}",
    "{ax} on {c}",
)
BESIDE = (
    "{ax} to the left of {ay}", "{ay} to the right of {ax}", "{ax} next to {ay}",
    "{ax} and {ay}", "{x} and {y}", "{ax} beside {ay}", "{ax} with {ay}",
)  # fmt: skip
ABOVE = (
    "{ax} above {ay}",
    "{ax} on top of {ay}",
    "{ay} below {ax}",
    "{ay} under {ax}",
    "{ax} over {ay}",
)
# People and smileys come in dozens of near-copies; weights keep animals and food frequent.
GROUP_WEIGHTS = {0: 0.6, 1: 0.5, 3: 2.0, 4: 1.6, 5: 1.1, 6: 1.2, 7: 1.0, 8: 0.4}
WORDS = 2  # in a text that is still a word, not a sentence


@dataclass(frozen=True)
class Caption:
    text: str
    layout: str  # of boards.LAYOUTS
    phrases: tuple[str, ...]  # what the cells show
    colour: str | None = None  # of the background


def singles(drawings: list[Drawing], rng: random.Random) -> Iterator[Caption]:
    """Each name in three forms, each keyword in two."""
    names = sorted({drawing.name for drawing in drawings})
    keywords = sorted({word for drawing in drawings for word in drawing.keywords} - set(names))
    for phrases, times in ((names, 3), (keywords, 2)):
        for x in phrases:
            for template in dict.fromkeys(("{x}", *rng.sample(SINGLE, times - 1))):
                yield Caption(template.format(x=x, ax=with_article(x)), "word", (x,))


def coloured(drawings: list[Drawing], rng: random.Random, count: int) -> Iterator[Caption]:
    for x in chosen(drawings, rng, count):
        colour = rng.choice(list(COLOURS))
        text = rng.choice(COLOURED).format(x=x, ax=with_article(x), c=colour)
        yield Caption(text, "word", (x,), colour)


def with_article(name: str) -> str:
    return f"{article(name)} {name}"


def pairs(drawings: list[Drawing], rng: random.Random, count: int) -> Iterator[Caption]:
    for x, y in zip(chosen(drawings, rng, count), chosen(drawings, rng, count), strict=True):
        layout = rng.choice(("beside", "beside", "above"))
        template = rng.choice(BESIDE if layout == "beside" else ABOVE)
        text = template.format(x=x, y=y, ax=with_article(x), ay=with_article(y))
        yield Caption(text, layout, (x, y))


def chosen(drawings: list[Drawing], rng: random.Random, count: int) -> list[str]:
    """Names and keywords at random, short names and things more often."""
    weights = [GROUP_WEIGHTS.get(d.group, 0.5) / len(d.name.split()) for d in drawings]
    found = rng.choices(drawings, weights, k=count)
    return [rng.choice(d.keywords) if d.keywords and rng.random() < 0.2 else d.name for d in found]


def is_word(text: str) -> bool:
    """Whether a text is a word or two, an article aside, and not a sentence."""
    words = text.split()
    return len(words) - (words[:1] in (["a"], ["an"], ["the"])) <= WORDS


def texts(data: Path, rng: random.Random, sentences: int, words: int) -> Iterator[Caption]:
    """WordNet's frequent words, its examples and definitions, and composed actions."""
    counts = lemma_counts(find(data, "data.noun").parent)
    common = [lemma for (lemma, part), _ in counts.most_common() if part in ("noun", "verb", "adj")]
    spoken = [word for word in list(dict.fromkeys(common))[:words] if is_word(word)]
    for text in (*spoken, *draw_sentences(data, rng, sentences)):
        yield Caption(text, "word" if is_word(text) else "sentence", (text,))


def all_captions(data: Path, drawings: list[Drawing], seed: int = 0) -> list[Caption]:
    rng = random.Random(seed)
    return [
        *singles(drawings, rng),
        *coloured(drawings, rng, 4_000),
        *pairs(drawings, rng, 14_000),
        *texts(data, rng, 45_000, 8_000),
    ]

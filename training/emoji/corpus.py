"""The texts that the encoder is trained on: WordNet 3.0, emoji names, and sentences made of both.

Sources, both under one folder (searched recursively): WordNet's database files (Debian package
`wordnet-base`, WordNet licence) and `emojibase-data` (MIT). No benchmark text is read here.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

PARTS = ("noun", "verb", "adj", "adv")
# WordNet's lexicographer files whose nouns can stand in a picture: animal, artifact, body, food,
# object, person, plant.
VISIBLE = {"05", "06", "08", "13", "17", "18", "20"}
RELATIONS = (
    "{a} {x} to the left of {b} {y}",
    "{a} {x} to the right of {b} {y}",
    "{a} {x} above {b} {y}",
    "{a} {x} below {b} {y}",
    "{a} {x} next to {b} {y}",
    "{a} {x} and {b} {y}",
    "{a} {x} on {b} {y}",
    "{a} {x} in front of {b} {y}",
    "{a} {x} without {b} {y}",
    "{x} and {y}",
    "there is {a} {x} near the {y}",
)
SINGLES = (
    "{a} {x}",
    "{a} {j} {x}",
    "the {x}",
    "the {j} {x}",
    "a photo of {a} {x}",
    "a picture of {a} {j} {x}",
    "a drawing of {a} {x}",
    "{a} {x} on {c} background",
    "{a} {c} {x}",
    "this is not {a} {x}",
)
ACTIONS = (
    "{a} {s} is {v} {b} {y}",
    "{a} {j} {s} is {v} {b} {y}",
    "the {s} is {v} the {y}.",
    "{a} {s} and {b} {y} are {v}",
    "{a} {s} is {v} in the {y}",
    "{a} {s} is not {v} {b} {y}",
    "{a} {s} {v} {b} {j} {y}",
    "some people are {v} near {b} {y}",
)
KINDS = (SINGLES, RELATIONS, ACTIONS, ACTIONS)
COLOURS = "red,orange,yellow,green,blue,purple,pink,brown,black,white,grey"
SUBJECTS = "man,woman,boy,girl,person,child,dog,cat,baby,horse,bird,kid,player,lady,guy,monkey"


@dataclass(frozen=True)
class Synset:
    part: str
    lexicographer_file: str
    lemmas: tuple[str, ...]
    definition: str
    examples: tuple[str, ...]


def find(folder: Path, pattern: str) -> Path:
    """The first file below `folder` that matches. The error names the missing file."""
    path = next(iter(sorted(folder.rglob(pattern))), None)
    if path is None:
        raise FileNotFoundError(f"no {pattern} below {folder}")
    return path


def synsets(folder: Path) -> Iterator[Synset]:
    """WordNet's synsets; `folder` holds data.noun, data.verb, data.adj and data.adv."""
    for part in PARTS:
        for line in (folder / f"data.{part}").read_text("latin-1").splitlines():
            if line.startswith("  "):  # the licence, at the head of each file
                continue
            fields, gloss = line.split(" | ", 1)
            words = fields.split()
            lemmas = words[4 : 4 + 2 * int(words[3], 16) : 2]
            names = tuple(re.sub(r"\(\w+\)$", "", lemma).replace("_", " ") for lemma in lemmas)
            definition = gloss.split('"')[0].strip(" ;:-")
            yield Synset(part, words[1], names, definition, tuple(re.findall(r'"([^"]+)"', gloss)))


def lemma_counts(folder: Path) -> Counter[tuple[str, str]]:
    """The count of (lemma, part of speech) in WordNet's sense-tagged texts."""
    parts = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}
    counts: Counter[tuple[str, str]] = Counter()
    for line in (folder / "cntlist.rev").read_text("latin-1").splitlines():
        key, _, count = line.split()
        lemma, sense = key.split("%")
        counts[lemma.replace("_", " "), parts[sense[0]]] += int(count)
    return counts


def emoji_texts(folder: Path) -> tuple[list[str], list[str]]:
    """Names of emoji, and their keywords (single ones and lists of two to four)."""
    records = json.loads(find(folder, "emojibase/en/data.json").read_text("utf-8"))
    names = [record["label"] for record in records]
    keywords = sorted({tag for record in records for tag in record.get("tags", ())})
    lists = [", ".join(record["tags"][:4]) for record in records if len(record.get("tags", ())) > 1]
    return names, keywords + lists


def gerund(verb: str, irregular: dict[str, str]) -> str:
    """The -ing form: WordNet's exception list first, then the spelling rules."""
    if verb in irregular:
        return irregular[verb]
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if len(verb) > 2 and verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return verb + "ing"


def irregular_gerunds(folder: Path) -> dict[str, str]:
    pairs = (line.split()[:2] for line in (folder / "verb.exc").read_text("latin-1").splitlines())
    return {base: form for form, base in pairs if form.endswith("ing")}


def article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


class Composer:
    """Draws template sentences; words are drawn in proportion to their count to the power 3/4."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        database = find(folder, "data.noun").parent
        counts, self.rng = lemma_counts(database), rng
        irregular = irregular_gerunds(database)
        names, _ = emoji_texts(folder)
        visible = Counter(
            {
                lemma: counts[lemma, "noun"]
                for synset in synsets(database)
                if synset.part == "noun" and synset.lexicographer_file in VISIBLE
                for lemma in synset.lemmas[:2]
                if counts[lemma, "noun"]
            }
        )
        visible.update({name: 20 for name in names if len(name.split()) < 3})
        self.nouns = self._weighted(visible)
        adjectives = {w: n for (w, part), n in counts.items() if part == "adj" and n > 1}
        self.adjectives = self._weighted(adjectives)
        verbs = {
            w: n for (w, part), n in counts.items() if part == "verb" and n > 1 and " " not in w
        }
        self.verbs = self._weighted({gerund(w, irregular): n for w, n in verbs.items()})

    @staticmethod
    def _weighted(counts: dict[str, int]) -> tuple[list[str], list[float]]:
        return list(counts), list(accumulate(count**0.75 for count in counts.values()))

    def _draw(self, words: tuple[list[str], list[float]]) -> str:
        return self.rng.choices(words[0], cum_weights=words[1])[0]

    def sentence(self, kinds: tuple[tuple[str, ...], ...] = KINDS) -> str:
        x, y = self._draw(self.nouns), self._draw(self.nouns)
        j, s = self._draw(self.adjectives), self.rng.choice(SUBJECTS.split(","))
        template = self.rng.choice(self.rng.choice(kinds))
        colour = self.rng.choice(COLOURS.split(","))
        first = template.split("{a} ")[-1][:3]  # the word that "a" or "an" stands before
        a = article({"{x}": x, "{j}": j, "{s}": s, "{c}": colour}.get(first, "c"))
        b = article(j if "{b} {j}" in template else y)
        return template.format(a=a, b=b, x=x, y=y, j=j, s=s, v=self._draw(self.verbs), c=colour)


def draw_sentences(folder: Path, rng: random.Random, count: int) -> list[str]:
    """About ``count`` distinct texts: examples and definitions of WordNet, composed actions."""
    entries, composer = list(synsets(find(folder, "data.noun").parent)), Composer(folder, rng)
    examples = [example for entry in entries for example in entry.examples]
    definitions = [entry.definition for entry in entries]
    texts = [composer.sentence((ACTIONS,)) for _ in range(int(0.4 * count))]
    for source, share in ((examples, 0.4), (definitions, 0.2)):
        texts += rng.sample(source, min(len(source), int(share * count)))
    return sorted(set(texts))


def read_corpus(folder: Path, seed: int = 0) -> list[str]:
    """All training texts, without duplicates, in an order that depends on `seed` only."""
    rng = random.Random(seed)
    database = find(folder, "data.noun").parent
    entries, counts = list(synsets(database)), lemma_counts(database)
    examples = [example for entry in entries for example in entry.examples]
    texts = [entry.definition for entry in entries] + examples
    lemmas = sorted({lemma for entry in entries for lemma in entry.lemmas})
    tagged = {lemma for lemma, _ in counts}
    texts += [w for w in lemmas if w.lower() in tagged or " " not in w or rng.random() < 0.3]
    texts += [
        f"{entry.lemmas[0]}{rng.choice((': ', ' is ', ', '))}{entry.definition}"
        for entry in entries
        if entry.lemmas[0].lower() in tagged and rng.random() < 0.3
    ]
    texts += [f"{rng.choice(examples)} {rng.choice(examples)}" for _ in range(10_000)]
    composer = Composer(folder, rng)
    texts += [composer.sentence() for _ in range(90_000)]
    for emoji in emoji_texts(folder):
        texts += emoji
    texts = sorted(set(filter(None, texts)))
    rng.shuffle(texts)
    return texts

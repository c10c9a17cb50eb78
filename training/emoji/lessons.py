"""What the denoiser is taught: noisy pictures with the exact answers, most under two texts.

The distance that the process is made for compares two texts on the *same* noisy picture, along the
trajectories of both. So lessons look like that:

- *Walks.* The teacher denoises noise under a caption, as DDIM does in a few steps. Each state on
  the way is a lesson. It costs nothing: the teacher's answer is the next step.
- *Drawings.* A picture of a caption, made noisy.
- *Quarters.* Four cells of a text that no caption need have: a vector between two, or a sentence of
  the corpus and a changed one (texts.py).

Under the second caption the same picture has another exact answer (teaching.py). The empty text
says nothing: it draws anything, each drawing as often as any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from boards import SIDE
from captions import Caption
from codes import CHANNELS
from optimisation import fingerprint, save
from states import CHUNK, encode, encoder_file, read_captions, states_folder
from teaching import SHARPNESS, Kind, Teacher, vectors
from texts import kept_pairs
from torch import Tensor
from torch.nn.functional import normalize

STEPS = (8, 10, 10, 10, 12, 15, 20, 25)  # of a walk
SHAPE = (CHANNELS, SIDE, SIDE)
AMONG, SAME, CLOSE = 200, 0.999, 0.02  # captions to choose a near one from; cosine; 1 − cosine
FARTHEST = 0.7  # that a text is moved
Text = tuple[Tensor, Tensor]  # vectors of texts (n, 384), and of their phrases (n, phrases, 384)


@dataclass(frozen=True)
class Mix:
    """How many pictures of each kind are in a batch."""

    walks: dict[str, int] = field(default_factory=dict)  # by layout
    drawn: dict[str, int] = field(default_factory=dict)
    coloured: int = 0
    anything: int = 0  # of the empty text

    def __len__(self) -> int:
        counts = (*self.walks.values(), *self.drawn.values())
        return sum(counts) + self.coloured + self.anything


@dataclass(frozen=True)
class Batch:
    """B noisy pictures x (B, 64, n, n) at timesteps t (B,), under two captions each."""

    x: Tensor
    t: Tensor
    texts: tuple[Tensor, Tensor]  # states (B, 32, 384) of the captions, or their vectors (B, 384)
    v: tuple[Tensor, Tensor]  # (B, 64, n, n), the best predictions
    apart: Tensor  # (B,): 1 − cosine of the two captions' vectors, at least ``CLOSE``
    layouts: list[str]


@dataclass(frozen=True)
class Plain:
    """B noisy pictures x (B, 64, 4, 4) at timesteps t (B,), under a caption each."""

    x: Tensor
    t: Tensor
    states: Tensor  # (B, 32, 384)
    v: Tensor  # (B, 64, 4, 4), the best predictions


class Library:
    """The captions whose states are made, by kind, with the teacher's priors of them."""

    def __init__(self, data: Path, text: Path, run: Path, seed: int) -> None:
        self.teacher = Teacher(data, text, run)
        self.captions = read_captions(run)
        codes = self.teacher.codes[None].numpy().tobytes().hex()
        self.fingerprint = fingerprint(
            states_folder(run, text).name, codes, str(SHARPNESS)
        )  # of what is taught
        self.chunks = {
            int(file.stem): torch.load(file, weights_only=True, mmap=True)
            for file in sorted(states_folder(run, text).glob("*.pt"))
        }
        self.kinds: dict[Kind, list[int]] = defaultdict(list)
        for n in range(len(self.captions)):
            if n // CHUNK in self.chunks:
                self.kinds[self.kind_of(n)].append(n)
        names = {drawing.name for drawing in self.teacher.drawings}
        self.named = [n for n in self.kinds["word", None] if self.captions[n].phrases[0] in names]
        self.coloured = [n for (_, colour), found in self.kinds.items() if colour for n in found]
        self.phrases = self._vectors_of_phrases(run, text, self.captions)
        states, found = encode(text, [""])
        self.empty, self.nothing = states[0].float(), found[0]  # of the empty text
        self.sentences, self.changed = kept_pairs(data, text, run)
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return sum(map(len, self.kinds.values()))

    @staticmethod
    def _vectors_of_phrases(run: Path, text: Path, captions: list[Caption]) -> dict[str, Tensor]:
        phrases = sorted({p for c in captions if c.layout != "sentence" for p in c.phrases})
        file = run / f"phrases-{fingerprint(encoder_file(text), *phrases)}.pt"
        if not file.exists():
            save({"vectors": vectors(text, phrases)}, file)
        found = torch.load(file, weights_only=True)["vectors"]
        return dict(zip(phrases, found, strict=True))

    def plain(self) -> list[int]:
        """Numbers of the captions that name no background."""
        return [n for (_, colour), found in self.kinds.items() if not colour for n in found]

    def some_colour(self) -> Kind:
        """A kind of captions that name a background, as often as there are captions of it."""
        place = int(torch.randint(len(self.coloured), (1,), generator=self.generator))
        return self.kind_of(self.coloured[place])

    def kind_of(self, number: int) -> Kind:
        return self.captions[number].layout, self.captions[number].colour

    def pick(self, kind: Kind, count: int) -> list[int]:
        """Numbers of captions of a kind."""
        return self._some_of(self.kinds[kind], count)

    def pick_named(self, count: int) -> list[int]:
        """Numbers of captions that name a drawing."""
        return self._some_of(self.named, count)

    def _some_of(self, found: list[int], count: int) -> list[int]:
        places = torch.randint(len(found), (count,), generator=self.generator)
        return [found[place] for place in places.tolist()]

    def states(self, numbers: list[int]) -> Tensor:
        """(n, 32, 384) float32."""
        return torch.stack([self.chunks[n // CHUNK]["states"][n % CHUNK] for n in numbers]).float()

    def vectors(self, numbers: list[int]) -> Tensor:
        """(n, 384): the mean state of each caption, at length 1."""
        return torch.stack([self.chunks[n // CHUNK]["vectors"][n % CHUNK] for n in numbers])

    def meant(self, numbers: list[int], kind: Kind) -> Tensor:
        """(n, phrases, 384): the vectors of what captions of one kind ask for."""
        if kind[0] == "sentence":
            return self.vectors(numbers)[:, None]
        return torch.stack(
            [torch.stack([self.phrases[p] for p in self.captions[n].phrases]) for n in numbers]
        )

    def prior(self, numbers: list[int], kind: Kind) -> Tensor:
        """(n, phrases, C) log p of captions of one kind."""
        return self.teacher.prior(self.meant(numbers, kind))

    def some(self, times: int, count: int) -> list[Text]:
        """``times`` lots of ``count`` sentences at random (texts.py)."""
        number = len(self.sentences)
        places = torch.randint(number, (times, count), generator=self.generator)
        return [as_text(self.sentences[chosen].float()) for chosen in places]

    def alike(self, count: int) -> tuple[Text, Text]:
        """Sentences, and the same after some changes."""
        places = torch.randint(len(self.sentences), (count,), generator=self.generator)
        return as_text(self.sentences[places].float()), as_text(self.changed[places].float())

    def near(self, vectors: Tensor, kind: Kind) -> list[int]:
        """For each of some vectors (n, 384) the nearest of ``AMONG`` captions, but not the same."""
        found = self.pick(kind, AMONG)
        alike = vectors @ self.vectors(found).T
        return [found[i] for i in alike.masked_fill(alike > SAME, -1).argmax(1).tolist()]


class Walk:
    """The teacher's DDIM trajectories of some captions of one kind; ended ones begin again."""

    def __init__(self, library: Library, layout: str, count: int) -> None:
        self.source, self.kind = library, (layout, None)
        self.numbers = library.pick(self.kind, count)
        self.prior = library.prior(self.numbers, self.kind)
        self.x = torch.empty(count, *SHAPE)
        self.steps = torch.empty(count, dtype=torch.long)
        self.left = torch.full((count,), -1)  # steps to go after this one
        self._begin(range(count))
        self.left = (torch.rand(count, generator=library.generator) * self.steps).long()
        _, x0 = library.teacher.draw(self.prior, self.kind, library.generator)
        self.x = noisy(x0, self.t, library)  # in the midst of their ways

    @property
    def t(self) -> Tensor:
        return self.left * (1000 // self.steps) + 1

    def _begin(self, rows: range | list[int]) -> None:
        for row in rows:
            [self.numbers[row]] = self.source.pick(self.kind, 1)
            choice = torch.randint(len(STEPS), (1,), generator=self.source.generator)
            self.steps[row] = STEPS[int(choice)]
            self.left[row] = self.steps[row] - 1
            self.x[row] = torch.randn(SHAPE, generator=self.source.generator)
            self.prior[row] = self.source.prior([self.numbers[row]], self.kind)[0]

    def step(self) -> tuple[list[int], Tensor, Tensor, Tensor]:
        """→ captions, x, t and E[x₀ | x] now; then every trajectory goes on by a step."""
        alphas, t, x, numbers = self.source.teacher.alphas, self.t, self.x, list(self.numbers)
        x0 = self.source.teacher.denoise(x, self.prior, t, self.kind)
        now = alphas[t].view(-1, 1, 1, 1)
        then = alphas[(t - 1000 // self.steps).clamp_min(0)].view(-1, 1, 1, 1)
        noise = (x - now.sqrt() * x0) / (1 - now).sqrt()
        self.x = then.sqrt() * x0 + (1 - then).sqrt() * noise
        self.left = self.left - 1
        self._begin((self.left < 0).nonzero()[:, 0].tolist())
        return numbers, x, t, x0


def as_text(vectors: Tensor) -> Text:
    """Of texts that ask for what they say."""
    return vectors, vectors[:, None]


def between(one: Text, other: Text, share: Tensor) -> Text:
    """On the way from one text to another; share: (n,) of the way."""
    ways = share[:, None], share[:, None, None]
    a, b = (
        normalize(a.lerp(b, way.to(a)), dim=-1) for a, b, way in zip(one, other, ways, strict=True)
    )
    return a, b


def disturbed(text: Text, sizes: Tensor, generator: torch.Generator) -> Text:
    """A text moved by sizes (n,), in directions at random."""
    given, meant = text
    away = normalize(torch.randn(given.shape, generator=generator), dim=1) * sizes[:, None]
    away = away.to(given)
    return normalize(given + away, dim=-1), normalize(meant + away[:, None], dim=-1)


def distance(first: Tensor, second: Tensor) -> Tensor:
    return (1 - (first * second).sum(1)).clamp_min(CLOSE)


def spread(count: int, generator: torch.Generator) -> Tensor:
    """Timesteps (count,) of 0 … 999: one of each of as many equal parts, in any order."""
    places = torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)
    return (places * 1000 / count).long().clamp_max(999)  # float32 may round up to ``count``


def noisy(x0: Tensor, t: Tensor, library: Library) -> Tensor:
    alpha = library.teacher.alphas[t].view(-1, 1, 1, 1)
    noise = torch.randn(x0.shape, generator=library.generator)
    return alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise


def best_v(x: Tensor, x0: Tensor, t: Tensor, library: Library) -> Tensor:
    alpha = library.teacher.alphas[t].view(-1, 1, 1, 1)
    return (alpha.sqrt() * x - x0) / (1 - alpha).sqrt()


class Lessons:
    """Endless batches."""

    def __init__(self, library: Library, mix: Mix) -> None:
        self.source, self.mix = library, mix
        self.walks = [Walk(library, layout, count) for layout, count in mix.walks.items()]

    def _drawn(self, prior: Tensor, kind: Kind) -> tuple[Tensor, Tensor, Tensor]:
        """x, t and E[x₀ | x] of pictures that a prior draws."""
        teacher, generator = self.source.teacher, self.source.generator
        _, x0 = teacher.draw(prior, kind, generator)
        t = spread(len(prior), generator)
        x = noisy(x0, t, self.source)
        return x, t, teacher.denoise(x, prior, t, kind)

    def _first_captions(self) -> Iterator[tuple[Kind, Tensor, Tensor, Tensor, Tensor, Tensor]]:
        """Kind, vectors, states, x, t and E[x₀ | x] of each part of a batch."""
        library = self.source
        for walk in self.walks:
            numbers, *answer = walk.step()
            yield walk.kind, library.vectors(numbers), library.states(numbers), *answer
        picked = [((layout, None), count) for layout, count in self.mix.drawn.items()]
        picked += [(library.some_colour(), 1) for _ in range(self.mix.coloured)]
        for kind, count in picked:
            numbers = library.pick(kind, count)
            texts = library.vectors(numbers), library.states(numbers)
            yield kind, *texts, *self._drawn(library.prior(numbers, kind), kind)
        if count := self.mix.anything:
            texts = library.nothing.expand(count, -1), library.empty.expand(count, -1, -1)
            kind = ("sentence", None)
            yield kind, *texts, *self._drawn(library.teacher.anything(count), kind)

    @torch.no_grad()
    def batch(self) -> Batch:
        library, teacher = self.source, self.source.teacher
        found: list[tuple[Tensor, ...]] = []
        layouts = []
        for kind, given, states, x, t, x0 in self._first_captions():
            others = library.near(given, kind)
            others[::2] = library.pick(kind, len(others[::2]))
            other = teacher.denoise(x, library.prior(others, kind), t, kind)
            best = best_v(x, x0, t, library), best_v(x, other, t, library)
            apart = distance(given, library.vectors(others))
            found.append((x, t, states, library.states(others), *best, apart))
            layouts += [kind[0]] * len(x)
        x, t, first, second, v, w, apart = (torch.cat(part) for part in zip(*found, strict=True))
        return Batch(x, t, (first, second), (v, w), apart, layouts)

    @torch.no_grad()
    def recall(self, count: int) -> Plain:
        """Sheets of anything, under the empty text."""
        kind = ("sentence", None)
        x, t, x0 = self._drawn(self.source.teacher.anything(count), kind)
        states = self.source.empty.expand(count, -1, -1)
        return Plain(x, t, states, best_v(x, x0, t, self.source))

    @torch.no_grad()
    def captions(self, words: int, sentences: int, coloured: int, anything: int) -> Batch:
        """Quarters of sheets, under two texts each, which are given as their vectors.

        Four cells teach as much of a text as sixteen, and vectors cost nothing to read. Half of the
        words are names of drawings as they are. Half of the sentences are under a changed one, too
        (texts.py). As for the others: between two captions, or two sentences of the corpus, and
        around them there are as many more texts as one likes, for the teacher answers any vector.
        So the first is near one of them, and the second anywhere on the way to a third.
        """
        library, word, sentence = self.source, ("word", None), ("sentence", None)
        lessons = [
            (word, *self._named(words // 2)),
            (word, *self._apart(FARTHEST, *self._three(word, words // 2))),
            (sentence, *library.alike(sentences // 2)),
            (sentence, *self._apart(FARTHEST, *library.some(3, sentences // 2))),
        ]
        if coloured:  # all of them on one colour, which texts a little away do not ask for
            kind = library.some_colour()
            lessons.append((kind, *self._apart(0, *self._three(kind, coloured))))
        found, layouts = [], []
        for kind, *texts in lessons:
            priors = [library.teacher.prior(meant) for _, meant in texts]
            found.append(self._quarters(kind, [given for given, _ in texts], priors))
            layouts += [kind[0]] * len(priors[0])
        given, meant = self._texts(sentence, anything)
        priors = [library.teacher.anything(anything), library.teacher.prior(meant)]
        found.append(
            self._quarters(sentence, [library.nothing.expand(anything, -1), given], priors)
        )
        layouts += [sentence[0]] * anything
        x, t, first, second, v, w = (torch.cat(part) for part in zip(*found, strict=True))
        return Batch(x, t, (first, second), (v, w), distance(first, second), layouts)

    def _named(self, count: int) -> tuple[Text, Text]:
        """Names of drawings, and other words: half of them are near ones."""
        library, word = self.source, ("word", None)
        numbers = library.pick_named(count)
        others = library.near(library.vectors(numbers), word)
        others[::2] = library.pick(word, len(others[::2]))
        first, second = ((library.vectors(n), library.meant(n, word)) for n in (numbers, others))
        return first, second

    def _three(self, kind: Kind, count: int) -> list[Text]:
        return [self._texts(kind, count) for _ in range(3)]

    def _apart(self, farthest: float, one: Text, two: Text, three: Text) -> tuple[Text, Text]:
        """A text near the first of three, and one anywhere on the way to the third."""
        generator = self.source.generator
        ways = torch.rand(4, len(one[0]), generator=generator)
        first = between(one, two, ways[0] ** 3)
        first = disturbed(first, farthest * ways[1], generator)
        second = between(first, three, ways[2])
        return first, disturbed(second, farthest * ways[2] * ways[3], generator)

    def _texts(self, kind: Kind, count: int) -> Text:
        numbers = self.source.pick(kind, count)
        return self.source.vectors(numbers), self.source.meant(numbers, kind)

    def _quarters(
        self, kind: Kind, given: list[Tensor], priors: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """x, t, the vectors of the first and second texts, and their best v."""
        library, teacher = self.source, self.source.teacher
        codes = teacher.codes[kind[1]]
        chosen = torch.multinomial(priors[0][:, 0].exp(), 4, True, generator=library.generator)
        t = spread(len(chosen), library.generator)
        x = noisy(codes[chosen].mT.unflatten(2, (2, 2)), t, library)
        best = []
        for prior in priors:
            x0 = teacher.mean(x.flatten(2).mT, prior, t, codes).mT.unflatten(2, (2, 2))
            best.append(best_v(x, x0, t, library))
        return x, t, *given, *best

"""What the denoiser is taught: noisy pictures, each under two captions, with the exact answers.

The distance that the process is made for compares two texts on the *same* noisy picture, along the
trajectories of both. So lessons look like that:

- *Walks.* The teacher denoises noise under a caption, as DDIM does in a few steps. Each state on
  the way is a lesson. It costs nothing: the teacher's answer is the next step.
- *Drawings.* A picture of a caption, made noisy.

Under the second caption the same picture has another exact answer (teaching.py).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from boards import find_drawings
from captions import Caption
from optimisation import fingerprint, save
from states import CHUNK, encode, encoder_file, read_captions, states_folder
from teaching import Kind, Teacher, vectors
from torch import Tensor

WALKS = {"word": 3, "beside": 1, "above": 1, "sentence": 5}  # pictures of each kind in a batch
DRAWN = {"word": 2, "beside": 1, "above": 1, "sentence": 2}
STEPS = (8, 10, 10, 10, 12, 15, 20, 25)  # of a walk
DROPPED = 0.1  # share of first captions replaced by "", for classifier-free guidance
SHAPE = (32, 4, 4)


@dataclass(frozen=True)
class Batch:
    """B noisy pictures x (B, 32, 4, 4) at timesteps t (B,), under two captions each."""

    x: Tensor
    t: Tensor
    states: tuple[Tensor, Tensor]  # (B, 32, 384) of the first and of the second captions
    v: tuple[Tensor, Tensor]  # (B, 32, 4, 4), the best predictions
    layouts: list[str]
    named: Tensor  # (B,) bool: False where the first caption was replaced by ""


class Library:
    """The captions whose states are made, by kind, with the teacher's priors of them."""

    def __init__(self, data: Path, text: Path, run: Path, seed: int) -> None:
        self.teacher = Teacher(run, text, find_drawings(data))
        self.captions = read_captions(run)
        self.chunks = {
            int(file.stem): torch.load(file, weights_only=True, mmap=True)
            for file in sorted(states_folder(run, text).glob("*.pt"))
        }
        self.kinds: dict[Kind, list[int]] = defaultdict(list)
        for n, caption in enumerate(self.captions):
            if n // CHUNK in self.chunks:
                self.kinds[caption.layout, caption.colour].append(n)
        self.coloured = [n for (_, colour), found in self.kinds.items() if colour for n in found]
        self.phrases = self._vectors_of_phrases(run, text, self.captions)
        self.empty = encode(text, [""])[0][0].float()
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

    def pick(self, kind: Kind, count: int) -> list[int]:
        """Numbers of captions of a kind."""
        found = self.kinds[kind]
        places = torch.randint(len(found), (count,), generator=self.generator)
        return [found[place] for place in places.tolist()]

    def states(self, numbers: list[int]) -> Tensor:
        """(n, 32, 384) float32."""
        return torch.stack([self.chunks[n // CHUNK]["states"][n % CHUNK] for n in numbers]).float()

    def vectors(self, numbers: list[int]) -> Tensor:
        """(n, 384): the mean state of each caption, at length 1."""
        return torch.stack([self.chunks[n // CHUNK]["vectors"][n % CHUNK] for n in numbers])

    def prior(self, numbers: list[int], kind: Kind) -> Tensor:
        """(n, phrases, C) log p of captions of one kind."""
        if kind[0] == "sentence":
            phrases = self.vectors(numbers)[:, None]
        else:
            phrases = torch.stack(
                [torch.stack([self.phrases[p] for p in self.captions[n].phrases]) for n in numbers]
            )
        return self.teacher.prior(phrases, kind[0])


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


def noisy(x0: Tensor, t: Tensor, library: Library) -> Tensor:
    alpha = library.teacher.alphas[t].view(-1, 1, 1, 1)
    noise = torch.randn(x0.shape, generator=library.generator)
    return alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise


class Lessons:
    """Endless batches."""

    def __init__(self, library: Library) -> None:
        self.source = library
        self.walks = [Walk(library, layout, count) for layout, count in WALKS.items()]

    def _drawn(self, kind: Kind, numbers: list[int]) -> tuple[list[int], Tensor, Tensor, Tensor]:
        library = self.source
        prior = library.prior(numbers, kind)
        _, x0 = library.teacher.draw(prior, kind, library.generator)
        t = torch.randint(1000, (len(numbers),), generator=library.generator)
        x = noisy(x0, t, library)
        return numbers, x, t, library.teacher.denoise(x, prior, t, kind)

    @torch.no_grad()
    def batch(self) -> Batch:
        library, teacher = self.source, self.source.teacher
        parts = [(walk.kind, *walk.step()) for walk in self.walks]
        for layout, count in DRAWN.items():
            kind = (layout, None)
            parts.append((kind, *self._drawn(kind, library.pick(kind, count))))
        coloured = torch.randint(len(library.coloured), (1,), generator=library.generator)
        number = library.coloured[int(coloured)]
        kind = (library.captions[number].layout, library.captions[number].colour)
        parts.append((kind, *self._drawn(kind, [number])))
        first, second, v, layouts = [], [], ([], []), []
        for kind, numbers, x, t, x0 in parts:
            others = library.pick(kind, len(numbers))
            other = teacher.denoise(x, library.prior(others, kind), t, kind)
            alpha = teacher.alphas[t].view(-1, 1, 1, 1)
            for found, best in zip(v, (x0, other), strict=True):
                found.append((alpha.sqrt() * x - best) / (1 - alpha).sqrt())
            first.append(library.states(numbers))
            second.append(library.states(others))
            layouts += [kind[0]] * len(numbers)
        states = torch.cat(first)
        named = torch.rand(len(states), generator=library.generator) >= DROPPED
        states[~named] = library.empty
        return Batch(
            torch.cat([part[2] for part in parts]),
            torch.cat([part[3] for part in parts]),
            (states, torch.cat(second)),
            (torch.cat(v[0]), torch.cat(v[1])),
            layouts,
            named,
        )

"""Pairs of prompts → Terms: the squared differences of Algorithm 1, before any reduction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .process import GenerativeProcess
from .sampling import guide, walk
from .shapes import Terms


@dataclass(frozen=True)
class Record:
    """What to record besides ``forward`` and ``backward``; asked for beforehand.

    Either one takes the last step too: an unconditional row more for each prompt and sample.
    """

    output: bool = False
    coupled: bool = False


TERMS_ONLY = Record()


@torch.no_grad()
def pair_terms(
    process: GenerativeProcess,
    pairs: Sequence[tuple[str, str]],
    seeds: Sequence[int],
    record: Record = TERMS_ONLY,
) -> list[Terms]:
    """Terms of each pair of texts, in the order given; sample i starts from ``seeds[i]``.

    All trajectories walk together: S distinct prompts and P distinct pairs of different prompts
    cost ``1 + S(2T−2) + 2P(T−1)`` network rows a sample, ``S·T + 2P(T−1)`` unguided. A pair that
    comes again, in either order, costs nothing; a text against itself is exactly zero.
    Memory grows with (S + P) × samples latents. Raises NonFiniteError, naming prompt and step.
    """
    # Sorting makes d(a, b) and d(b, a) the same computation, equal to the last bit.
    apart = sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})
    known: dict[tuple[str, str], Terms] = {}
    if apart:
        for (a, b), terms in zip(apart, _measure(process, apart, seeds, record), strict=True):
            known[a, b] = terms
            known[b, a] = replace(terms, forward=terms.backward, backward=terms.forward)
    itself = _zero(process, len(seeds), record)
    return [known[pair] if pair[0] != pair[1] else itself for pair in pairs]


def _measure(
    process: GenerativeProcess,
    pairs: Sequence[tuple[str, str]],
    seeds: Sequence[int],
    record: Record,
) -> list[Terms]:
    """Algorithm 1 for P distinct pairs at once: walk, compare, add up."""
    prompts = sorted({text for pair in pairs for text in pair})
    row = {text: n for n, text in enumerate(prompts)}
    a = [row[first] for first, _ in pairs]
    b = [row[second] for _, second in pairs]
    there, visitor = a + b, b + a  # b looks at a's trajectories, then a at b's
    w = process.guidance

    terms, coupled, output = [], [], None
    finish = record.output or record.coupled
    visits = list(zip(there, visitor, strict=True))
    for moment in walk(process, prompts, seeds, visits, finish=finish):
        # Guided predictions at the same x share ε_∅, so their difference is w (ε_a − ε_b).
        terms.append(w**2 * _squared_norm(moment.own[there] - moment.cross))
        if record.coupled:
            own = guide(moment.own, moment.null, w)
            null = None if moment.null is None else moment.null[there]
            b_on_a, a_on_b = torch.split(guide(moment.cross, null, w), len(pairs))
            coupled.append(_squared_norm(own[a] - own[b]) + _squared_norm(a_on_b - b_on_a))
        if moment.after is not None:
            output = moment.after
    forward, backward = torch.split(torch.stack(terms, dim=-1), len(pairs))  # (P, k, T) each
    together = torch.stack(coupled, dim=-1) if record.coupled else None
    apart = _squared_norm(output[a] - output[b]) if record.output and output is not None else None
    return [
        Terms(
            forward[n],
            backward[n],
            process.schedule,
            output=None if apart is None else apart[n],
            coupled=None if together is None else together[n],
        )
        for n in range(len(pairs))
    ]


def _squared_norm(difference: Tensor) -> Tensor:
    """‖·‖² over the latent entries: (n, k, *latent_shape) → (n, k) float64 on the CPU."""
    return difference.cpu().double().square().flatten(2).sum(dim=2)


def _zero(process: GenerativeProcess, samples: int, record: Record) -> Terms:
    zeros = torch.zeros(samples, len(process.schedule), dtype=torch.float64)
    return Terms(
        zeros,
        zeros,
        process.schedule,
        output=zeros[:, 0] if record.output else None,
        coupled=zeros if record.coupled else None,
    )

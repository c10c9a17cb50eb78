"""Which pairs walk together, and what that costs: many pairs → blocks, blocks → network rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .divergence import TERMS_ONLY, Record
from .process import GenerativeProcess

Pair = tuple[str, str]


def blocks(
    pairs: Sequence[Pair], process: GenerativeProcess, samples: int
) -> Iterator[Sequence[Pair]]:
    """Consecutive pairs that share trajectories and batches, in the order given.

    S prompts and P pairs ask for 2 (S + P) rows a sample at a step, so S + P up to two batches'
    worth fills about four: little is wasted on the last one, little is held in memory, and a long
    run shows results early. A pair that needs more than that by itself is its own block.
    """
    most = 2 * process.batch_size // samples
    block: list[Pair] = []
    prompts: set[str] = set()
    apart: set[frozenset[str]] = set()
    for pair in pairs:
        if block and len(prompts | {*pair}) + len(apart | {frozenset(pair)}) > most:
            yield block
            block, prompts, apart = [], set(), set()
        block.append(pair)
        prompts |= {*pair}
        apart |= {frozenset(pair)}
    if block:
        yield block


def network_rows(
    pairs: Sequence[Pair], process: GenerativeProcess, samples: int, record: Record = TERMS_ONLY
) -> int:
    """How often a latent goes through the network when ``pairs`` are measured: what a run costs.

    For each sample and block of S distinct prompts and P distinct pairs on T steps it is
    ``1 + S(2T−2) + 2P(T−1)`` with guidance and ``S·T + 2P(T−1)`` without; where the last step is
    taken too, S more with guidance.
    """
    return samples * sum(
        _block_rows(block, process, record) for block in blocks(pairs, process, samples)
    )


def _block_rows(block: Sequence[Pair], process: GenerativeProcess, record: Record) -> int:
    apart = {frozenset(pair) for pair in block if pair[0] != pair[1]}
    prompts, steps = len(frozenset().union(*apart)), len(process.schedule)
    rows = prompts * steps + 2 * len(apart) * (steps - 1)
    if process.guidance != 1 and apart:
        # At pure noise one unconditional row serves all; the last step needs none, unless taken.
        moves = steps if record.output or record.coupled else steps - 1
        rows += (moves > 0) + prompts * max(0, moves - 1)
    return rows

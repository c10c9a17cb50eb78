"""conjure against a plain loop on a matrix of texts.

Rows are counted and distances compared before anything is timed. Four ways give the same numbers
from the same weights and noise: a plain loop in float32, the same loop with our dtype and
compilation, conjure in float32, and conjure with our dtype and compilation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import torch

from conjure import similarity
from conjure.core.errors import ConjureError, InputError
from conjure.processes import ProcessSettings
from conjure.processes.base import PipelineProcess
from conjure.processes.devices import settle
from conjure.processes.hub import open_pipeline
from conjure.processes.samplers import scheduler_class

from .architectures import flop_a_row, random_network
from .clock import Timing, interleaved, matmul_peak
from .naive import naive_terms

AGREEMENT = 1e-5  # the largest allowed relative difference of ours from naive in float32
WORDS = (
    *("cat", "dog", "horse", "whale", "shark", "tiger", "car", "train", "ship", "house", "castle"),
    *("bridge", "apple", "pizza", "bread", "guitar", "violin", "drum", "doctor", "teacher"),
    *("king", "queen", "sun", "moon", "rain", "snow", "tree", "flower", "river", "mountain"),
    *("book", "clock"),
)


@dataclass(frozen=True)
class Setup:
    """What is compared.

    architecture: random weights of that architecture in the bundled process; None for its own
    fast:         the dtype of the second and fourth way
    compile:      whether the second and fourth way compile the network
    """

    process: str = "emoji"
    architecture: str | None = None
    prompts: int = 32
    rounds: int = 5
    naive_pairs: int = 2
    device: str | None = None
    fast: str = "auto"
    compile: bool = False


@dataclass(frozen=True)
class Way:
    """One of the four ways: rows and seconds for all pairs of the matrix, or for some of them.

    limit: rows a second if every operation ran at its dtype's matrix-product rate
    """

    name: str
    pairs: int
    rows: int
    timing: Timing
    limit: float

    @property
    def seconds_a_pair(self) -> float:
        return self.timing.median / self.pairs

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.timing.median


@dataclass(frozen=True)
class MatrixReport:
    """ways: naive, naive fast, ours, ours fast.

    deviation:      largest relative difference of ours from naive, both in float32
    fast_deviation: the same of our fast way from ours in float32, over the whole matrix
    flop:           floating-point operations of one row
    """

    setup: Setup
    ways: tuple[Way, ...]
    deviation: float
    fast_deviation: float
    flop: int

    def speedup(self, slow: int, quick: int) -> tuple[float, float, float]:
        """How many times faster a pair is: (row ratio, throughput ratio, their product)."""
        a, b = self.ways[slow], self.ways[quick]
        rows = (a.rows / a.pairs) / (b.rows / b.pairs)
        throughput = b.rows_per_second / a.rows_per_second
        return rows, throughput, rows * throughput


def compare(setup: Setup, say: Callable[[str], object]) -> MatrixReport:
    """Check that all ways agree, count their rows, then time them in interleaved rounds.

    Raises ConjureError where naive and ours differ by more than AGREEMENT: nothing is timed then.
    """
    pairs = list(combinations(_texts(setup.prompts), 2))
    few = pairs[: setup.naive_pairs]
    plain = make_process(setup, dtype="float32")
    fast = make_process(setup, dtype=setup.fast, compile=setup.compile)
    setup = replace(setup, fast=fast.dtype)  # what "auto" has become

    say("checking that naive and ours agree")
    with counted(plain.pipeline.unet) as naive_rows:
        expected = torch.tensor([_naive(plain, pair) for pair in few])
    with counted(plain.pipeline.unet) as our_rows:
        ours = _values(plain, pairs)
    deviation = float(((ours[: len(few)] - expected) / expected).abs().max())
    if deviation > AGREEMENT:
        raise ConjureError(
            f"naive and ours differ by {deviation:.1e}, more than {AGREEMENT:.0e}: nothing is timed"
        )
    say("measuring how far the fast way is from float32")
    fast_deviation = float(((_values(fast, pairs) - ours) / ours).abs().max())

    unet = fast.pipeline.unet
    flop = flop_a_row(unet, fast.pipeline.tokenizer.model_max_length)
    limits = [matmul_peak(one.device, one.pipeline.unet.dtype) / flop for one in (plain, fast)]
    network = torch.compile(unet, dynamic=False) if setup.compile else unet
    timings = interleaved(
        {
            "naive, float32": lambda: [_naive(plain, pair) for pair in few],
            f"naive fast, {_title(setup)}": lambda: [_naive(fast, pair, network) for pair in few],
            "ours, float32": lambda: _values(plain, pairs),
            f"ours fast, {_title(setup)}": lambda: _values(fast, pairs),
        },
        setup.rounds,
        say,
    )
    counts = [(len(few), naive_rows[0])] * 2 + [(len(pairs), our_rows[0])] * 2
    ways = tuple(
        Way(name, number, rows, timing, limit)
        for (name, timing), (number, rows), limit in zip(
            timings.items(), counts, limits * 2, strict=True
        )
    )
    return MatrixReport(setup, ways, deviation, fast_deviation, flop)


def _texts(count: int) -> list[str]:
    """Distinct short texts: words, then pairs of words."""
    together = [f"a {a} and a {b}" for a, b in combinations(WORDS, 2)]
    texts = [*WORDS, *together]
    if not 2 <= count <= len(texts):
        raise InputError(f"prompts must be from 2 to {len(texts)}, not {count}")
    return texts[:count]


def make_process(setup: Setup, **settings: Any) -> PipelineProcess:
    device, chosen = settle(ProcessSettings(device=setup.device, **settings))
    opened = open_pipeline(setup.process, chosen)
    if setup.architecture is not None:
        if setup.process != "emoji":
            raise InputError("an architecture takes the place of the bundled process's network")
        kept = opened.pipeline.unet
        opened.pipeline.unet = random_network(setup.architecture, kept.device, kept.dtype)
    return opened.family.process(opened, device, chosen)


def _title(setup: Setup) -> str:
    return setup.fast + (", compiled" if setup.compile else "")


def _values(process: Any, pairs: list[tuple[str, str]]) -> torch.Tensor:
    """(pairs,) float64."""
    found = similarity.distances(pairs, process=process)
    return torch.tensor([distance.value for distance in found], dtype=torch.float64)


def _naive(process: Any, pair: tuple[str, str], network: Any = None) -> float:
    forward, backward = naive_terms(
        process.pipeline,
        pair,
        scheduler_class(process.sampler),
        steps=len(process.schedule),
        guidance=process.guidance,
        network=network,
    )
    return float((forward + backward).mean())


@contextmanager
def counted(unet: Any) -> Iterator[list[int]]:
    """Count the rows that go through a network: [rows]."""
    rows = [0]

    def count(module: Any, given: tuple[Any, ...]) -> None:
        rows[0] += len(given[0])

    hook = unet.register_forward_pre_hook(count)
    try:
        yield rows
    finally:
        hook.remove()

"""``Reference``: the distances of unrelated and of paraphrase-like pairs in one process."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..core.errors import InputError
from ..core.spec import Signature

VERSION = 1  # of the layout of a file
LEAST = 20  # pairs of each kind
_NOT_IN_KEY = ("samples", "seed", "tolerance")


def reference_key(signature: Signature) -> Signature:
    """What a reference is found by: the key of a distance less k, seed and tolerance.

    These three change the noise of a distance, not what it estimates. Everything else must be the
    same: weights, sampler, T, guidance, dtype, estimand, and ``cross_steps``.
    """
    key = {name: fact for name, fact in signature.key.items() if name not in _NOT_IN_KEY}
    return Signature(key, signature.provenance)


@dataclass(frozen=True)
class Reference:
    """Where the distances of the calibration's pairs lie, by one estimand in one process.

    signature:   ``reference_key`` of what was measured, with its provenance
    samples, seed: k, and the first seed, of the reference itself
    pairs:       a hash of the list of pairs
    unrelated, paraphrases: the distances, from the smallest to the largest

    Raises InputError for fewer than 20 of a kind, and for values that are no distances, not sorted,
    or 0 for unrelated texts.
    """

    signature: Signature
    samples: int
    seed: int
    pairs: str
    unrelated: tuple[float, ...]
    paraphrases: tuple[float, ...]

    def __post_init__(self) -> None:
        for kind, values in (("unrelated", self.unrelated), ("paraphrases", self.paraphrases)):
            if len(values) < LEAST:
                raise InputError(f"a reference needs {LEAST} {kind} or more, not {len(values)}")
            if not all(math.isfinite(value) and value >= 0 for value in values):
                raise InputError(f"{kind}: a distance must be finite and at least 0")
            if list(values) != sorted(values):
                raise InputError(f"{kind}: distances must be sorted")
        if self.unrelated[0] <= 0:
            raise InputError(
                "two unrelated texts are at distance 0, so the process does not tell them apart"
            )

    def similarity(self, value: float) -> float:
        """The fraction of unrelated pairs that are farther than ``value``: in [0, 1].

        Of N unrelated distances, the i-th smallest has 1 − (i − ½)/N (mid-rank; equal ones share
        their mean rank). Between them it is linear, and so it is from 1 at distance 0 to the
        smallest. Beyond the largest, v, it is proportional to v/value. So it falls strictly. It is
        1 at distance 0 alone, 0.5 at the median, and never reaches 0.
        """
        xs, ys = self._knots
        if value >= xs[-1]:
            return ys[-1] * xs[-1] / value
        right = bisect.bisect_right(xs, value)
        low, high = xs[right - 1], xs[right]
        share = (value - low) / (high - low)
        return ys[right - 1] + share * (ys[right] - ys[right - 1])

    @cached_property
    def _knots(self) -> tuple[list[float], list[float]]:
        """Distances and their similarities, from (0, 1) on; each distance once."""
        count, xs, ys = len(self.unrelated), [0.0], [1.0]
        for value in dict.fromkeys(self.unrelated):
            first = bisect.bisect_left(self.unrelated, value)
            last = bisect.bisect_right(self.unrelated, value)
            xs.append(value)
            ys.append(1 - (first + last) / 2 / count)  # mid-rank less ½ is (first + last) / 2
        return xs, ys

    def closer_paraphrases(self, value: float) -> float:
        """The fraction of paraphrase-like pairs that are closer than ``value``; ties count half."""
        low = bisect.bisect_left(self.paraphrases, value)
        return (low + bisect.bisect_right(self.paraphrases, value)) / 2 / len(self.paraphrases)

    @property
    def separation(self) -> float:
        """How often a paraphrase is closer than an unrelated pair: the area under the ROC curve."""
        closer = (1 - self.closer_paraphrases(value) for value in self.unrelated)
        return 1 - sum(closer) / len(self.unrelated)

    def words(self, value: float) -> str:
        """Where a distance lies, for people.

        "closer than 97 % of 160 unrelated pairs; 61 % of 160 paraphrases are closer still"
        """
        near, closer = self.similarity(value), self.closer_paraphrases(value)
        whole, half = len(self.unrelated), 0.5 / len(self.unrelated)
        if near > 1 - half:
            text = f"closer than all {whole} unrelated pairs"
        elif near < half:
            text = f"farther than all {whole} unrelated pairs"
        else:
            text = f"closer than {_percent(near)} of {whole} unrelated pairs"
        return f"{text}; {_share(closer)} of {len(self.paraphrases)} paraphrases are closer still"

    def object(self) -> dict[str, Any]:
        """As a JSON object, which ``read`` reads."""
        return {
            "reference": VERSION,
            "signature": self.signature.object(),
            "samples": self.samples,
            "seed": self.seed,
            "pairs": self.pairs,
            "unrelated": self.unrelated,
            "paraphrases": self.paraphrases,
        }

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Reference:
        """The reference of a JSON object. Raises InputError, LookupError, TypeError, ValueError."""
        if found["reference"] != VERSION:
            raise ValueError(f"layout {found['reference']}, and this conjure reads {VERSION}")
        signature = found["signature"]
        return cls(
            Signature(signature["key"], signature["provenance"]),
            int(found["samples"]),
            int(found["seed"]),
            str(found["pairs"]),
            tuple(map(float, found["unrelated"])),
            tuple(map(float, found["paraphrases"])),
        )


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of sorted values lie, linear between them."""
    place = share * (len(values) - 1)
    low = min(int(place), len(values) - 2)
    return values[low] + (place - low) * (values[low + 1] - values[low])


def _percent(share: float) -> str:
    return f"{min(99, max(1, round(100 * share)))} %"


def _share(share: float) -> str:
    if share in (0, 1):
        return "all" if share else "none"
    return _percent(share)

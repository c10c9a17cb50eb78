"""What a user may choose about a rival, checked before anything heavy is loaded."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from ..core.errors import InputError
from ..processes.settings import ProcessSettings


@dataclass(frozen=True)
class RivalSettings:
    """How a model is read and run. The names that a process has too mean the same.

    device:        "cpu", "cuda", "cuda:1", "mps"; else "cuda" where there is one, "cpu" otherwise
    dtype:         arithmetic inside the network: float32, float16, bfloat16 or float64
    batch_size:    most texts or continuations that the network is given at once; else 32 texts,
                   and 64 continuations on a CPU, 256 on a GPU. All continuations of one text
                   go together, even where they are more
    revision:      branch, tag or commit of a hub model; else its main branch
    allow_pickle:  accept weights that are not safetensors; unpickling a file can run any code
    seed:          what a language model's continuations are drawn from, together with the text
    continuations: n, how many a language model samples from each text
    tokens:        the most tokens of a continuation

    Raises InputError where a value cannot be meant.
    """

    device: str | None = None
    dtype: str = "float32"
    batch_size: int | None = None
    revision: str | None = None
    allow_pickle: bool = False
    seed: int = 0
    continuations: int = 20
    tokens: int = 20

    def __post_init__(self) -> None:
        self.of_process()
        for name, least in (("seed", 0), ("continuations", 1), ("tokens", 1)):
            value = getattr(self, name)
            try:
                good = operator.index(value) >= least and not isinstance(value, bool)
            except TypeError:
                good = False
            if not good:
                raise InputError(
                    f"{name} must be a whole number of at least {least}, not {value!r}"
                )

    def of_process(self) -> ProcessSettings:
        """The settings that a process knows too, as it knows (and checks) them."""
        return ProcessSettings(
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            revision=self.revision,
            allow_pickle=self.allow_pickle,
        )

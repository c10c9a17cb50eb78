"""What a user may choose about a baseline, checked before anything heavy is loaded."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from ..core.errors import InputError
from ..processes.settings import ProcessSettings


@dataclass(frozen=True)
class BaselineSettings:
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
    top_k:         each token of a continuation is drawn from that many likeliest ones; 0: from the
                   whole vocabulary. 50 is what the authors' code does: generate() of the version
                   of transformers that it asks for, 4.31, keeps 50 unless told otherwise
    strip:         leave out blanks at a text's end before it is read. The authors' code does not,
                   so that "Does it? " is read as "Does it? ."; nor does the default

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
    top_k: int = 50
    strip: bool = False

    def __post_init__(self) -> None:
        self.of_process()
        if self.dtype is None:
            raise InputError("dtype must be float32, float16, bfloat16 or float64, not None")
        for name, least in (("seed", 0), ("continuations", 1), ("tokens", 1), ("top_k", 0)):
            value = getattr(self, name)
            try:
                good = operator.index(value) >= least and not isinstance(value, bool)
            except TypeError:
                good = False
            if not good:
                raise InputError(
                    f"{name} must be a whole number of at least {least}, not {value!r}"
                )

        if not isinstance(self.strip, bool):
            raise InputError(f"strip must be True or False, not {self.strip!r:.80}")

    def of_process(self) -> ProcessSettings:
        """The settings that a process knows too, as it knows (and checks) them."""
        return ProcessSettings(
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            revision=self.revision,
            allow_pickle=self.allow_pickle,
        )

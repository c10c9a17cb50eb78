"""The settings of a baseline, checked before anything heavy is loaded."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from ..core.errors import InputError
from ..processes.settings import ProcessSettings


@dataclass(frozen=True)
class BaselineSettings:
    """How a model is read and run. Names that a process has too have the same meaning.

    device:        "cpu", "cuda", "cuda:1", "mps"; None is "cuda" if there is one, else "cpu"
    dtype:         arithmetic inside the network: float32, float16, bfloat16 or float64
    batch_size:    the maximum of texts or continuations in one batch; None is 32 texts, and 64
                   continuations on a CPU or 256 on a GPU. All continuations of one text go
                   together, even if they are more
    revision:      branch, tag or commit of a hub model; None is its main branch
    allow_pickle:  accept weights that are not safetensors; unpickling a file can run any code
    seed:          a language model's continuations are drawn from the seed and the text
    continuations: n, the continuations that a language model samples from each text
    tokens:        the maximum tokens of a continuation
    top_k:         each token of a continuation is drawn from this many most likely tokens; 0 draws
                   from the whole vocabulary. 50 is what the authors' code does: it uses
                   transformers 4.31, whose generate() has this default
    strip:         remove blanks at a text's end before it is read. The authors' code does not, so
                   it reads "Does it? " as "Does it? ."; the default follows it

    Raises InputError for an invalid value.
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
        for name, minimum in (("seed", 0), ("continuations", 1), ("tokens", 1), ("top_k", 0)):
            value = getattr(self, name)
            try:
                good = operator.index(value) >= minimum and not isinstance(value, bool)
            except TypeError:
                good = False
            if not good:
                raise InputError(
                    f"{name} must be a whole number of at least {minimum}, not {value!r}"
                )

        if not isinstance(self.strip, bool):
            raise InputError(f"strip must be True or False, not {self.strip!r:.80}")

    def of_process(self) -> ProcessSettings:
        """The settings that processes have too, as a ``ProcessSettings``, which checks them."""
        return ProcessSettings(
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            revision=self.revision,
            allow_pickle=self.allow_pickle,
        )

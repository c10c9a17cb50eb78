"""Texts in, pictures out: where the trajectories of Algorithm 1 end.

The pictures of all texts start from the same noise, as their trajectories do when a distance is
measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .core.checks import checked_process, whole
from .core.errors import InputError, NonFiniteError
from .core.process import GenerativeProcess
from .core.reading import check_texts
from .core.sampling import walk
from .core.spec import Signature, process_key, provenance
from .core.text import brief, text_fault


@runtime_checkable
class Decodes(Protocol):
    """A process whose latents stand for pictures. The distance needs no such method."""

    def decode(self, latents: Tensor) -> Tensor:
        """x_0 (n, *latent_shape) → pictures (n, 3, height, width), float in 0 … 1."""
        ...


def pictures(
    texts: Sequence[str],
    *,
    process: GenerativeProcess | None = None,
    samples: int = 1,
    seed: int = 0,
) -> Tensor:
    """The pictures that texts conjure, all from the same noise.

    process: what ``conjure.load`` returns; None is the process that comes with the package
    samples: k, pictures of each text; sample i starts from the noise of seed + i

    → (n, k, 3, height, width), float32 in 0 … 1 on the CPU. Their latents are the x_0 in which the
    trajectories of ``core.sampling.walk`` end. Raises InputError for a text, a number or a process
    that makes no sense, such as one that cannot decode, and NonFiniteError, which names the text,
    where the network or the decoder gives NaN or infinity.
    """
    texts = checked_texts(texts)
    samples, seed = whole("samples", samples, minimum=1), whole("seed", seed, minimum=0)
    if process is None:
        from .similarity import bundled

        process = bundled()
    decoder = checked_decoder(process)
    distinct = list(dict.fromkeys(texts))
    check_texts(process, [(text, text) for text in distinct])
    ends: Tensor | None = None
    for step in walk(process, distinct, range(seed, seed + samples), finish=True):
        ends = step.x_next  # the last one stays: x_0
    assert ends is not None
    found = {
        text: _decoded(decoder, text, latents) for text, latents in zip(distinct, ends, strict=True)
    }
    return torch.stack([found[text] for text in texts])


def picture_rows(process: GenerativeProcess, texts: Sequence[str], samples: int) -> int:
    """How many network rows ``pictures`` computes; all texts share ε_∅ at pure noise."""
    steps, count = len(process.schedule), len({*texts})
    conditional = count * steps
    if process.unconditional() is None:
        return samples * conditional
    return samples * (conditional + count * (steps - 1) + 1)


def picture_signature(process: GenerativeProcess, samples: int, seed: int) -> Signature:
    """How pictures came about: the process, k and the first seed."""
    key = {**process_key(process), "samples": samples, "seed": seed}
    return Signature(key, provenance(process))


def checked_texts(texts: Sequence[str]) -> list[str]:
    """Raise InputError unless these are texts, at least one."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise InputError(f"texts must be a list of texts, not {brief(texts)}")
    if not texts:
        raise InputError("there is no text: give one or more")
    for place, text in enumerate(texts, start=1):
        if fault := text_fault(text):
            raise InputError(f"text {place} {fault}")
    return list(texts)


def checked_decoder(process: GenerativeProcess) -> Decodes:
    """Raise InputError unless this is a process that can decode latents."""
    checked = checked_process(process)
    if not isinstance(checked, Decodes):
        raise InputError(
            f"process {checked.name!r:.80} has no pictures: it lacks decode(latents), which "
            "pipelines that conjure.load reads have"
        )
    return checked


def _decoded(decoder: Decodes, text: str, latents: Tensor) -> Tensor:
    """The pictures of one text's latents: (k, 3, height, width)."""
    decoded = decoder.decode(latents).to("cpu", torch.float32)
    if not decoded.isfinite().all():
        raise NonFiniteError(
            f"the decoder gave NaN or infinity for {brief(text)}: try dtype float32"
        )
    return decoded

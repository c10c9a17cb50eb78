"""Two processes as one, so that one text can be compared between them.

A text is given as ``first(text)`` or ``second(text)``. So the distance of ``first("a cat")`` and
``second("a cat")`` is the Jeffreys divergence between what the two processes do for "a cat".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.process import GenerativeProcess, GuidanceMode, Solver
from ..core.sampling import guide
from ..core.spec import Fact, process_key, refresh
from ..core.text import brief
from ..core.types import Conditioning

_MARKS = ("1 ", "2 ")
# What both processes must share, so that a state of one is a state of the other.
_SHARED = ("sampler", "schedule", "latent_shape", "latent_dtype", "device")
_COMPARISON = ("compare", "comparison_scale", "comparison_shift")  # see core/currency.py


def first(text: str) -> str:
    """The text, in the first process."""
    return _MARKS[0] + text


def second(text: str) -> str:
    """The text, in the second process."""
    return _MARKS[1] + text


class SideBySide:
    """A ``GenerativeProcess`` that predicts each row with the process that its text names.

    Its prediction is the guided one, since the two processes may subtract unlike ε_∅. So it has no
    guidance of its own, and a row takes two network rows where its process has guidance.

    Raises InputError where the two do not share sampler, schedule and latents.
    """

    guidance = 1.0
    guidance_mode: GuidanceMode = "none"

    def __init__(self, one: GenerativeProcess, other: GenerativeProcess) -> None:
        for name in (*_SHARED, *_COMPARISON):
            mine, theirs = (getattr(process, name, None) for process in (one, other))
            if mine != theirs:
                raise InputError(
                    f"one text cannot be compared between {brief(one.name)} and"
                    f" {brief(other.name)}: their {name} differ"
                )
        self.processes = (one, other)
        self.name = f"{one.name} beside {other.name}"
        self.refresh()
        self.sampler, self.schedule = one.sampler, one.schedule
        self.latent_shape, self.latent_dtype = one.latent_shape, one.latent_dtype
        self.dtype, self.device = one.dtype, one.device
        self.batch_size = min(one.batch_size, other.batch_size)
        for name in _COMPARISON:
            if hasattr(one, name):
                setattr(self, name, getattr(one, name))
        self.settings = _settings(process_key(one), process_key(other))

    def refresh(self) -> None:
        """Both revisions as things stand now; a network may have been edited since."""
        for process in self.processes:
            refresh(process)
        revisions = [process.revision for process in self.processes]
        self.revision = "+".join(revisions) if all(revisions) else ""

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        """Rows that hold a text's conditioning in both processes, and which of them is meant."""
        which = torch.tensor([_MARKS.index(text[: len(_MARKS[0])]) for text in prompts])
        texts = [text[len(_MARKS[0]) :] for text in prompts]
        tensors = {"which": which}
        for n, process in enumerate(self.processes):
            rows = process.embed(texts).tensors
            tensors |= {f"{n} {name}": tensor for name, tensor in rows.items()}
        return Conditioning(tensors)

    def unconditional(self) -> None:
        """Nothing is subtracted: predictions are guided already."""
        return None

    def predict(self, x: Tensor, step: Tensor, conditioning: Conditioning) -> Tensor:
        """The guided prediction, each row by its own process; shapes as in the protocol."""
        which = conditioning.tensors["which"].to(x.device)
        found: list[Tensor] = []
        places: list[Tensor] = []
        for n, process in enumerate(self.processes):
            rows = (which == n).nonzero().squeeze(1)
            if len(rows):
                cond = Conditioning(
                    {
                        name.removeprefix(f"{n} "): tensor[rows.to(tensor.device)]
                        for name, tensor in conditioning.tensors.items()
                        if name.startswith(f"{n} ")
                    }
                )
                found.append(_guided(process, x[rows], step[rows.to(step.device)], cond))
                places.append(rows)
        wide = max((each.dtype for each in found), key=lambda dtype: dtype.itemsize)
        order = torch.argsort(torch.cat(places))
        return torch.cat([each.to(wide) for each in found])[order]

    def solver(self) -> Solver:
        return self.processes[0].solver()


def _settings(one: Mapping[str, Fact], other: Mapping[str, Fact]) -> dict[str, Fact]:
    """The facts in which two keys differ, and the guidance of both, which are no facts of ours."""
    names = dict.fromkeys([*one, *other])
    told = [
        name
        for name in names
        if name.startswith("guidance") or (name != "revision" and one.get(name) != other.get(name))
    ]
    keys = enumerate((one, other), start=1)
    return {f"{name}{n}": key.get(name) for n, key in keys for name in told}


def _guided(process: GenerativeProcess, x: Tensor, step: Tensor, cond: Conditioning) -> Tensor:
    eps = process.predict(x, step, cond)
    uncond = process.unconditional()
    if uncond is None:
        return eps
    eps = eps.clone()  # the process may use its memory for the next batch
    eps_uncond = process.predict(x, step, uncond.rows([0] * len(x)))
    return guide(eps, eps_uncond, process.guidance)

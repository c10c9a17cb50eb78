"""From one text's picture to the other's, along the same noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import checked_pairs, checked_seeds, whole
from ..core.errors import InputError, NonFiniteError
from ..core.planner import Plan
from ..core.process import GenerativeProcess
from ..core.reading import check_texts
from ..core.sampling import TrajectorySampler
from ..core.spec import Signature, process_key, provenance
from ..core.types import Conditioning, Pair
from ..decoding import Decodes, checked_decoder, picture_rows
from ..similarity import bundled
from .pictures import END_SIDE, shrunk
from .record import Array, Picture

FRAMES = 24
MOST = 1000  # frames


@dataclass(frozen=True)
class Morph:
    """Pictures between two texts, all from the same noise.

    texts:     (text1, text2)
    frames:    (n, H, W, 3) in 0 … 1; the first is the picture of text1, the last that of text2
    shares:    (n,) of text2 in the conditioning, from 0 to 1
    signature: how it was made
    """

    texts: Pair
    frames: Picture
    shares: Array
    signature: Signature


def morph(
    text1: str,
    text2: str,
    *,
    process: GenerativeProcess | None = None,
    frames: int = FRAMES,
    seed: int = 0,
) -> Morph:
    """Pictures from that of one text to that of another, in equal steps of the conditioning.

    Every frame starts from the noise of ``seed`` and is guided by (1 − s) · text1 + s · text2, a
    straight line between the two texts' conditioning. The ends are the pictures of
    ``conjure.pictures``. What lies between shows the process, not a path of equal distances.

    frames: at least 2. A picture has at most 512 pixels a side; larger ones are averaged

    Raises InputError for an invalid text, number or process, such as one without a decoder, and
    NonFiniteError if the network or the decoder gives NaN.
    """
    [texts] = checked_pairs([(text1, text2)])
    frames = checked_frames(frames)
    seed = checked_seeds(seed, 1)
    process = bundled() if process is None else process
    decoder = checked_decoder(process)
    check_texts(process, [texts])
    shares = torch.linspace(0, 1, frames, dtype=torch.float64)
    drawn = list(_drawn(process, decoder, texts, shares, seed))
    key = {**process_key(process), "seed": seed, "frames": frames}
    pictures: Picture = torch.cat(drawn).permute(0, 2, 3, 1).contiguous().numpy()
    return Morph(texts, pictures, shares.numpy(), Signature(key, provenance(process)))


def checked_frames(frames: int) -> int:
    """The number of frames, or InputError."""
    frames = whole("frames", frames, minimum=2)
    if frames > MOST:
        raise InputError(f"frames must be at most {MOST:,}, not {frames:,}")
    return frames


def morph_plan(process: GenerativeProcess, frames: int) -> Plan:
    """The cost of ``morph`` in network rows. Raises InputError for a process without a decoder."""
    checked_decoder(process)
    together = _together(process)
    groups = [min(together, frames - start) for start in range(0, frames, together)]
    rows = sum(picture_rows(process, [str(n) for n in range(count)], 1) for count in groups)
    if process.unconditional() is not None:
        rows -= len(groups) - 1  # all groups share ε_∅ at the noise
    return Plan((), rows, 0)


def _together(process: GenerativeProcess) -> int:
    """How many frames walk at once: a batch."""
    return max(1, process.batch_size)


def _drawn(
    process: GenerativeProcess, decoder: Decodes, texts: Pair, shares: Tensor, seed: int
) -> Iterator[Tensor]:
    """(some frames, 3, H, W) at a time."""
    sampler = TrajectorySampler(process)
    ends = process.embed(list(texts))
    together = _together(process)
    for start in range(0, len(shares), together):
        some = shares[start : start + together]
        cond = between(ends, some)
        names = [f"{texts[0]} → {texts[1]}, {float(share):.2f}" for share in some]
        last = None
        with torch.no_grad():
            for step in sampler.walk(names, cond, [seed], finish=True):
                last = step.x_next
        assert last is not None
        drawn = decoder.decode(last[:, 0]).to("cpu", torch.float32)
        if not drawn.isfinite().all():
            raise NonFiniteError("the decoder gave NaN or infinity: try dtype float32")
        yield shrunk(drawn, END_SIDE)


def between(ends: Conditioning, shares: Tensor) -> Conditioning:
    """The conditioning (1 − s) · first + s · second for each s: n rows from two.

    Whole numbers and truth values, as those of a mask, cannot be mixed. The ends keep theirs; a row
    between takes the larger one, so that it attends to all that either end attends to.
    """
    return Conditioning({name: _mixed(tensor, shares) for name, tensor in ends.tensors.items()})


def _mixed(tensor: Tensor, shares: Tensor) -> Tensor:
    first, second = tensor
    if not tensor.is_floating_point():
        inner = torch.maximum(first, second)
        return torch.stack(
            [first if s == 0 else second if s == 1 else inner for s in shares.tolist()]
        )
    wide = torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else tensor.dtype
    weights = shares.to(tensor.device, wide).reshape(-1, *[1] * first.dim())
    mixed: Tensor = (1 - weights) * first.to(wide) + weights * second.to(wide)
    return mixed.to(tensor.dtype)

"""How much memory a pipeline's weights take, read from their headers before they are loaded."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

import torch

from ..core.errors import LowMemoryWarning
from ..core.memory import free_bytes
from ..core.reading import tell
from .family import Family
from .folders import part_weights
from .settings import ProcessSettings
from .swapped import Elsewhere

_GB = 1e9
_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")  # these are cast to the dtype
_SIZES = {"I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def weight_bytes(
    folder: Path, family: Family, settings: ProcessSettings, elsewhere: Elsewhere, dtype: str
) -> dict[str, int]:
    """part → bytes of its weights in that dtype; a single file counts as one part."""
    sizes = {}
    for part in family.networks:
        place = elsewhere.swapped[part].folder if part in elsewhere.swapped else folder / part
        _, files = part_weights(place.parent, place.name, settings)
        if elsewhere.file is None or part in elsewhere.swapped:
            sizes[part] = sum(file_bytes(file, dtype) for file in files)
    if elsewhere.file is not None:
        sizes[elsewhere.file.name] = file_bytes(elsewhere.file, dtype)
    return sizes


def file_bytes(file: Path, dtype: str) -> int:
    """The bytes that the tensors of a file take in memory; a pickle's own size.

    0 for an index, and for a damaged file, which is refused when it is read.
    """
    if file.suffix == ".json":
        return 0
    if file.suffix != ".safetensors":
        return file.stat().st_size
    width = getattr(torch, dtype).itemsize
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(min(length, 100_000_000)))
        return sum(
            math.prod(entry["shape"])
            * (width if entry["dtype"] in _FLOATS else _SIZES.get(entry["dtype"], width))
            for name, entry in header.items()
            if name != "__metadata__"
        )
    except (struct.error, ValueError, LookupError, TypeError, AttributeError):
        return 0


def check_memory(
    source: str, sizes: Mapping[str, int], device: torch.device, dtype: str, offload: bool
) -> None:
    """Warn (LowMemoryWarning), in one line, where the weights exceed what is free.

    All weights are read into the machine's memory first. A GPU then needs all of them, or with
    ``offload`` the largest part at a time.
    """
    total, largest = sum(sizes.values()), max(sizes.values(), default=0)
    needs = {"cpu": total}
    if device.type != "cpu":
        needs[str(device)] = largest if offload else total
    for name, needed in needs.items():
        free = free_bytes(torch.device(name))
        if free is None or needed <= free:
            continue
        parts = ", ".join(
            f"{part} {size / _GB:.3g}"
            for part, size in sorted(sizes.items(), key=lambda item: -item[1])
        )
        smaller = [] if dtype in ("float16", "bfloat16") else ["dtype bfloat16 or float16"]
        smaller += [] if offload or device.type == "cpu" or name == "cpu" else ["offload"]
        remedy = f": try {' or '.join(smaller)}" if smaller else ""
        tell(
            LowMemoryWarning(
                f"{source} needs about {needed / _GB:.3g} GB for its weights in {dtype} (in GB:"
                f" {parts}), and {name} has {free / _GB:.3g} GB free{remedy}"
            )
        )
        return

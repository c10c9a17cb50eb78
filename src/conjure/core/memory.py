"""How much memory a run may take for what it keeps, where nobody has said."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_SHARE = 4  # of what is free, one part in so many: the network and its batches want the rest
_UNKNOWN = 2**30


def automatic_bound(device: torch.device) -> int:
    """A quarter of what is free on the device, in bytes, down to a power of two.

    Rounded so that two calls within a minute mostly agree.
    """
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = min(_free_here(), _free_in_group())
    return 1 << max(20, (free // _SHARE).bit_length() - 1)


def _free_here() -> int:
    """What the machine could give; where only Linux tells, half of all there is."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = dict(line.split(":") for line in lines)
        return int(found["MemAvailable"].split()[0]) * 1024
    except (OSError, LookupError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):  # Windows
        return _UNKNOWN * _SHARE


def _free_in_group() -> int:
    """What a container's limit leaves (cgroup 2), or more than there is where there is none."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        return max(0, limit - used)
    except (OSError, ValueError):  # no such file, or "max"
        return 2**63

"""The memory that a run may use for kept trajectories, if ``max_memory`` is not given."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_SHARE = 4  # a quarter of what is free: the network and its batches need the rest
_UNKNOWN = 2**30  # bytes, if the system does not say what is free


def automatic_bound(device: torch.device) -> int:
    """A quarter of the free memory of the device, in bytes, rounded down to a power of two.

    Rounded so that two calls within a minute usually agree.
    """
    if device.type == "cuda" and torch.cuda.is_available():  # else it is of another machine
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = min(_free_here(), _free_in_group(), _free_addresses())
    return 1 << max(20, (free // _SHARE).bit_length() - 1)


def free_bytes(device: torch.device) -> int | None:
    """The free memory of a device, or of the machine, in bytes; None if it is not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(_free_here(), _free_in_group(), _free_addresses()) if device.type == "cpu" else None


def _free_here() -> int:
    """The free memory of the machine in bytes. Only Linux says it; elsewhere half of the total."""
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
    """What a container's limit (cgroup 2) leaves, in bytes; 2⁶³ if there is no limit."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        return max(0, limit - used)
    except (OSError, ValueError):  # no such file, or "max"
        return 2**63


def _free_addresses() -> int:
    """What a limit of the address space (``ulimit -v``) leaves, in bytes; 2⁶³ if there is none."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, LookupError, ValueError):  # Windows; a system without /proc
        return 2**63
    return 2**63 if limit == resource.RLIM_INFINITY else max(0, limit - used)

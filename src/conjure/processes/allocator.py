"""Let the C library keep freed memory for the next batch.

A network on a CPU allocates and frees tens of megabytes a layer. glibc by default takes such blocks
from the system one by one and gives them back at once, and the system clears every page again: an
eighth of the time of the bundled network (``docs/performance.md``).
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # M_… of malloc.h
MIB = 1024**2


def keep_freed_memory() -> bool:
    """Tell glibc's malloc, for the whole of this Python; whether there is one to be told.

    Up to 512 MiB of freed memory then stay with the program instead of going back to the system.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = ((_MMAP_THRESHOLD, 32 * MIB), (_TRIM_THRESHOLD, 512 * MIB), (_TOP_PAD, 64 * MIB))
    return all(mallopt(option, value) == 1 for option, value in wanted)

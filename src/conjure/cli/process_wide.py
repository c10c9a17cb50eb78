"""Settings of the whole Python process. The command line makes them; the library never does.

**Freed memory.** A network on a CPU allocates and frees tens of megabytes a layer. By default glibc
takes such blocks from the system one by one and gives them back at once. The system clears every
page again, which takes an eighth of the time of the bundled network (``docs/performance.md``).

**Garbage collection.** It goes through everything that the imports of torch, diffusers and
transformers create, many times, and finds next to nothing to free. That takes a quarter of their
time.
"""

from __future__ import annotations

import ctypes
import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # M_… of malloc.h
MIB = 1024**2


def keep_freed_memory() -> bool:
    """Let glibc's malloc keep up to 512 MiB of freed memory for the program's next allocations.

    → whether it does; False where the C library is another one.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = ((_MMAP_THRESHOLD, 32 * MIB), (_TRIM_THRESHOLD, 512 * MIB), (_TOP_PAD, 64 * MIB))
    return all(mallopt(option, value) == 1 for option, value in wanted)


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection within; afterwards it is as before."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()

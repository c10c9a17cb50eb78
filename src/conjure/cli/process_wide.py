"""Settings of the whole Python process. The command line makes them; the library never does.

**Freed memory.** A network on a CPU allocates and frees tens of megabytes a layer. By default glibc
takes such blocks from the system one by one and gives them back at once. The system clears every
page again, which takes an eighth of the time of the former bundled network
(``docs/performance.md``).
Memory that is kept gets holes: between two trajectories that are held, a batch was freed. Over
thousands of pairs they add up, so they are given back from time to time.

**Garbage collection.** It goes through everything that the imports of torch, diffusers and
transformers create, many times, and finds next to nothing to free. That takes a quarter of their
time.

**The hub.** ``--offline`` is what HF_HUB_OFFLINE says, for whatever a command reads: processes,
adapters, baselines, data sets.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import InputError

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # M_… of malloc.h
MIB = 1024**2
KEPT = 512 * MIB  # of freed memory, at most, for what comes next
HOLES = 20.0  # seconds after which memory that is free below is given back
LEAST_ADDRESSES = 2048 * MIB  # that torch, diffusers and pyarrow take; with less they may crash
_SAID = (  # by libraries that have no exception of their own for it
    *("can't allocate memory", "cannot allocate memory", "failed to map segment", "out of memory"),
    *("can't start new thread", "bad_alloc"),
)


def keep_freed_memory(holes: float = HOLES) -> bool:
    """Let glibc's malloc keep up to 512 MiB of freed memory for the program's next allocations.

    Holes below are given back every ``holes`` seconds.

    → whether it does; False where the C library is another one.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    wanted = ((_MMAP_THRESHOLD, 32 * MIB), (_TRIM_THRESHOLD, KEPT), (_TOP_PAD, 64 * MIB))
    kept = all(libc.mallopt(option, value) == 1 for option, value in wanted)

    def give_back() -> None:
        while True:
            time.sleep(holes)
            libc.malloc_trim(ctypes.c_size_t(KEPT))

    threading.Thread(target=give_back, name="malloc_trim", daemon=True).start()
    return kept


def check_address_space() -> None:
    """Raise InputError where ``ulimit -v`` leaves no room for the libraries, which would crash."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < LEAST_ADDRESSES:
        raise InputError(
            f"this shell allows {limit / 2**30:.1f} GiB of address space (ulimit -v), and the "
            f"libraries alone take {LEAST_ADDRESSES // 2**30} GiB: raise the limit"
        )


def no_memory(error: Exception) -> str | None:
    """What to say of an error if memory ran out, where no smaller batch helps; else None.

    >>> no_memory(MemoryError())
    'memory ran out (MemoryError): close other programs, or give a smaller --batch-size or --dtype'
    >>> no_memory(RuntimeError("no"))
    """
    said = str(error).lower()
    known = isinstance(error, RuntimeError | ImportError) and any(word in said for word in _SAID)
    if not (isinstance(error, MemoryError) or known):
        return None
    return (
        f"memory ran out ({type(error).__name__}): close other programs, or give a smaller "
        "--batch-size or --dtype"
    )


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


@contextmanager
def offline() -> Iterator[None]:
    """Within it, nothing asks the hub; afterwards it is as before."""
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
    constants = sys.modules.get("huggingface_hub.constants")
    loaded = getattr(constants, "HF_HUB_OFFLINE", False)
    if constants is not None:
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before
        if constants is not None:
            constants.HF_HUB_OFFLINE = loaded  # type: ignore[attr-defined]

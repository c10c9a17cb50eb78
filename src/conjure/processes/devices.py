"""The device, its arithmetic, and how many rows it is given at once."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import torch

from ..core.errors import InputError, SlowDtypeWarning
from ..core.reading import tell
from .settings import ProcessSettings

# What Linux calls a processor's instructions for half precision, on x86 and on ARM.
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
_FLOAT16 = {"avx512_fp16", "amx_fp16", "asimdhp"}
_CPUINFO = Path("/proc/cpuinfo")


def settle(settings: ProcessSettings) -> tuple[torch.device, ProcessSettings]:
    """The device, tried out, and the settings with "auto" replaced by the dtype that it becomes.

    Raises InputError as ``find_device`` does.
    """
    device = find_device(settings.device, settings.dtype)
    check_offload(settings, device)
    if settings.dtype is not None:
        settings = replace(settings, dtype=settle_dtype(settings.dtype, device))
    return device, settings


def check_offload(settings: ProcessSettings, device: torch.device) -> None:
    """Raise InputError where nothing can be offloaded."""
    if not settings.offload:
        return
    if device.type == "cpu":
        raise InputError("offload goes with a GPU: on the CPU all weights are in its memory anyway")
    if importlib.util.find_spec("accelerate") is None:
        raise InputError("offload needs accelerate: pip install 'conjure[accelerate]'")


def find_device(name: str | None, dtype: str | None) -> torch.device:
    """The device of that name, tried out; None: "cuda" where there is one, else "cpu".

    Raises InputError where it cannot be used, or not with that dtype.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = None if dtype == "auto" else dtype
    try:
        device = torch.device(name)
        torch.ones(1, dtype=getattr(torch, dtype or "float32"), device=device).sum().item()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        have = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        have += ["mps"] if torch.backends.mps.is_available() else []
        with_dtype = f" with {dtype}" if dtype else ""
        raise InputError(
            f"device {name!r} cannot be used here{with_dtype}; there is {', '.join(['cpu', *have])}"
        ) from error
    return device


def settle_dtype(dtype: str, device: torch.device) -> str:
    """What "auto" becomes on a device; any other dtype as it is, with a warning where it is slow.

    CUDA: bfloat16 where the GPU has it, else float16. A CPU: bfloat16 where it has instructions for
    it, else float32. Any other device: float32.
    """
    half = native_half(device)
    if dtype == "auto":
        known = half or frozenset()
        if "bfloat16" in known:
            return "bfloat16"
        # only a GPU: float16's range is narrow, and on a CPU it gains little
        return "float16" if device.type == "cuda" else "float32"
    if half is not None and dtype in ("bfloat16", "float16") and dtype not in half:
        # the bundled network on one AVX2 core, rows a processor-second: 347 in float32,
        # 35 in bfloat16, 40 in float16
        slow = "about ten times slower than float32" if device.type == "cpu" else "slow"
        tell(
            SlowDtypeWarning(
                f"this processor ({device.type}) has no instructions for {dtype}, which is {slow}"
                ' there: use dtype "auto"'
            )
        )
    return dtype


def native_half(device: torch.device) -> frozenset[str] | None:
    """Which of bfloat16 and float16 a device computes with natively; None: not known."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        return frozenset({"float16", "bfloat16"} if native else {"float16"})
    flags = cpu_flags() if device.type == "cpu" else None
    if flags is None:
        return None
    known = {"bfloat16": _BFLOAT16, "float16": _FLOAT16}
    return frozenset(dtype for dtype, names in known.items() if flags & names)


def cpu_flags() -> frozenset[str] | None:
    """The names of this processor's instruction sets, as Linux lists them; None elsewhere."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return None


def default_batch_size(device: torch.device, latent_shape: tuple[int, ...]) -> int:
    """Rows that keep the device busy and still fit: fewer, the larger the pictures.

    Work and memory of a row grow with its latent positions. A GPU is busy from about 2¹⁶ of them:
    16 rows of SD 1.4's 64×64, in fp16 within 8 GB. A CPU is busy with far less, 32 rows of 8×8;
    beyond that a batch costs memory and gains nothing.
    """
    positions = latent_shape[-2] * latent_shape[-1]
    if device.type == "cpu":
        return min(max(2048 // positions, 4), 32)
    return min(max(65536 // positions, 4), 256)

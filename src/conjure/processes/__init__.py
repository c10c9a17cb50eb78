"""Diffusers pipelines → ``GenerativeProcess``. Nothing heavy is imported before ``load``."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .settings import DTYPES, SAMPLERS, ProcessSettings

if TYPE_CHECKING:
    from .stable_diffusion import StableDiffusion

__all__ = ["DTYPES", "SAMPLERS", "ProcessSettings", "load"]


def load(source: str | os.PathLike[str] = "emoji", **settings: Any) -> StableDiffusion:
    """A generative process: the bundled one, a pipeline folder, or a model of the hub.

    source:   "emoji", which ships with the package; the path of a ``StableDiffusionPipeline``
              folder; or a hub id such as "CompVis/stable-diffusion-v1-4"
    settings: the fields of ``ProcessSettings``

    Raises InputError, in one line that says what to do, where that cannot be had.
    """
    chosen = ProcessSettings(**settings)  # before the seconds that the imports below take
    with _uncollected():
        from .hub import open_pipeline
        from .stable_diffusion import StableDiffusion, find_device

        device = find_device(chosen.device, chosen.dtype)  # before gigabytes are fetched
        return StableDiffusion(open_pipeline(source, chosen), device, chosen)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let Python's garbage collector rest: it takes a quarter of the time of importing torch.

    It walks over all that the imports make, again and again, and finds next to nothing to free.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()

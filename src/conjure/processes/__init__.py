"""Diffusers pipelines → ``GenerativeProcess``. Nothing heavy is imported before ``load``."""

from __future__ import annotations

import os
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
    from .hub import open_pipeline
    from .stable_diffusion import StableDiffusion, find_device

    device = find_device(chosen.device, chosen.dtype)  # before gigabytes are fetched
    return StableDiffusion(open_pipeline(source, chosen), device, chosen)

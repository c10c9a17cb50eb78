"""Diffusers pipelines → ``GenerativeProcess``. Nothing heavy is imported before ``load``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .settings import DTYPES, SAMPLERS, ProcessSettings

if TYPE_CHECKING:
    from .stable_diffusion import StableDiffusion

__all__ = ["DTYPES", "SAMPLERS", "ProcessSettings", "load"]


def load(
    source: str | os.PathLike[str] = "emoji",
    *,
    sampler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
    compile: bool = False,
    revision: str | None = None,
    variant: str | None = None,
    allow_pickle: bool = False,
) -> StableDiffusion:
    """A generative process: the bundled one, a pipeline folder, or a model of the hub.

    source:       "emoji", which ships with the package; the path of a ``StableDiffusionPipeline``
                  folder; or a hub id such as "CompVis/stable-diffusion-v1-4"
    sampler:      "lms", "euler", "euler-ancestral", "ddim", "ddpm" or "dpm-solver++"; None is what
                  the model recommends, else "lms"
    steps:        T, at least 1 and at most the training steps; None: recommended, else 10
    guidance:     w in ε_∅ + w (ε_y − ε_∅), at least 0; None: recommended, else 7.5
    device:       "cpu", "cuda", "cuda:1", "mps"; None: "cuda" where there is one, else "cpu"
    dtype:        arithmetic inside the networks: "float32", "float16", "bfloat16" or "float64";
                  None is "float32". Latents are float32, or float64 with "float64"
    batch_size:   most rows the network is given at once; None: what suits device and latents
    compile:      run the network through ``torch.compile``: for runs of minutes
    revision:     branch, tag or commit of a hub model; None is its main branch
    variant:      which of several weight files, for example "fp16"
    allow_pickle: accept weights that are not safetensors; unpickling a file can run any code

    No code of a folder or of the hub is run. Raises InputError, in one line that says what to do,
    where that cannot be had.
    """
    chosen = ProcessSettings(  # before the seconds that the imports below take
        sampler=sampler,
        steps=steps,
        guidance=guidance,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        compile=compile,
        revision=revision,
        variant=variant,
        allow_pickle=allow_pickle,
    )
    from .hub import open_pipeline
    from .stable_diffusion import StableDiffusion, find_device

    found = find_device(chosen.device, chosen.dtype)  # before gigabytes are fetched
    return StableDiffusion(open_pipeline(source, chosen), found, chosen)

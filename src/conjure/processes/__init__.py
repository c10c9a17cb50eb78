"""Diffusers pipelines → ``GenerativeProcess``. Nothing heavy is imported before ``load``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .family import Family, Part
from .registry import register_family
from .settings import DTYPES, SAMPLERS, ProcessSettings
from .sources import find_source

if TYPE_CHECKING:
    from .base import PipelineProcess

__all__ = ["DTYPES", "SAMPLERS", "Family", "Part", "ProcessSettings", "load", "register_family"]


def load(
    source: str | os.PathLike[str] = "emoji",
    *,
    sampler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    compare: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
    compile: bool = False,
    revision: str | None = None,
    variant: str | None = None,
    allow_pickle: bool = False,
    allow_code: bool = False,
) -> PipelineProcess:
    """A generative process: the bundled one, a pipeline folder, a model of the hub, or your own.

    source:       "emoji", which ships with the package; the path of a diffusers pipeline's
                  folder; or a hub id such as "CompVis/stable-diffusion-v1-4". Its class must be
                  of a known family (``docs/families.md``). Or the name of a process that an
                  installed package registers, such as "mypkg:thing"
                  (``docs/your-own-process.md``)
    sampler:      "lms", "euler", "euler-ancestral", "ddim", "ddpm" or "dpm-solver++"; None is what
                  the model recommends, else "lms"
    steps:        T, at least 1 and at most the training steps; None: recommended, else 10
    guidance:     w in ε_∅ + w (ε_y − ε_∅), at least 0; None: recommended, else 7.5
    compare:      what is compared at each step: "epsilon", "score", "velocity", or "output", the
                  network's own prediction (``docs/estimands.md``); None is "epsilon"
    device:       "cpu", "cuda", "cuda:1", "mps"; None: "cuda" where there is one, else "cpu"
    dtype:        arithmetic inside the networks: "float32", "float16", "bfloat16", "float64",
                  or "auto": the fastest that the device computes with natively. None is
                  "float32". Latents are float32, or float64 with "float64"
    batch_size:   most rows the network is given at once; None: what suits device and latents
    compile:      run the network through ``torch.compile``: for runs of minutes
    revision:     branch, tag or commit of a hub model; None is its main branch
    variant:      which of several weight files, for example "fp16"
    allow_pickle: accept weights that are not safetensors; unpickling a file can run any code
    allow_code:   let the source be any MODULE:CALLABLE: it is imported and called

    No code of a folder or of the hub is run. A process of your own is returned as it is, and has
    the methods that it has. Raises InputError, in one line that says what to do,
    where there is no such process. Warns with SlowDtypeWarning of a dtype that the processor has no
    instructions for.
    """
    chosen = ProcessSettings(  # before the seconds that the imports below take
        sampler=sampler,
        steps=steps,
        guidance=guidance,
        compare=compare,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        compile=compile,
        revision=revision,
        variant=variant,
        allow_pickle=allow_pickle,
        allow_code=allow_code,
    )
    own = find_source(source, chosen)
    if own is not None:
        return own(chosen)
    from .devices import settle
    from .hub import open_pipeline

    found, settled = settle(chosen)  # before gigabytes are fetched
    opened = open_pipeline(source, settled)
    return opened.family.process(opened, found, settled)

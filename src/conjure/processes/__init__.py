"""Diffusers pipelines → ``GenerativeProcess``. Nothing heavy is imported before ``load``."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
    negative_prompt: str | None = None,
    size: tuple[int, int] | str | int | None = None,
    true_cfg_scale: float | None = None,
    eta: float | None = None,
    preset: str | None = None,
    compare: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
    compile: bool = False,
    offload: bool = False,
    revision: str | None = None,
    variant: str | None = None,
    token: str | None = None,
    offline: bool = False,
    config: str | os.PathLike[str] | None = None,
    unet: str | os.PathLike[str] | None = None,
    transformer: str | os.PathLike[str] | None = None,
    text_encoder: str | os.PathLike[str] | None = None,
    vae: str | os.PathLike[str] | None = None,
    lora: Sequence[str] = (),
    allow_pickle: bool = False,
    allow_code: bool = False,
) -> PipelineProcess:
    """A generative process: the bundled one, a pipeline folder, a model of the hub, or your own.

    source:       "emoji", which ships with the package; the path of a diffusers pipeline's
                  folder; or a hub id such as "CompVis/stable-diffusion-v1-4". Its class must be
                  of a known family (``docs/families.md``). Or the name of a process that an
                  installed package registers, such as "mypkg:thing"
                  (``docs/your-own-process.md``)
    sampler:      "lms", "euler", "euler-ancestral", "ddim", "ddpm", "dpm-solver++", or "native":
                  the pipeline's own scheduler with its own configuration; None is what the model
                  recommends, else "lms"
    steps:        T, at least 1 and at most the training steps; None: recommended, else 10
    guidance:     w in ε_∅ + w (ε_y − ε_∅), at least 0; None: recommended, else 7.5
    negative_prompt: what guidance subtracts in place of what the family does: for most the empty
                  prompt, for SDXL zeros
    size:         (width, height) of a picture in pixels, "512x768", or a number for a square; None
                  is what the network was made for
    true_cfg_scale: for Flux.1: a guidance with a prompt to subtract, besides the guidance that dev
                  is told; None is 1, without it
    eta:          η of ddim, from 0 to 1; None is 0, its ODE
    preset:       "paper": lms, T = 10, w = 7.5 and 512x512, whatever the model recommends
    compare:      what is compared at each step: "epsilon", "score", "velocity", or "output", the
                  network's own prediction (``docs/estimands.md``); None is "epsilon"
    device:       "cpu", "cuda", "cuda:1", "mps"; None: "cuda" where there is one, else "cpu"
    dtype:        arithmetic inside the networks: "float32", "float16", "bfloat16", "float64",
                  or "auto": the fastest that the device computes with natively. None is
                  "float32". Latents are float32, or float64 with "float64"
    batch_size:   most rows the network is given at once; None: what suits device and latents
    compile:      run the network through ``torch.compile``: for runs of minutes
    offload:      keep on the GPU only the part that works: text encoders leave it once the prompts
                  are embedded. Needs ``pip install 'conjure[accelerate]'``
    revision:     branch, tag or commit of a hub model; None is its main branch
    variant:      which of several weight files, for example "fp16"
    token:        the hub's access token; None is HF_TOKEN or what `hf auth login` stored
    offline:      ask no hub, as HF_HUB_OFFLINE: what is not cached whole is refused
    config:       where the source is a single .safetensors file: the folder or hub id of its base
                  model. Needs ``pip install 'conjure[accelerate]'``
    unet:         a folder to read the UNet from, in place of the process's own: the part's folder,
                  or a pipeline's (``docs/weights.md``)
    transformer:  the same for a transformer that denoises
    text_encoder: the same for the text encoder
    vae:          the same for the VAE
    lora:         adapters to add, each "ID" or "ID:scale" (by default 1): a safetensors file, a
                  folder or a hub id. Needs ``pip install 'conjure[lora]'``
    allow_pickle: accept weights that are not safetensors; unpickling a file can run any code
    allow_code:   let the source be any MODULE:CALLABLE: it is imported and called

    No code of a folder or of the hub is run. A process of your own is returned as it is, and has
    the methods that it has. Raises InputError, in one line that says what to do,
    where there is no such process. Warns with SlowDtypeWarning of a dtype that the processor has no
    instructions for, and with ZeroGuidanceWarning at guidance 0.
    """
    chosen = ProcessSettings(  # before the seconds that the imports below take
        sampler=sampler,
        steps=steps,
        guidance=guidance,
        negative_prompt=negative_prompt,
        size=size,
        true_cfg_scale=true_cfg_scale,
        eta=eta,
        preset=preset,
        compare=compare,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        compile=compile,
        offload=offload,
        revision=revision,
        variant=variant,
        token=token,
        offline=offline,
        config=config,
        unet=unet,
        transformer=transformer,
        text_encoder=text_encoder,
        vae=vae,
        lora=lora,
        allow_pickle=allow_pickle,
        allow_code=allow_code,
    )
    own = find_source(source, chosen)
    if own is not None:
        return own(chosen)
    from ..core.errors import ZeroGuidanceWarning
    from ..core.reading import tell
    from .devices import settle
    from .hub import open_pipeline

    found, settled = settle(chosen)  # before gigabytes are fetched
    opened = open_pipeline(source, settled, found)
    process = opened.family.process(opened, found, settled)
    if process.guidance == 0 and process.guidance_mode == "classifier-free":
        tell(
            ZeroGuidanceWarning(
                "at guidance 0 the prediction is the one without a prompt, so every distance is 0;"
                " without guidance (guidance_scale=0 in diffusers) it is 1 here"
            )
        )
    return process

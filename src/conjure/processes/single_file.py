"""A model in one .safetensors file, in the original layout, with a folder that says what it is.

diffusers converts the names of the tensors. The folder of ``config`` gives classes, configurations,
tokenizers and scheduler, and those networks that the file does not hold. A tensor that is missing,
left over or of another shape is an error: diffusers would draw it at random, or leave it out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..core.errors import InputError
from ..core.text import first_line, number_of
from .quiet import quiet

with quiet():
    from diffusers import ModelMixin

# Layouts in which each tensor becomes one tensor: class → how its names begin. Whatever such a name
# holds must be used.
_PREFIXES = {
    "UNet2DConditionModel": "model.diffusion_model.",
    "AutoencoderKL": "first_stage_model.",
}
_NAMED = 3  # tensors that a message names


def check_file(file: Path, config: object) -> None:
    """Refuse what is no safetensors file, and one that nobody said what it is."""
    if file.suffix != ".safetensors":
        raise InputError(
            f"{file} is a file, and no .safetensors file (pickled ones can run any code): give the"
            " folder of a diffusers pipeline, or a single .safetensors file"
        )
    if config is None:
        raise InputError(
            f"{file} is a single file, which does not say all about itself: name the folder or hub"
            " id of its base model by config=FOLDER_OR_ID (--config FOLDER_OR_ID)"
        )
    if importlib.util.find_spec("accelerate") is None:
        raise InputError("a single file needs accelerate: pip install 'conjure[accelerate]'")


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The tensors of a file by their names; InputError for a damaged one."""
    try:
        return load_file(file)
    except Exception as error:  # SafetensorError is a plain Exception
        raise InputError(f"{file} cannot be read: {first_line(error)}") from error


def part_from_file(
    checkpoint: Mapping[str, Tensor], file: Path, place: Path, kind: Any, dtype: str
) -> Any:
    """The network of a part, from the tensors of ``file``; None where the file does not hold it.

    place: the part's folder, with its configuration; kind: its class

    Raises InputError where the tensors are not those of the configuration.
    """
    try:
        with quiet():
            copied = dict(checkpoint)  # conversions take tensors out of it
            if issubclass(kind, ModelMixin):
                network = _denoiser_or_vae(copied, file, place, kind)
            else:
                network = _text_encoder(copied, place, kind)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # what a conversion makes of other names
        said = first_line(error)
        raise InputError(
            f"{file} does not fit {place.parent}, so it may be another model: converting its"
            f" {place.name} ends in {type(error).__name__}: {said}"
        ) from error
    if network is None:
        return None
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    _refuse(file, place, "lacks", [name for name, tensor in tensors.items() if tensor.is_meta])
    return network.to(getattr(torch, dtype)).eval()


def _denoiser_or_vae(checkpoint: dict[str, Tensor], file: Path, place: Path, kind: Any) -> Any:
    """A network of diffusers', by its conversion; None where nothing of it is there."""
    from accelerate import init_empty_weights
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

    entry = SINGLE_FILE_LOADABLE_CLASSES.get(kind.__name__)
    if entry is None:
        return None
    config = kind.load_config(place, local_files_only=True)
    with init_empty_weights():
        network = kind.from_config(config)
    wanted = network.state_dict()
    prefix = _PREFIXES.get(kind.__name__)
    if wanted.keys() <= checkpoint.keys():  # in diffusers' own layout
        converted = {name: checkpoint[name] for name in wanted}
    elif prefix and not any(name.startswith(prefix) for name in checkpoint):
        return None
    else:
        held = sum(name.startswith(prefix) for name in checkpoint) if prefix else 0
        converted = entry["checkpoint_mapping_fn"](config=config, checkpoint=checkpoint)
        if not converted:
            return None
        if held > len(converted):
            unused = number_of(held - len(converted), "tensor")
            raise InputError(f"{file} does not fit {place}: {unused} of it would stay unused")
    both = converted.keys() & wanted.keys()
    shapes = [name for name in both if converted[name].shape != wanted[name].shape]
    _refuse(file, place, "has wrongly shaped", shapes)
    _refuse(file, place, "has unexpected", [*(converted.keys() - both)])
    _refuse(file, place, "lacks", [*(wanted.keys() - both)])
    network.load_state_dict(converted, assign=True)
    return network


def _text_encoder(checkpoint: dict[str, Tensor], place: Path, kind: Any) -> Any:
    """A text encoder of transformers', by diffusers' conversion; None where it is not there."""
    from diffusers.loaders import single_file_utils as utils

    folder = {"config": str(place.parent), "subfolder": place.name, "local_files_only": True}
    if utils.is_clip_model_in_single_file(kind, checkpoint):
        build = partial(utils.create_diffusers_clip_model_from_ldm, kind)
    elif utils.is_t5_in_single_file(checkpoint) and "T5" in kind.__name__:
        build = partial(utils.create_diffusers_t5_model_from_checkpoint, kind)
    else:
        return None
    return build(checkpoint=checkpoint, **folder)


def _refuse(file: Path, place: Path, fault: str, names: list[str]) -> None:
    if names:
        more = ["…"] if len(names) > _NAMED else []
        listed = ", ".join([f"{name:.100}" for name in sorted(names)[:_NAMED]] + more)
        raise InputError(
            f"{file} does not fit {place}: it {fault} {number_of(len(names), 'tensor')} ({listed})"
        )

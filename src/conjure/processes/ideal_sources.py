"""The ideal processes that ``load`` knows: ``emoji-ideal`` and ``collection:FOLDER``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from .collection import Collection, read_folder, standardised
from .folders import read_card
from .hashing import hash_files
from .ideal import IdealProcess, settings_of
from .sentences import SentenceEncoder
from .sources import BUNDLED

_EMOJI = Path(__file__).parent / "emoji_ideal"


def emoji_ideal(
    *,
    sampler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    eta: float | None = None,
    compare: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
) -> IdealProcess:
    """The bundled collection of emoji, with the text encoder of ``emoji``."""
    collection, captions = read_emoji(_EMOJI)
    board = settings_of(read_card(_EMOJI), str(_EMOJI / "conjure.json"))
    given = {"sampler": sampler, "steps": steps, "guidance": guidance, "eta": eta}
    more = {"compare": compare, "device": device, "dtype": dtype, "batch_size": batch_size}
    encoder = SentenceEncoder(BUNDLED["emoji"])
    return IdealProcess.with_choice(collection, encoder, board, captions=captions, **given, **more)


def collection(
    folder: str,
    *,
    text_encoder: str | os.PathLike[str] | None = None,
    sampler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    eta: float | None = None,
    compare: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
) -> IdealProcess:
    """A folder of pictures with captions; its ``conjure.json`` may set board and temperature.

    text_encoder: a folder with a text encoder and its tokenizer; None is that of ``emoji``
    """
    path = Path(folder)
    found = read_folder(path)
    board = settings_of(read_card(path), str(path / "conjure.json"))
    given = {"sampler": sampler, "steps": steps, "guidance": guidance, "eta": eta}
    more = {"compare": compare, "device": device, "dtype": dtype, "batch_size": batch_size}
    encoder = SentenceEncoder(Path(text_encoder or BUNDLED["emoji"]))
    return IdealProcess.with_choice(found, encoder, board, **given, **more)


def read_emoji(folder: Path) -> tuple[Collection, Tensor]:
    """The bundled drawings, and the vectors of their captions (C, width), float32.

    Codes and captions were made once (``training/emoji/ideal.py``), since another library for
    pictures may resize them a little otherwise.
    """
    tensors = load_file(folder / "collection.safetensors")
    names: list[dict[str, Any]] = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    with Image.open(folder / "drawings.webp") as sheet:
        pixels = torch.from_numpy(np.array(sheet.convert("RGB")))
    count, side = len(names), int(tensors["side"])
    rows, columns = (n // side for n in pixels.shape[:2])
    cells = pixels.reshape(rows, side, columns, side, 3).permute(0, 2, 4, 1, 3).flatten(0, 1)
    found = Collection(
        "emoji-ideal",
        hash_files(folder, [folder / name for name in _CONTENT]),
        [name["name"] for name in names],
        standardised(tensors["pixels"], "emoji-ideal"),
        cells[:count].contiguous(),
    )
    return found, tensors["captions"].float()


_CONTENT = ("collection.safetensors", "drawings.webp", "names.json")

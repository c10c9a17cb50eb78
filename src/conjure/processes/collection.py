"""Collections of pictures with captions: the bundled emoji, and folders of one's own.

A folder has the layout of Hugging Face's *imagefolder*: pictures, and ``metadata.csv`` or
``metadata.jsonl`` with the columns ``file_name`` and ``text``.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..core.errors import InputError
from ..core.text import brief, first_line, number_of, text_fault
from .folders import read_card
from .hashing import hash_files

METADATA = ("metadata.csv", "metadata.jsonl")
CODE, SHOWN = 8, 64  # sides of a code and of a picture, in pixels, where a folder's card is silent
_MOST_SIDE = 1024
_SHARE = 0.5  # of the free memory


@dataclass(frozen=True)
class Collection:
    """C pictures with a caption each.

    name:     for people
    revision: "sha256-…" of all that makes it: pictures, captions and sizes
    captions: C texts
    codes:    (C, 3, s, s) float32, the pictures as latents: their pixels at a small size, with
              mean 0 and variance 1 over the whole collection
    pictures: (C, 3, S, S) uint8, as they are shown
    """

    name: str
    revision: str
    captions: Sequence[str]
    codes: Tensor
    pictures: Tensor

    def __len__(self) -> int:
        return len(self.codes)


def standardised(pixels: Tensor, name: str) -> Tensor:
    """Codes of mean 0 and variance 1: (C, 3, s, s) uint8 → float32, computed in float64."""
    values = pixels.double()
    spread = values.std(correction=0)
    if spread == 0:
        raise InputError(f"the pictures of {name} are all one colour: there is nothing to tell")
    return ((values - values.mean()) / spread).float()


def read_folder(folder: Path) -> Collection:
    """The collection in a folder.

    Raises InputError for a folder without metadata, a row without picture or caption, a picture
    that cannot be read or lies outside the folder, fewer than two pictures, and more pictures than
    the memory takes.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: collection:FOLDER names one with pictures")
    path, rows = _metadata(folder)
    captions = [caption for _, caption in rows]
    files = [_inside(folder, path, name) for name, _ in rows]
    if len(files) < 2:
        raise InputError(f"{path} names {number_of(len(files), 'picture')}; give two or more")
    card = read_card(folder)
    code, shown = (_side(folder, card, key, n) for key, n in (("size", CODE), ("shown", SHOWN)))
    _check_memory(folder, len(files), code, shown)
    small = np.empty((len(files), code, code, 3), np.uint8)
    large = np.empty((len(files), shown, shown, 3), np.uint8)
    for place, file in enumerate(files):
        small[place], large[place] = _read_picture(file, code, shown)
    name = str(card.get("name") or folder.resolve().name)
    codes = standardised(_channels_first(small), name)
    sizes = f"{code}-{shown}"
    revision = f"{hash_files(folder, [path, *files])}-{sizes}"
    return Collection(name, revision, captions, codes, _channels_first(large))


def _metadata(folder: Path) -> tuple[Path, list[tuple[str, str]]]:
    """The metadata file, and (file_name, text) of each row."""
    there = [folder / name for name in METADATA if (folder / name).is_file()]
    if len(there) != 1:
        what = "both" if there else "neither"
        raise InputError(
            f"{folder} has {what} of {' and '.join(METADATA)}: give one, with the columns file_name"
            " and text"
        )
    path = there[0]
    try:
        text = path.read_text(encoding="utf-8-sig")
        records = list(_records(path, text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}") from error
    found = []
    for line, record in records:
        for column in ("file_name", "text"):
            if column not in record:
                raise InputError(f"{path}, line {line}: there is no column {column}")
        if fault := text_fault(record["file_name"]):
            raise InputError(f"{path}, line {line}: file_name {fault}")
        if fault := text_fault(record["text"]):
            raise InputError(f"{path}, line {line}: text {fault}")
        found.append((str(record["file_name"]), str(record["text"])))
    return path, found


def _records(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text), strict=True)
        for record in reader:
            yield reader.line_num, record
        return
    for line, row in enumerate(text.splitlines(), start=1):
        if row.strip():
            try:
                record = json.loads(row)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}, line {line}: not JSON: {first_line(error)}") from error
            if not isinstance(record, dict):
                raise InputError(f"{path}, line {line}: should be a JSON object")
            yield line, record


def _inside(folder: Path, path: Path, name: str) -> Path:
    """A picture's file. Raises InputError for one that is not below the folder, or not there."""
    root = folder.resolve()
    file = (root / name).resolve()
    if not file.is_relative_to(root):
        raise InputError(f"{path} names {brief(name)}, which lies outside {folder}")
    if not file.is_file():
        raise InputError(f"{path} names {brief(name)}, and there is no such file")
    return file


def _side(folder: Path, card: dict[str, Any], key: str, default: int) -> int:
    value = card.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_SIDE:
        raise InputError(
            f"{folder / 'conjure.json'}: {key} must be pixels from 1 to {_MOST_SIDE}, not"
            f" {brief(value)}"
        )
    return value


def _check_memory(folder: Path, count: int, code: int, shown: int) -> None:
    """Refuse, before a picture is read, a collection that takes over half of the free memory."""
    needed = count * 3 * (code**2 * 13 + shown**2 * 2)  # codes in float64 and float32; two copies
    free = _free_memory()
    if free is not None and needed > _SHARE * free:
        raise InputError(
            f"{count:,} pictures of {folder} take {needed / 1e9:.1f} GB at {code} and {shown} px,"
            f" and {free / 1e9:.1f} GB are free: set smaller size and shown in conjure.json"
        )


def _free_memory() -> int | None:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not every system says
        return None


def _read_picture(file: Path, code: int, shown: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """A picture on white, at both sizes: (side, side, 3) uint8 each."""
    try:
        with Image.open(file) as picture:
            whole = picture.convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{file} is no picture that can be read: {first_line(error)}") from error
    flat = Image.new("RGB", whole.size, "white")
    flat.paste(whole, (0, 0), whole)
    small, large = (
        np.asarray(flat.resize((side, side), method))
        for side, method in ((code, Image.Resampling.BOX), (shown, Image.Resampling.LANCZOS))
    )
    return small, large


def _channels_first(pixels: NDArray[Any]) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()

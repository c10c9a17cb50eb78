"""Explanations as files: one .npz of arrays and of one text of JSON. Nothing in it is pickled."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import InputError
from ..core.schedule import Schedule, Transition
from ..core.spec import Signature, Spec
from ..core.types import Terms
from ..datasets.files import read_bytes, replacing
from ..similarity import Distance
from .record import Explanation, Pictures, Words

FORMAT = 1
_WHAT = "conjure explanation"


def save(explanation: Explanation, path: Path) -> None:
    """Write it whole or not at all. Raises InputError where the system refuses."""
    with replacing(path) as draft:
        draft.write_bytes(to_bytes(explanation))


def to_bytes(explanation: Explanation) -> bytes:
    """The file of an explanation."""
    distance = explanation.distance
    arrays: dict[str, Any] = {"maps": explanation.maps}
    facts: dict[str, Any] = {
        "what": _WHAT,
        "format": FORMAT,
        "command": explanation.command,
        "notes": explanation.notes,
        "distance": {
            name: getattr(distance, name)
            for name in ("text1", "text2", "value", "standard_error", "interval", "samples")
        },
        "spec": {**asdict(distance.spec), "record": sorted(distance.spec.record)},
        "signature": {
            "key": dict(distance.signature.key),
            "provenance": dict(distance.signature.provenance),
        },
        "schedule": asdict(distance.terms.schedule),
        "compare": distance.terms.compare,
    }
    for field in fields(Terms):
        if isinstance(value := getattr(distance.terms, field.name), torch.Tensor):
            arrays[f"terms_{field.name}"] = value.cpu().numpy()
    if (pictures := explanation.pictures) is not None:
        facts["pictures"] = {"decoded": pictures.decoded, "sample": pictures.sample}
        for name in ("trajectory", "predicted", "finals"):
            arrays[f"pictures_{name}"] = getattr(pictures, name)
    if (words := explanation.words) is not None:
        facts["words"] = {
            name: getattr(words, name) for name in ("words", "neutral", "rows", "notes")
        }
        arrays["words_between"] = words.between
        for name in ("left_out", "replaced"):
            for side, array in enumerate(getattr(words, name)):
                arrays[f"words_{name}_{side}"] = array
    arrays["facts"] = np.array(json.dumps(facts))
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def load(path: Path) -> Explanation:
    """What ``save`` wrote. Raises InputError for any other file."""
    return from_bytes(read_bytes(path), str(path))


def from_bytes(data: bytes, name: str) -> Explanation:
    """What ``to_bytes`` gave. name: of the file, for the InputError that any other one raises."""
    try:
        with np.load(BytesIO(data), allow_pickle=False) as file:
            arrays = dict(file)
        facts = json.loads(str(arrays.pop("facts")))
        if facts["what"] != _WHAT or facts["format"] != FORMAT:
            raise ValueError(f"format {facts['format']}")
        return _explanation(facts, arrays)
    except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name} is not an explanation of this version: make it anew with conjure explain"
        ) from error


def _explanation(facts: dict[str, Any], arrays: dict[str, Any]) -> Explanation:
    given = facts["schedule"]
    transitions = given["transitions"]
    schedule = Schedule(
        **given
        | {
            "timesteps": tuple(given["timesteps"]),
            "sigmas": tuple(given["sigmas"]),
            "transitions": transitions and tuple(Transition(*each) for each in transitions),
        }
    )
    terms = Terms(
        **{
            name.removeprefix("terms_"): torch.from_numpy(array)
            for name, array in arrays.items()
            if name.startswith("terms_")
        },
        schedule=schedule,
        compare=facts["compare"],
    )
    own = facts["distance"]
    distance = Distance(
        **own | {"interval": own["interval"] and tuple(own["interval"])},
        spec=Spec(**facts["spec"] | {"record": frozenset(facts["spec"]["record"])}),
        signature=Signature(**facts["signature"]),
        terms=terms,
    )
    pictures, words = None, None
    if "pictures" in facts:
        names = ("trajectory", "predicted", "finals")
        pictures = Pictures(
            **facts["pictures"], **{name: arrays[f"pictures_{name}"] for name in names}
        )
    if "words" in facts:
        said = facts["words"]
        words = Words(
            (tuple(said["words"][0]), tuple(said["words"][1])),
            said["neutral"],
            (arrays["words_left_out_0"], arrays["words_left_out_1"]),
            (arrays["words_replaced_0"], arrays["words_replaced_1"]),
            arrays["words_between"],
            said["rows"],
            tuple(said["notes"]),
        )
    notes = tuple(facts["notes"])
    return Explanation(distance, arrays["maps"], pictures, words, facts["command"], notes)

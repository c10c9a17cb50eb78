"""What the tests of loading do to a pipeline's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from conjure.core.errors import InputError
from conjure.processes import load


def edit_json(path: Path, **changes: object) -> None:
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, **changes}))


def refusal(source: object, **settings: object) -> str:
    """The one line in which ``load`` refuses."""
    with pytest.raises(InputError) as caught:
        load(source, **settings)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 1000
    return line


def weights_of(folder: Path, part: str) -> Path:
    return next((folder / part).glob("*.safetensors"))


def edit_weights(folder: Path, part: str, edit) -> None:
    """``edit`` takes the tensors of a part by name and returns what they become."""
    path = weights_of(folder, part)
    changed = edit(load_file(path))
    path.unlink()  # or the pipeline that it is linked to would change
    save_file({k: v.contiguous() for k, v in changed.items()}, path, metadata={"format": "pt"})


def shard(folder: Path, part: str, stem: str) -> Path:
    """Cut a part's weights into two files and an index, which is returned."""
    path = weights_of(folder, part)
    weights = load_file(path)
    path.unlink()
    names = sorted(weights)
    places = {
        name: f"{stem}-0000{1 + (n % 2)}-of-00002.safetensors" for n, name in enumerate(names)
    }
    for place in set(places.values()):
        chosen = {name: weights[name] for name in names if places[name] == place}
        save_file(chosen, path.parent / place, metadata={"format": "pt"})
    index = path.parent / f"{stem}.safetensors.index.json"
    size = sum(weight.nbytes for weight in weights.values())
    index.write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": places}))
    return index

"""Pipeline folders for the tests of processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_pipelines import albert_text, save_pipeline


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory) -> dict[str, Path]:
    """Folders by kind: "epsilon", "v_prediction", "sample" (all CLIP) and "albert"."""
    root = tmp_path_factory.mktemp("pipelines")
    folders = {p: save_pipeline(root / p, p) for p in ("epsilon", "v_prediction", "sample")}
    return {**folders, "albert": save_pipeline(root / "albert", text=albert_text)}


@pytest.fixture
def folder(pipelines, tmp_path) -> Path:
    """A copy of the ε-pipeline that a test may change, its weights linked rather than copied."""
    copy = tmp_path / "pipeline"
    for path in pipelines["epsilon"].rglob("*"):
        target = copy / path.relative_to(pipelines["epsilon"])
        if path.is_dir():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":
            os.link(path, target)
        else:
            target.write_bytes(path.read_bytes())
    return copy

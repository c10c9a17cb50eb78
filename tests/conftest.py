"""What all tests share: the hub marker, a tiny pipeline and a process of named Gaussians."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from conjure.core.gaussian import GaussianProcess

# A busy machine is no reason to fail, and a run that fails must fail again.
settings.register_profile(
    "conjure", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("conjure")


# The files that take longest come first, so that no core waits for one of them at the end.
LONGEST = (
    *("runs/test_ray.py", "runs/test_faults.py", "runs/test_kept_commands.py"),
    *("timing/test_benchmarks.py", "core/test_chain.py"),
    *("stats/test_resampling.py", "processes/test_parity.py", "processes/test_hub.py"),
    *("paper/test_figures.py", "cli/test_reproduce.py", "processes/test_bundled.py"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hub", action="store_true", help="run the tests that need a model hub")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    place = {Path(__file__).parent / name: n for n, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))  # the others stay as they are
    if not config.getoption("--hub"):
        skip = pytest.mark.skip(reason="needs a model hub over the network: run with --hub")
        for item in items:
            if "hub" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the human-annotated sets, which are not part of the repository."""
    folder = os.environ.get("CONJURE_DATA_DIR")
    if not folder:
        pytest.skip("needs the human-annotated sets: CONJURE_DATA_DIR names their folder")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small random StableDiffusionPipeline (its builder says how)."""
    from small_pipelines import save_pipeline

    return save_pipeline(tmp_path_factory.mktemp("tiny") / "tiny")


class CountingGaussians(GaussianProcess):
    """Gaussians named "a" … "h" and "", which count the network rows that they are asked for."""

    rows = 0

    def __init__(self, **settings: object) -> None:
        draw = torch.Generator().manual_seed(0)
        named = {
            text: (torch.randn(4, generator=draw, dtype=torch.float64), scale * torch.eye(4))
            for scale, text in enumerate(["", *"abcdefgh"], start=1)
        }
        super().__init__(named, **settings)

    def predict(self, x, step, conditioning):
        self.rows += len(x)
        return super().predict(x, step, conditioning)


@pytest.fixture
def gaussians() -> type[CountingGaussians]:
    return CountingGaussians

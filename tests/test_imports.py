"""At run time the package is light until it is used, and the core needs only torch and numpy.

Which room may import which is checked by import-linter (``lint-imports``; pyproject.toml has the
rules).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import conjure

SOURCE = Path(conjure.__file__).parent
COMMAND = "from conjure.cli.main import main"
HEAVY = ("torch", "diffusers", "transformers", "matplotlib")


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that sees the same conjure."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent), "PYTHONWARNINGS": "error"},
    )


@pytest.mark.parametrize(
    "use",
    [
        "import conjure; dir(conjure); conjure.__version__",
        "from conjure.baselines import BaselineSettings as B, read_row; read_row('gpt2'); B()",
        f"{COMMAND}; assert main(['--help']) == 0",
        f"{COMMAND}; assert main(['score', '--help']) == 0",
        f"{COMMAND}; assert main(['datasets', '--json']) == 0",
        f"{COMMAND}; assert main(['reproduce', 'figure3', '--help']) == 0",
        f"{COMMAND}; assert main(['show', '--help']) == 0",
        f"{COMMAND}; assert main(['matrix', '--help']) == 0",
        f"{COMMAND}; assert main(['calibrate', '--help']) == 0",
        f"{COMMAND}; assert main(['distance', '', 'b']) == 2",
        f"{COMMAND}; assert main(['distance', 'a', 'b', '--steps', '0']) == 2",
    ],
)
def test_light_until_used(use: str) -> None:
    done = python(f"{use}\nimport sys\nprint('loaded', [m for m in {HEAVY} if m in sys.modules])")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("loaded []\n")


def test_the_probe_sees_heavy_modules() -> None:
    done = python(
        f"import conjure, sys; conjure.Distance\nprint([m in sys.modules for m in {HEAVY}])"
    )
    assert done.stdout.startswith("[True"), done.stderr


def test_every_public_name_is_there() -> None:
    for name in conjure.__all__:
        assert getattr(conjure, name) is not None
        assert name in dir(conjure)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = conjure.nothing


def test_core_works_where_nothing_else_is_installed() -> None:
    done = python(
        f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        # torch itself reaches for some of these, and lives without
        if name.split(".")[0] in {{"diffusers", "transformers", "scipy", "click", "tqdm", "pyarrow",
                                   "safetensors", "huggingface_hub", "matplotlib", "PIL"}}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocked())
import importlib, pathlib
for path in sorted(pathlib.Path({str(SOURCE / "core")!r}).glob("*.py")):
    importlib.import_module("conjure.core." + path.stem)
import conjure, torch
from conjure.core.gaussian import GaussianProcess
eye = torch.eye(2)
process = GaussianProcess({{"a": (eye[0], eye), "b": (eye[1], eye)}})
print(conjure.distance("a", "b", process=process).value > 0)
"""
    )
    assert done.stdout == "True\n", done.stderr

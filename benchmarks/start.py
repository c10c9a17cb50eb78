"""A cold start: the first distance of a fresh Python, beside the imports that it needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from .clock import Timing, interleaved

IMPORTS = (sys.executable, "-c", "import torch, diffusers, transformers")
DISTANCE = (
    sys.executable,
    "-c",
    "import sys; from conjure.cli.main import main; "
    "sys.exit(main(['distance', 'a dog', 'a puppy']))",
)


def measure(rounds: int, say: Callable[[str], object]) -> dict[str, Timing]:
    """Seconds of both, each in a fresh Python, in interleaved rounds."""

    def task(command: tuple[str, ...]) -> Callable[[], object]:
        return lambda: subprocess.run(command, check=True, capture_output=True)

    tasks = {"import torch, diffusers, transformers": task(IMPORTS), "a distance": task(DISTANCE)}
    return interleaved(tasks, rounds, say)

"""What a run takes: its network rows, the FLOP of a row, and what time that is at an assumed speed.

    python -m benchmarks.costs --data-dir DIR

Rows are counted by the planner, as every run does. The FLOP of a row are counted on torch's
``meta`` device, with the configurations that the models are published with: nothing is fetched, and
no weights take memory. Hours are no measurement: they are FLOP ÷ (peak × utilisation), and both are
yours to set. ``python -m benchmarks network`` measures rows a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import click
import diffusers
import torch
from torch.utils.flop_counter import FlopCounterMode

from conjure.core.planner import Sizes, distinct, plan
from conjure.core.spec import Spec
from conjure.core.types import Pair
from conjure.datasets.cards import SEVEN
from conjure.datasets.read import read_dataset
from conjure.runs.passes import EVERYTHING

from .parameters import FAMILIES

MEMORY = 2**34  # bytes for trajectories: rows do not change unless a component is larger


@dataclass(frozen=True)
class Model:
    """build: the denoiser. call: its arguments for one row. guided: whether ε_∅ is predicted"""

    build: Callable[[], Any]
    call: Callable[[], dict[str, Any]]
    latent: int  # numbers of one latent
    guided: bool = True


def _unet(side: int, width: int, **added: Any) -> dict[str, Any]:
    return {
        "sample": torch.empty(1, 4, side, side),
        "timestep": torch.empty(1),
        "encoder_hidden_states": torch.empty(1, 77, width),
        **added,
    }


def _xl() -> dict[str, Any]:
    conditions = {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)}
    return _unet(128, 2048, added_cond_kwargs=conditions)


def _flux() -> dict[str, Any]:
    return {
        "hidden_states": torch.empty(1, 64 * 64, 64),
        "encoder_hidden_states": torch.empty(1, 512, 4096),
        "pooled_projections": torch.empty(1, 768),
        "timestep": torch.empty(1),
        "img_ids": torch.empty(64 * 64, 3),
        "txt_ids": torch.empty(512, 3),
        "guidance": torch.empty(1),
    }


MODELS: dict[str, Model] = {
    "SD 1.4, 512²": Model(FAMILIES["Stable Diffusion 1.x"][0], lambda: _unet(64, 768), 4 * 64 * 64),
    "SDXL, 1024²": Model(FAMILIES["Stable Diffusion XL"][0], _xl, 4 * 128 * 128),
    "FLUX.1-dev, 1024²": Model(
        lambda: diffusers.FluxTransformer2DModel(guidance_embeds=True),
        _flux,
        64 * 64 * 64,
        guided=False,
    ),
}


def flop_a_row(model: Model) -> int:
    """Floating-point operations of one row (a multiplication and an addition are two)."""
    with torch.device("meta"), torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.build().eval()(**model.call())
    return int(counter.get_total_flops())


def rows_of(pairs: list[Pair], model: Model, steps: int, spec: Spec) -> int:
    """Network rows of the pairs, k = 1."""
    sizes = Sizes(4 * model.latent, 2**20, steps, model.guided, 8)
    return plan(distinct(pairs), sizes, 1, spec, MEMORY).rows


def jobs(data_dir: Path) -> dict[str, tuple[list[Pair], Spec]]:
    """What is counted: name → pairs, and what is recorded of each."""
    words = [str(n) for n in range(100)]
    sets = {name: read_dataset(name, data_dir).table.pairs() for name in SEVEN}
    return {
        "STS-B test": (sets["stsb"], Spec()),
        "a matrix of 100 texts": (list(combinations(words, 2)), Spec()),
        "all of Table 1": ([pair for each in sets.values() for pair in each], EVERYTHING),
    }


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--steps", type=click.IntRange(min=2), default=10, show_default=True, help="T.")
@click.option(
    "--tflops",
    type=click.FloatRange(0, min_open=True),
    default=989.0,
    show_default=True,
    help="Peak, TFLOP/s.",
)
@click.option(
    "--utilisation", type=click.FloatRange(0, 1, min_open=True), default=0.4, show_default=True
)
def main(data_dir: Path, steps: int, tflops: float, utilisation: float) -> None:
    """Print one table row for each model: TFLOP a row, rows and hours of each job."""
    wanted = jobs(data_dir)
    print("| model | TFLOP a row | " + " | ".join(wanted) + " |")
    print("| --- |" + " --- |" * (1 + len(wanted)))
    for name, model in MODELS.items():
        flop = flop_a_row(model)
        cells = []
        for pairs, spec in wanted.values():
            rows = rows_of(pairs, model, steps, spec)
            hours = rows * flop / (tflops * 1e12 * utilisation) / 3600
            cells.append(f"{rows:,} rows, {hours:.2g} h")
        print(f"| {name} | {flop / 1e12:.3f} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

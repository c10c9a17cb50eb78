"""``conjure calibrate``: where unrelated and paraphrase-like pairs lie in a process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InputError
from .choosing import choose
from .options import MEMORY_OPTION, PROCESS_OPTIONS, SAMPLE_OPTIONS, Checked
from .streams import is_stream
from .wording import json_text, process_facts, tell

if TYPE_CHECKING:
    from ..calibration.reference import Reference


def _flags(command: Any) -> Any:
    for option in reversed((*PROCESS_OPTIONS, *SAMPLE_OPTIONS)):
        command = option(command)
    return command


@click.command(cls=Checked)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to keep the references in; the environment variable CONJURE_CALIBRATION names it "
    "to later commands.  [default: $XDG_DATA_HOME/conjure/calibration]",
)
@click.option("--overwrite", is_flag=True, help="Measure again what is calibrated already.")
@MEMORY_OPTION
@_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def calibrate(
    out: Path | None, overwrite: bool, max_memory: int | None, as_json: bool, **flags: Any
) -> None:
    """Give the distances of a process a scale.

    It measures 160 unrelated and 160 paraphrase-like pairs, from a list that ships, by every
    estimand at once. Later results in the same process, with the same settings, then say how many
    unrelated pairs are farther.
    """
    from ..datasets.files import check_folder

    if is_stream(out):
        raise InputError(
            "references are not written to stdout: let --out name a folder, or leave it"
        )
    if out is not None:
        check_folder(out)
    process, spec = choose(flags)
    from ..runs.calibrating import calibrate as measured
    from ..runs.calibrating import (
        calibration_cost,
        calibration_pairs,
        check_revision,
        checked_folder,
        reference_files,
        save_references,
    )
    from ..runs.cost import cost_line
    from ..runs.progress import progress_bar

    check_revision(process)
    folder = checked_folder(out)
    check_folder(folder)
    files = reference_files(process, folder)
    if not overwrite and all(path.exists() for path in files):
        raise InputError(f"{process.name} is calibrated in {folder}; --overwrite measures it again")
    pairs = calibration_pairs().all
    plan = calibration_cost(process, spec.samples, spec.seed, max_memory)
    tell(cost_line(process, plan, pairs[0][0], len(pairs)))
    with progress_bar(len(pairs)) as bar:
        found = measured(
            process,
            samples=spec.samples,
            seed=spec.seed,
            max_memory=max_memory,
            progress=lambda *_: bar.update(),
        )
    save_references(found, folder)
    if as_json:
        kept = {name: reference.object() for name, reference in found.items()}
        facts = {**process_facts(process), "folder": str(folder), "references": kept}
        click.echo(json_text(facts))
    else:
        click.echo(reference_table(found))
    tell(f"{len(files)} references written: {folder}")


def reference_table(found: dict[str, Reference]) -> str:
    """Where both kinds lie, a line an estimand."""
    from ..calibration.reference import quantile
    from ..report.render import aligned

    head = ["estimand", "unrelated 5 %", "50 %", "95 %", "paraphrases 5 %", "50 %", "95 %", "apart"]
    grid = [head]
    for name, one in found.items():
        values = [
            f"{quantile(kind, share):.4g}"
            for kind in (one.unrelated, one.paraphrases)
            for share in (0.05, 0.5, 0.95)
        ]
        grid.append([name, *values, f"{one.separation:.1%}"])
    note = "apart: how often a paraphrase is closer than an unrelated pair; 50 % is chance"
    return f"{aligned(grid)}\n{note}"

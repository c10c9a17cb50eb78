"""``conjure show``: the pictures of texts from the same noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..core.errors import InputError
from ..core.spec import Spec
from ..core.text import text_fault
from .choosing import choose
from .options import (
    PROCESS_OPTIONS,
    SAMPLE_OPTIONS,
    Checked,
    out_option,
)
from .streams import is_stream
from .wording import tell


def _flags(command: Any) -> Any:
    for option in reversed((*SAMPLE_OPTIONS, *PROCESS_OPTIONS)):
        command = option(command)
    return command


@click.command(cls=Checked)
@click.argument("texts", nargs=-1, required=True)
@out_option("PNG, SVG or PDF file.", required=True)
@click.option("--overwrite", is_flag=True, help="Replace OUT.")
@_flags
def show(texts: tuple[str, ...], out: Path, overwrite: bool, **flags: Any) -> None:
    """Draw the pictures that TEXTS conjure: a row a text, a column a sample, into OUT.

    The pictures of a column start from the same noise, as the trajectories of a distance do.
    """
    from ..report.plots.pictures import check_count, check_picture_file

    for place, text in enumerate(texts, start=1):
        if fault := text_fault(text):
            raise InputError(f"text {place} {fault}")
    if is_stream(out):
        raise InputError("a picture is not written to stdout: let --out name a file")
    check_picture_file(out, overwrite=overwrite)
    check_count(len(texts), flags["samples"] or Spec.samples)
    process, spec = choose(flags)
    _draw(texts, process, spec, out)
    tell(f"written: {out}")


def _draw(texts: tuple[str, ...], process: Any, spec: Spec, out: Path) -> None:
    """Say what it costs, then walk, decode and draw."""
    from ..core.planner import Plan
    from ..decoding import checked_decoder, picture_rows, picture_signature, pictures
    from ..report.plots.pictures import draw_pictures
    from ..runs.cost import cost_line

    checked_decoder(process)
    plan = Plan((), picture_rows(process, texts, spec.samples), 0)
    count = len(texts) * spec.samples
    tell(cost_line(process, plan, texts[0], count, noun="picture"))
    drawn = pictures(texts, process=process, samples=spec.samples, seed=spec.seed)
    note = str(picture_signature(process, spec.samples, spec.seed))
    draw_pictures(drawn, texts, note, out)

"""``conjure distance``: two texts, or one text and many others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InputError
from ..core.text import shown, text_fault
from .choosing import choose
from .engine import EngineFlags, engine_options
from .options import (
    FORMAT_OPTION,
    MEMORY_OPTION,
    OVERWRITE_OPTION,
    Checked,
    out_option,
    settings,
)
from .wording import estimate_lines, json_text, process_facts, signature_line

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..similarity import Distance


@click.command(cls=Checked)
@click.argument("text1")
@click.argument("text2", required=False)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare TEXT1 with each text of FILE: a text a line, or a table with --column; - is "
    "stdin. The nearest comes first.",
)
@click.option("--column", metavar="NAME", help="FILE is a table, and this column has the texts.")
@out_option("With --to: a TSV, CSV, JSONL or Parquet file, or - for stdout.")
@FORMAT_OPTION
@OVERWRITE_OPTION
@MEMORY_OPTION
@engine_options
@settings
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def distance(
    text1: str,
    text2: str | None,
    to: Path | None,
    as_json: bool,
    max_memory: int | None,
    **flags: Any,
) -> int:
    """The distance between TEXT1 and TEXT2, or between TEXT1 and each text of --to FILE."""
    many = {name: flags.pop(name) for name in ("column", "out", "kind", "overwrite")}
    _check_text("first", text1)
    if to is not None:
        if text2 is not None:
            raise InputError("TEXT2 cannot go with --to FILE: leave one of them out")
        from .one_to_many import one_to_many

        return one_to_many(text1, to, as_json=as_json, max_memory=max_memory, flags=flags, **many)
    if text2 is None:
        raise click.UsageError("Missing argument 'TEXT2', or --to FILE.")
    _check_text("second", text2)
    if given := [f"--{name}" for name in ("column", "out", "overwrite") if many[name]]:
        raise InputError(f"{', '.join(given)} goes with --to FILE alone: leave it out")
    if many["kind"] is not None:
        raise InputError("--format goes with --to FILE alone: leave it out")
    EngineFlags.take(flags, gives_folder="--to FILE and --out FILE")  # one pair is computed here
    process, spec = choose(flags)
    from ..similarity import stream

    [(_, found)] = stream([(text1, text2)], process, spec, max_memory=max_memory)
    if as_json:
        click.echo(json_text(distance_object(found, process)))
    else:
        click.echo(distance_lines(found))
    return 0


def _check_text(which: str, text: str) -> None:
    if fault := text_fault(text):
        raise InputError(f"the {which} text {fault}")


def distance_object(distance: Distance, process: GenerativeProcess) -> dict[str, Any]:
    """A distance as one JSON object; ``terms`` holds (samples, steps) lists, by direction."""
    recorded = {
        name: tensor.tolist()
        for name in ("forward", "backward", "output", "coupled", "weights")
        if (tensor := getattr(distance.terms, name)) is not None
    }
    return {
        "text1": distance.text1,
        "text2": distance.text2,
        "value": distance.value,
        "standard_error": distance.standard_error,
        "interval": distance.interval,
        "similarity": distance.similarity,
        "reference": reference_facts(distance),
        "estimand": distance.estimand,
        "samples": distance.samples,
        "steps": distance.steps,
        "guidance": distance.guidance,
        "seed": distance.seed,
        "approximation": distance.spec.approximation() or None,
        **process_facts(process),
        "signature": distance.signature.object(),
        "terms": recorded,
    }


def reference_facts(distance: Distance) -> dict[str, Any] | None:
    """What ``similarity`` refers to; None where the process is not calibrated for the distance."""
    reference = distance.reference
    if reference is None:
        return None
    return {
        "words": reference.words(distance.value),
        "closer_paraphrases": reference.closer_paraphrases(distance.value),
        "samples": reference.samples,
        "seed": reference.seed,
        "pairs": reference.pairs,
        "digest": reference.signature.digest,
    }


def distance_lines(distance: Distance) -> str:
    """A distance for people, with its uncertainty, or a note that there is none."""
    lines = [f"{shown(distance.text1)} | {shown(distance.text2)}"]
    if distance.standard_error is None or distance.interval is None:
        lines.append(
            f"{distance.estimand:<10} {distance.value:.6g}  "
            "(one sample, so no error bar: --samples 4 gives one)"
        )
    else:
        low, high = distance.interval
        lines.append(
            f"{distance.estimand:<10} {distance.value:.6g} ± {distance.standard_error:.2g}  "
            f"(standard error over {distance.samples} samples)"
        )
        lines.append(f"{'95 %':<10} {low:.6g} to {high:.6g}")
    if (reference := distance.reference) is not None:
        lines.append(f"{'near':<10} {reference.words(distance.value)}")
    lines += estimate_lines(distance.spec)
    lines.append(signature_line(distance.signature))
    return "\n".join(lines)

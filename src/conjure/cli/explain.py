"""``conjure explain``: where, when and which way two texts differ, and what each word does."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InputError
from ..core.text import number_of, shown, text_fault
from .choosing import choose
from .completion import values
from .options import MEASURE_OPTIONS, PROCESS_OPTIONS, Checked, out_option
from .streams import is_stream
from .wording import json_text, signature_line, tell

if TYPE_CHECKING:
    from ..explanation.record import Explanation, Words
    from ..report.explanations import Output

FIGURES = ("steps",)  # as in report/explanations.py, which would load much; a test compares them


def _flags(command: Any) -> Any:
    for option in reversed((*PROCESS_OPTIONS, *MEASURE_OPTIONS)):
        command = option(command)
    return command


@click.command(cls=Checked)
@click.argument("texts", nargs=-1, required=True)
@out_option(
    "A figure (.png, .svg, .pdf), the data (.npz), or a folder of them all. Without it, the answer "
    "is printed."
)
@click.option("--words", is_flag=True, help="Leave out and replace each word, and compare words.")
@click.option("--neutral", metavar="WORD", help="Replaces a word.  [default: something]")
@click.option(
    "--figure",
    type=click.Choice(FIGURES),
    shell_complete=values(FIGURES),
    help="Which figure a single file shows.  [default: steps]",
)
@click.option("--sample", type=int, help="Whose steps are shown, from 1.  [default: 1]")
@click.option("--overwrite", is_flag=True, help="Replace OUT, or write into a folder in use.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_flags
def explain(
    texts: tuple[str, ...],
    out: Path | None,
    figure: str | None,
    overwrite: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Show where, when and which way two TEXTS differ, with the share of each part.

    The parts of a distance add up to it: over samples, both directions, steps and positions.
    """
    asked = {name: flags.pop(name) for name in ("words", "neutral", "sample")}
    _check_texts(texts)
    if asked["neutral"] is not None and not asked["words"]:
        raise InputError("--neutral goes with --words alone: leave it out")
    output = _output(out, figure, overwrite, asked["words"])
    from ..core.spec import Spec
    from ..explanation.measuring import Parts, check_request, prepare

    given = {name: value for name, value in asked.items() if value is not None}
    # a printed answer and the bare data of a distance need no picture
    parts = Parts(**given, pictures=output is not None)
    names = ("samples", "seed", "estimand")
    measured = {name: flags[name] for name in names if flags[name] is not None}
    check_request((texts[0], texts[1]), Spec(**measured), parts)
    process, spec = choose(flags)
    prepared = prepare((texts[0], texts[1]), process, spec, parts)
    found = _run(prepared)
    if output is not None:
        from ..report.explanations import write_explanation

        for path in write_explanation(found, output):
            tell(f"written: {path}")
    if as_json:
        click.echo(json_text(explanation_object(found, process)))
    elif output is None:
        click.echo("\n".join(explanation_lines(found)))


def _check_texts(texts: tuple[str, ...]) -> None:
    for place, text in enumerate(texts, start=1):
        if fault := text_fault(text):
            raise InputError(f"text {place} {fault}")
    if len(texts) != 2:
        raise InputError(f"explain takes two texts, and {number_of(len(texts), 'text')} came")


def _output(out: Path | None, figure: str | None, overwrite: bool, words: bool) -> Output | None:
    """Where the explanation goes, checked; None for a printed one."""
    if out is None:
        if figure is not None or overwrite:
            name = "--figure" if figure is not None else "--overwrite"
            raise InputError(f"{name} goes with --out alone: leave it out")
        return None
    if is_stream(out):
        raise InputError("figures are not written to stdout: let --out name a file, or use --json")
    from ..report.explanations import Output

    output = Output(out) if figure is None else Output(out, figure)
    output.check(overwrite=overwrite, words=words)
    return output


def _run(prepared: Any) -> Explanation:
    """Say what it costs, then measure, with a bar where there is more than one pair."""
    from ..runs.cost import cost_line
    from ..runs.progress import progress_bar

    pairs = prepared.pairs
    tell(cost_line(prepared.process, prepared.plan, pairs[0][0], len(pairs)))
    command = shlex.join(["conjure", *sys.argv[1:]])
    with progress_bar(len(pairs), shown=len(pairs) > 1) as bar:
        found: Explanation = prepared.run(lambda done, _: bar.update(done - bar.n), command)
    for note in found.notes:
        tell(note)
    return found


def explanation_lines(found: Explanation) -> list[str]:
    """An explanation for people: the distance, its directions, steps and words."""
    from .distance import distance_lines

    first, *rest = distance_lines(found.distance).splitlines()
    del rest[-1]  # the signature comes last
    forward, backward = (f"{100 * share:.1f} %" for share in found.directions)
    lines = [first, *rest, f"{'forward':<10} {forward}  (on the trajectory of the first text)"]
    lines.append(f"{'backward':<10} {backward}  (on that of the second)")
    for name, shares in zip(("forward", "backward"), found.shares, strict=True):
        lines.append(f"{name:<10} step by step, %: " + " ".join(f"{100 * s:.1f}" for s in shares))
    if found.words is not None:
        lines += _word_lines(found, found.words)
    return [*lines, signature_line(found.distance.signature)]


def _word_lines(found: Explanation, words: Words) -> list[str]:
    """What single words do, as a table for a terminal."""
    from ..explanation.tables import pair_rows, word_rows
    from ..report.render import aligned

    def printed(mean: float | None, error: float | None) -> str:
        if mean is None:
            return "-"
        return f"{mean:+.4g}" if error is None else f"{mean:+.4g} ± {error:.2g}"

    grid = [["word", "left out", f"replaced by {shown(words.neutral)}"]]
    for row in word_rows(found):
        changes = [printed(row[name], row[f"{name}_error"]) for name in ("left_out", "replaced")]
        grid.append([shown(row["word"]), *changes])
    lines = ["", "change of the distance; differences of distances, which do not add up to it"]
    lines += aligned(grid).splitlines()
    matrix = [["distance of two words", *map(shown, words.words[1])]]
    rows = list(pair_rows(found))
    for place, word in enumerate(words.words[0]):
        values = rows[place * len(words.words[1]) : (place + 1) * len(words.words[1])]
        cells = ["-" if one["value"] is None else f"{one['value']:.4g}" for one in values]
        matrix.append([shown(word), *cells])
    return [*lines, *words.notes, "", *aligned(matrix).splitlines(), ""]


def explanation_object(found: Explanation, process: Any) -> dict[str, Any]:
    """An explanation as one JSON object; ``maps`` are in the .npz alone."""
    from ..explanation.tables import pair_rows, step_rows, word_rows
    from .distance import distance_object

    return {
        **distance_object(found.distance, process),
        "directions": dict(zip(("forward", "backward"), found.directions.tolist(), strict=True)),
        "shares": found.shares.tolist(),
        "where": found.where.tolist(),
        "steps_table": list(step_rows(found)),
        "words": list(word_rows(found)) or None,
        "word_pairs": list(pair_rows(found)) or None,
        "neutral": None if found.words is None else found.words.neutral,
        "notes": [*found.notes, *(found.words.notes if found.words else ())],
        "command": found.command,
    }

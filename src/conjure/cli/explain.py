"""``conjure explain``: where, when and which way two texts differ, and what each word does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InputError
from ..core.spec import Spec
from ..core.text import number_of, shown, text_fault
from ..runs.scorers import ProcessScorer
from .choosing import choose, flag
from .completion import values
from .keeping import RESUME, KeepFlags, keep_options
from .names import whole_command
from .options import COLUMNS_OPTION, MEASURE_OPTIONS, PROCESS_OPTIONS, Checked, out_option
from .streams import is_stream
from .wording import json_text, signature_line, tell

if TYPE_CHECKING:
    from ..explanation.measuring import Prepared
    from ..explanation.morph import Morph
    from ..explanation.record import Explanation, Words
    from ..report.explanations import Output
    from ..runs.terms import TermStore

# As in report/explanations.py, which would load much; a test compares them.
FIGURES = ("steps", "where", "when", "sure", "words")
ORDERS = ("distance", "disagreement")  # as in report/page/gallery.py
TOP = 20


def _flags(command: Any) -> Any:
    for option in reversed((*PROCESS_OPTIONS, *MEASURE_OPTIONS)):
        command = option(command)
    return command


@click.command(cls=Checked)
@click.argument("texts", nargs=-1)
@out_option(
    "A page (.html), a figure (.png, .svg, .pdf), an animation from one picture to the other "
    "(.gif, .mp4), the data (.npz), or a folder of all. Without it, the answer is printed."
)
@click.option(
    "--pairs",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="In place of TEXTS: a TSV, CSV, JSONL or Parquet file. OUT.html shows its first pairs.",
)
@COLUMNS_OPTION
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"How many pairs of FILE are shown, with pictures.  [default: {TOP}]",
)
@click.option(
    "--by",
    type=click.Choice(ORDERS),
    shell_complete=values(ORDERS),
    help="Which pairs of FILE come first: the farthest, or those that disagree most with the "
    f"human column score, by rank.  [default: {ORDERS[0]}]",
)
@click.option("--words", is_flag=True, help="Leave out and replace each word, and compare words.")
@click.option("--neutral", metavar="WORD", help="Replaces a word.  [default: something]")
@click.option(
    "--figure",
    type=click.Choice(FIGURES),
    shell_complete=values(FIGURES),
    help="Which figure a single file shows.  [default: steps]",
)
@click.option("--wide", is_flag=True, help="Make the figure steps two columns of a paper wide.")
@click.option("--sample", type=int, help="Whose steps are shown, from 1.  [default: 1]")
@click.option("--morph", is_flag=True, help="Put the animation into the folder, too.")
@click.option("--frames", type=int, help="Pictures of the animation.  [default: 24]")
@keep_options
@click.option("--overwrite", is_flag=True, help="Replace OUT, or write into a folder in use.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_flags
def explain(texts: tuple[str, ...], out: Path | None, **flags: Any) -> int:
    """Show where, when and which way two TEXTS differ, with the share of each part.

    The parts of a distance add up to it: over samples, both directions, steps and positions.
    With --pairs, one page shows many pairs. With --out, finished work is kept in the folder
    OUT.run, or that of --run, and the same command goes on from there.
    """
    many = {name: flags.pop(name) for name in ("pairs", "columns", "top", "by")}
    asked = {name: flags.pop(name) for name in _OWN}
    if many["pairs"] is not None:
        _check_alone(asked, texts, out)
        keep = KeepFlags.take(flags, out=out, overwrite=bool(asked["overwrite"]))
        return _gallery(many, out, keep, flags)
    if stray := [f"--{name}" for name, value in many.items() if value is not None]:
        raise InputError(f"{', '.join(stray)} goes with --pairs alone: leave it out")
    if flags["part"] is not None:
        raise InputError("--shard goes with --pairs alone: leave it out")
    _check_texts(texts)
    output = _output(out, asked, flags)
    pair = texts[0], texts[1]
    if output is not None and output.film:
        flags = {name: value for name, value in flags.items() if name not in _KEEP}
        process, spec = choose(flags)
        _film(pair, process, spec, asked["frames"], output)
        return 0
    _explain(
        pair, output, KeepFlags.take(flags, out=out, overwrite=asked["overwrite"]), asked, flags
    )
    return 0


def _explain(
    pair: tuple[str, str],
    output: Output | None,
    keep: KeepFlags,
    asked: dict[str, Any],
    flags: dict[str, Any],
) -> None:
    """Measure what is missing, then write or print."""
    from ..explanation.measuring import Parts, check_request, prepare

    wanted = ("words", "neutral", "sample")
    given = {name: asked[name] for name in wanted if asked[name] is not None}
    parts = Parts(**given, pictures=output is not None)  # a printed answer needs none
    names = ("samples", "seed", "estimand")
    measured = {name: flags[name] for name in names if flags[name] is not None}
    check_request(pair, Spec(**measured), parts)
    process, spec = choose(flags)
    if asked["morph"]:
        from ..decoding import checked_decoder

        checked_decoder(process)
    prepared = prepare(pair, process, spec, parts)
    out = None if output is None else output.path
    with keep.work(out, ProcessScorer(process, spec), prepared.pairs) as kept:
        found = _run(prepared, kept)
        if kept is not None:
            kept.close()  # everything is on the disk before the output is
        if output is not None:
            _write(found, output, process, asked)
    keep.remove(out)
    if asked["as_json"]:
        click.echo(json_text(explanation_object(found, process)))
    elif output is None:
        click.echo("\n".join(explanation_lines(found)))


_KEEP = ("run", "resume", "part")
_OWN = ("words", "neutral", "figure", "wide", "sample", "morph", "frames", "overwrite", "as_json")


def _check_alone(alone: dict[str, Any], texts: tuple[str, ...], out: Path | None) -> None:
    """Refuse what does not go with --pairs."""
    if texts:
        raise InputError("TEXTS cannot go with --pairs FILE: leave one of them out")
    foreign = {"json" if name == "as_json" else name: value for name, value in alone.items()}
    foreign.pop("overwrite")
    if given := [f"--{name}" for name, value in foreign.items() if value not in (None, False)]:
        raise InputError(f"{', '.join(given)} cannot go with --pairs: leave it out")
    if out is None:
        raise InputError("--pairs makes a page: let --out name an .html file")


def _gallery(many: dict[str, Any], out: Any, keep: KeepFlags, flags: dict[str, Any]) -> int:
    from .gallery import Request, make_gallery

    top = TOP if many["top"] is None else many["top"]
    by = many["by"] or ORDERS[0]
    request = Request(many["pairs"], out, many["columns"], top, by, keep.overwrite)
    return make_gallery(request, keep, flags)


def _check_texts(texts: tuple[str, ...]) -> None:
    for place, text in enumerate(texts, start=1):
        if fault := text_fault(text):
            raise InputError(f"text {place} {fault}")
    if len(texts) != 2:
        raise InputError(f"explain takes two texts, and {number_of(len(texts), 'text')} came")


def _output(out: Path | None, asked: dict[str, Any], flags: dict[str, Any]) -> Output | None:
    """Where the explanation goes, checked; None for a printed one."""
    if asked["neutral"] is not None and not asked["words"]:
        raise InputError("--neutral goes with --words alone: leave it out")
    if out is None:
        if foreign := _given(asked, "figure", "wide", "sample", "morph", "frames", "overwrite"):
            raise InputError(f"{foreign[0]} goes with --out alone: leave it out")
        return None
    if is_stream(out):
        raise InputError("figures are not written to stdout: let --out name a file, or use --json")
    from ..explanation.morph import checked_frames
    from ..report.explanations import Output

    output = Output(out, asked["figure"] or "steps", asked["wide"])
    samples = flags["samples"] or Spec.samples
    output.check(overwrite=asked["overwrite"], words=asked["words"], samples=samples)
    if output.film:
        foreign = _given(asked, "words", "neutral", "figure", "wide", "sample", "morph", "as_json")
        foreign += _given(flags, "samples", "estimand", "run")
        foreign += ["--resume"] if flags["resume"] != RESUME[0] else []
        if foreign:
            raise InputError(f"{foreign[0]} says nothing about an animation: leave it out")
    if asked["morph"] and not output.folder:
        raise InputError("--morph goes with a folder: let --out name one, or a .gif or .mp4")
    if asked["frames"] is not None:
        if not (output.film or asked["morph"]):
            raise InputError("--frames are those of an animation: let --out name a .gif or .mp4")
        checked_frames(asked["frames"])
    return output


def _given(flags: dict[str, Any], *names: str) -> list[str]:
    """The flags among these that were given, as they are written."""
    given = [name for name in names if flags[name] is not None and flags[name] is not False]
    return ["--json" if name == "as_json" else flag(name) for name in given]


def _film(
    pair: tuple[str, str], process: Any, spec: Spec, frames: int | None, output: Output
) -> None:
    """Make an animation and nothing else."""
    from ..report.animation import write_film

    tell(f"written: {write_film(_morph(pair, process, spec.seed, frames), output.path)}")


def _morph(pair: tuple[str, str], process: Any, seed: int, frames: int | None) -> Morph:
    """Say what an animation costs, then make it."""
    from ..explanation.morph import FRAMES, morph, morph_plan
    from ..runs.cost import cost_line

    count = FRAMES if frames is None else frames
    tell(cost_line(process, morph_plan(process, count), pair[0], count, noun="picture"))
    return morph(*pair, process=process, frames=count, seed=seed)


def _write(found: Explanation, output: Output, process: Any, asked: dict[str, Any]) -> None:
    """Write the files and tell their names."""
    from ..report.explanations import write_explanation

    made = None
    if asked["morph"]:
        made = _morph(found.texts, process, found.distance.seed, asked["frames"])
    for path in write_explanation(found, output, made):
        tell(f"written: {path}")


def _run(prepared: Prepared, terms: TermStore | None) -> Explanation:
    """Say what it costs, then measure, with a bar where there is more than one pair."""
    from ..runs.cost import cost_line
    from ..runs.progress import progress_bar
    from ..similarity import cost

    kept, done, plan = None, 0, prepared.plan
    pairs = prepared.pairs
    if terms is not None:
        from ..runs.explanations import ExplanationStore

        kept = ExplanationStore(terms)
        left = prepared.left(kept)
        done = sum(a != b and (a, b) not in left for a, b in pairs)
        plan = cost(left, prepared.process, prepared.spec)
    tell(cost_line(prepared.process, plan, pairs[0][0], len(pairs), done=done))
    command = whole_command()
    with progress_bar(len(pairs), shown=len(pairs) > 1) as bar:
        found = prepared.run(lambda done, _: bar.update(done - bar.n), command, kept)
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

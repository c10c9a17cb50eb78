"""``conjure matrix``: the distance of any two of many texts, their order, map and classes."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InputError
from ..core.text import number_of, shown
from ..runs.parts import PartFinished
from ..runs.scorers import ProcessScorer
from .choosing import choose
from .engine import EngineFlags, engine_options
from .keeping import KeepFlags, keep_options
from .matrix_texts import leave_unreadable_texts, read_classes, read_texts
from .options import (
    MEASURE_OPTIONS,
    MEMORY_OPTION,
    PROCESS_OPTIONS,
    Checked,
    out_option,
)
from .streams import is_stream
from .wording import estimate_facts, json_text, process_facts, signature_line, tell

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess
    from ..core.spec import Spec
    from ..matrices.record import Matrix
    from ..runs.terms import TermStore

_TABLE = 8  # texts, up to which the whole matrix is printed


def _flags(command: Any) -> Any:
    for option in reversed((*PROCESS_OPTIONS, *MEASURE_OPTIONS)):
        command = option(command)
    return command


@click.command(cls=Checked)
@click.argument("texts", nargs=-1)
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="The texts: one a line, or a table with --column; - is stdin.",
)
@click.option("--column", metavar="NAME", help="FILE is a table, and this column has the texts.")
@click.option(
    "--classes",
    metavar="FILE|COLUMN",
    help="The class of each text: a column of FILE's table, or a file with one a line.",
)
@out_option("The matrix: a CSV, TSV, JSONL, Parquet or NumPy (.npz) file.")
@click.option(
    "--heatmap", type=click.Path(path_type=Path), help="A heat map with its tree: PNG, SVG or PDF."
)
@click.option(
    "--map", "scaling", type=click.Path(path_type=Path), help="A map of the texts: PNG, SVG or PDF."
)
@click.option(
    "--nearest",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How many neighbours of each text are printed.",
)
@click.option(
    "--permutations",
    type=click.IntRange(min=1),
    default=9999,
    show_default=True,
    help="N, divisions of the texts that the test of the classes tries.",
)
@keep_options
@engine_options
@click.option("--overwrite", is_flag=True, help="Replace the files.")
@MEMORY_OPTION
@click.option(
    "--cross-steps",
    type=int,
    metavar="M",
    help="Estimate: predict under the other prompt at M random steps after the first.",
)
@_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def matrix(
    texts: tuple[str, ...],
    file: Path | None,
    column: str | None,
    classes: str | None,
    as_json: bool,
    nearest: int,
    permutations: int,
    **rest: Any,
) -> int:
    """The distance of any two of TEXTS, or of the texts of --file.

    It prints the nearest texts of each, and whether classes show. n texts have n(n − 1)/2 pairs.
    Finished pairs are kept in the folder OUT.run, or that of --run, and the same command goes on.
    Exit status 1: of some texts nothing is read, and the matrix has the others.
    """
    settings = {name: rest.pop(name) for name in ("out", "heatmap", "scaling", "overwrite")}
    keep = KeepFlags.take(rest, out=settings["out"], overwrite=settings["overwrite"])
    engine = EngineFlags.take(rest, keep=keep, out=settings["out"])
    max_memory = rest.pop("max_memory")
    given, table = read_texts(texts, file, column)
    labels = read_classes(classes, given, table)
    _check_files(given, labels, settings)
    process, spec = choose(rest, engine.loader())
    scorer = ProcessScorer(process, spec, max_memory)
    given, labels, rejected = leave_unreadable_texts(given, labels, process)
    try:
        with keep.work(settings["out"], scorer, list(combinations(given, 2))) as kept:
            if kept is not None:
                scorer.reject({(a, b): why for a, why in rejected.items() for b in given}, kept)
            found = _measure(given, labels, scorer, kept)
            if kept is not None:
                kept.close()  # everything is on the disk before the files are
            _write(found, settings)
    except PartFinished as error:
        tell(str(error))
        return 1 if rejected else 0
    if not rejected:
        keep.remove(settings["out"])
    if as_json:
        left_out = [{"text": a, "reason": why} for a, why in rejected.items()]
        facts = matrix_object(found, process, permutations)
        click.echo(json_text({**facts, "left_out": left_out}))
    else:
        click.echo("\n".join(matrix_lines(found, nearest, permutations, spec)))
    return 1 if rejected else 0


def _check_files(texts: list[str], labels: list[str] | None, settings: dict[str, Any]) -> None:
    """Refuse, before a model is loaded, what could not be compared, tested or written."""
    from collections import Counter

    from ..matrices.files import check_file
    from ..matrices.record import checked_classes, checked_texts
    from ..report.plots.pictures import check_picture_file
    from ..stats.separation import check_classes

    checked_texts(texts)
    if labels is not None:
        checked_classes(labels, len(texts))
        check_classes(Counter(labels))
    files = [settings[name] for name in ("out", "heatmap", "scaling") if settings[name] is not None]
    if any(map(is_stream, files)):
        raise InputError("a matrix is not written to stdout: name a file, or give --json")
    if len({path.absolute() for path in files}) < len(files):
        raise InputError("two outputs have the same name: give each its own")
    if settings["out"] is not None:
        check_file(settings["out"], texts, overwrite=settings["overwrite"])
    for path in files:
        if path != settings["out"]:
            check_picture_file(path, overwrite=settings["overwrite"])


def _measure(
    texts: list[str],
    labels: list[str] | None,
    scorer: ProcessScorer,
    kept: TermStore | None,
) -> Matrix:
    """Say what it costs, then measure with a bar. Raises PartFinished where a part has no more."""
    from ..matrices.measure import measure_matrix
    from ..runs.progress import progress_bar

    tell(scorer.cost_line(list(combinations(texts, 2)), kept))
    for fact in estimate_facts(scorer.spec):
        tell(f"an estimate: {fact}")
    with progress_bar(len(texts) * (len(texts) - 1) // 2) as bar:
        return measure_matrix(
            texts,
            scorer.process,
            scorer.spec,
            classes=labels,
            progress=lambda *_: bar.update(),
            max_memory=scorer.max_memory,
            kept=kept,
        )


def _write(found: Matrix, settings: dict[str, Any]) -> None:
    from ..matrices.display import write_picture

    if settings["out"] is not None:
        found.save(settings["out"], overwrite=settings["overwrite"])
        tell(f"{number_of(len(found), 'text')} compared: {settings['out']}")
    for name, kind in (("heatmap", "heatmap"), ("scaling", "map")):
        if settings[name] is not None:
            write_picture(found, settings[name], kind)
            tell(f"written: {settings[name]}")


def matrix_lines(found: Matrix, nearest: int, permutations: int, spec: Spec) -> list[str]:
    """What a matrix shows, for people: neighbours, classes, how well a map can show it."""
    lines = []
    if len(found) <= _TABLE:
        from ..report.render import aligned

        grid = [["", *(shown(text, 20) for text in found.texts)]]
        for text, row in zip(found.texts, found.values, strict=True):
            grid.append([shown(text, 20), *(f"{value:.4g}" for value in row)])
        lines += [aligned(grid), ""]
    lines.append("nearest" if found.is_symmetric else "nearest, from the text to others")
    width = min(30, max(len(shown(text, 30)) for text in found.texts))
    for text, near in found.nearest(nearest).items():
        listed = ", ".join(f"{shown(one.text, 60)} {one.value:.4g}" for one in near)
        lines.append(f"  {shown(text, 30):<{width}}  {listed}")
    if found.classes is not None:
        test = found.between_within(permutations=permutations)
        how = "all of them" if test.exact else "drawn at random"
        lines += [
            "",
            f"classes    mean distance within {test.within:.6g}, across {test.between:.6g}",
            f"           permutation test: p = {test.p_value:.2g}, least possible {test.min_p:.2g} "
            f"({number_of(test.divisions, 'division')}, {how})",
        ]
    lines += ["", *_map_lines(found)]
    for fact in estimate_facts(spec):
        lines.append(f"{'estimate':<10} {fact}")
    return [*lines, signature_line(found.signature)]


def _map_lines(found: Matrix) -> list[str]:
    if not found.values.any():
        return ["map        none: all distances are 0"]
    scaling = found.mds()
    return [
        f"map        stress {scaling.stress:.2f} in two dimensions; {scaling.negative:.1%} of the "
        "spectrum is negative",
        "           (a divergence is no metric, so no map need be exact)",
    ]


def matrix_object(found: Matrix, process: GenerativeProcess, permutations: int) -> dict[str, Any]:
    """A matrix as one JSON object; ``values`` are the rows of d(text, text)."""
    from dataclasses import asdict

    errors, scaling = found.standard_errors, found.mds() if found.values.any() else None
    classes = found.classes
    return {
        "texts": found.texts,
        "classes": classes,
        "values": found.values.tolist(),
        "standard_errors": None if errors is None else errors.tolist(),
        "estimand": found.estimand,
        "samples": found.samples,
        "order": found.cluster().order.tolist(),
        "test": None
        if classes is None
        else asdict(found.between_within(permutations=permutations)),
        "map": None if scaling is None else {**asdict(scaling), "points": scaling.points.tolist()},
        **process_facts(process),
        "signature": found.signature.object(),
    }

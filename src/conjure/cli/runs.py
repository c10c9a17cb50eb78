"""``conjure runs``: what run folders hold; join them; write them as a table."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import InputError
from ..core.text import number_of, printable
from .completion import ESTIMANDS, values
from .options import OVERWRITE_OPTION, Commands, out_option
from .wording import json_text, tell

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(cls=Commands)
def runs() -> None:
    """Folders of finished work; see docs/reliability.md."""


@runs.command()
@click.argument("folder", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(folder: Path, as_json: bool) -> None:
    """What FOLDER holds: its key, finished units, failures, the time spent, and the time left."""
    from ..runs.folder import RunFolder

    found = RunFolder.read(folder)
    click.echo(json_text(found.object()) if as_json else "\n".join(map(printable, found.lines())))


@runs.command()
@click.argument("folder", type=FOLDER)
def verify(folder: Path) -> int:
    """Check every shard of FOLDER by its checksum, columns and values. Exit status 1: damage.

    Nothing is written. `--resume verify` of a command computes stored units again, too.
    """
    from ..runs.folder import RunFolder

    found = RunFolder.read(folder)
    for path, why in found.contents.damaged.items():
        tell(f"{path.name} cannot be used, for {why}")
    units, shards = found.contents.units, len(found.contents.shards)
    click.echo(f"{number_of(units, 'unit')} in {number_of(shards, 'shard')} are whole")
    return 1 if found.contents.damaged else 0


@runs.command()
@click.argument("target", type=FOLDER)
@click.argument("sources", type=FOLDER, nargs=-1, required=True)
def merge(target: Path, sources: tuple[Path, ...]) -> None:
    """Copy what the runs SOURCES hold into TARGET, which is made if it is not there.

    All must have the same key. The sources stay as they are.
    """
    from ..runs.folder import merge

    added = merge(target, sources)
    tell(f"{number_of(added, 'unit')} copied from {number_of(len(sources), 'run')}: {target}")


@runs.command()
@click.argument("folder", type=FOLDER)
@out_option("TSV, CSV, JSONL or Parquet file.", required=True)
@OVERWRITE_OPTION
@click.option(
    "--estimand",
    shell_complete=values(ESTIMANDS),
    help="Which distance.  [default: that of the run's last command]",
)
@click.option(
    "--safe-csv",
    is_flag=True,
    help="Write ' before texts that a spreadsheet would take for a formula.",
)
def export(folder: Path, out: Path, overwrite: bool, estimand: str | None, safe_csv: bool) -> None:
    """Write the distance of each pair of FOLDER, over all its seeds, into a table.

    text1 comes before text2 in the alphabet, whatever the direction was that was asked for.
    """
    from ..datasets.files import check_output
    from ..datasets.formats import extension
    from ..datasets.tables import write_rows
    from ..runs.folder import RunFolder, exported

    extension(out)
    check_output(out, overwrite=overwrite)
    columns, rows = exported(RunFolder.read(folder), estimand)
    if not rows:
        raise InputError(f"{folder} has no distance to export: no pair has what the estimand needs")
    if safe_csv:
        rows = [{name: neutral(cell) for name, cell in row.items()} for row in rows]
    write_rows(out, columns, rows)
    tell(f"{number_of(len(rows), 'pair')} written: {out}")


def neutral(cell: object) -> object:
    """A text that no spreadsheet takes for a formula; other cells as they are.

    >>> neutral("=1+1"), neutral("a dog"), neutral(-1.5)
    ("'=1+1", 'a dog', -1.5)
    """
    if isinstance(cell, str) and (cell[:1] in {"\t", "\r"} or cell.lstrip()[:1] in {*"=+-@"}):
        return f"'{cell}"
    return cell

"""The command line: one group, a module for each command, and what its exit statuses mean.

Whatever the user got wrong is one line on stderr and exit status 2. An interrupted run exits with
130. One whose reader of stdout has gone exits with 141. torch loads when a command needs it.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import click

from .. import __version__
from ..core.errors import ConjureError
from ..datasets.files import refused
from ..runs.stopping import Stopped
from .calibrate import calibrate
from .choosing import flag
from .compare import compare
from .datasets import datasets
from .distance import distance
from .evaluate import evaluate
from .explain import explain
from .matrix import matrix
from .moved import bench
from .options import Commands
from .process_wide import no_memory
from .reproduce import reproduce
from .runs import runs
from .score import score
from .show import show
from .wording import tell

WARNINGS_OF_A_KIND = 5  # that are shown in full
BROKEN_PIPE = 141  # 128 + SIGPIPE, as other programs end whose reader has gone
INTERRUPTED = 130  # 128 + SIGINT
COMPLETION = "_CONJURE_COMPLETE"  # set by the shell that asks for completions


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """How far apart are two texts, by the images that they conjure in a diffusion model?

    docs/command-line.md has every command with an example, exit statuses and shell completion.
    """


for command in (
    distance,
    score,
    runs,
    evaluate,
    matrix,
    calibrate,
    show,
    explain,
    compare,
    datasets,
    reproduce,
    bench,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    # Otherwise Python looks for garbage in all of torch when it ends, which takes half a second.
    atexit.register(gc.freeze)
    if sys.stderr is None:  # closed: the next file that is opened would take its place
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is None:
        return _refuse("stdout is closed, so the result would be lost: send it to a file")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a character still gets its line
            stream.reconfigure(errors="backslashreplace")
    status = _status(arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        _abandon_stdout()
        return status or _refuse(f"the result could not be written: {refused(error)}")
    return status


def _status(arguments: Sequence[str] | None) -> int:
    """Run the command and report what is wrong; returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with _one_line_warnings():
            status = cli.main(given, prog_name="conjure", standalone_mode=False, obj=given)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _refuse(error.format_message())
    except Stopped as error:  # Ctrl-C, SIGTERM: the run has ended after a block
        tell(str(error))
        return error.status
    except ConjureError as error:
        return _refuse(_flags(str(error)))
    except Warning as error:  # which PYTHONWARNINGS=error raises
        return _refuse(str(error))
    except OSError as error:  # such as a disk that is full
        return _refuse(refused(error))
    except click.Abort:  # what click makes of Ctrl-C
        tell("stopped")
        return INTERRUPTED
    except SystemExit as error:
        if COMPLETION in os.environ:  # click has answered the shell
            return error.code if isinstance(error.code, int) else 0
        # else what click makes of a pipe whose reader has gone
        _abandon_stdout()
        tell("stdout was closed before all was written")
        return BROKEN_PIPE
    except Exception as error:
        if (line := no_memory(error)) is None:
            raise
        return _refuse(line)
    return status if isinstance(status, int) else 0


def _refuse(message: str) -> int:
    tell(message)
    return 2


def _flags(message: str) -> str:
    """A message of the library in the words of the command line.

    >>> _flags("batch_size must be a whole number"), _flags("pass allow_pickle=True")
    ('--batch-size must be a whole number', 'pass --allow-pickle')
    """
    message = re.sub(r"\b(allow_pickle|allow_code)=True\b", lambda found: flag(found[1]), message)
    return re.sub(r"^([a-z]+_[a-z]+)(?= must be )", lambda found: flag(found[1]), message)


def _abandon_stdout() -> None:
    """Drop what stdout still holds: at its end Python would try to write it once more."""
    with suppress(OSError, ValueError):  # a stdout without a descriptor of its own, in tests
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Show warnings as lines for people: the first few of each kind, then how many more.

    The line of code is left out. A set of sentences may hold hundreds that are too long.
    """
    seen: dict[str, list[str]] = defaultdict(list)

    def show(message: Warning | str, category: type[Warning]) -> None:
        seen[category.__name__].append(str(message))
        if len(seen[category.__name__]) <= WARNINGS_OF_A_KIND:
            tell(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = lambda message, category, *_: show(message, category)
        try:
            yield
        finally:
            for messages in seen.values():
                more = len(messages) - WARNINGS_OF_A_KIND
                if more > 0:
                    tell(f"{more} more like this: {messages[-1]}")

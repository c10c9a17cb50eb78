"""``python -m benchmarks``, from a source checkout: see ``docs/performance.md``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from conjure.cli.process_wide import keep_freed_memory
from conjure.cli.wording import tell
from conjure.core.errors import ConjureError

from .commands import benchmarks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark; returns the exit status, 2 for bad input, which is told in one line."""
    keep_freed_memory()  # as the command line of conjure does
    try:
        status = benchmarks.main(arguments, prog_name="python -m benchmarks", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        tell(error.format_message())
        return 2
    except ConjureError as error:
        tell(str(error))
        return 2
    except click.Abort:  # what click makes of Ctrl-C
        tell("stopped")
        return 130
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Command lines of earlier releases: each works as before, or names its new spelling."""

from __future__ import annotations

import click

from ..core.errors import InputError

# Groups of ``conjure reproduce --rows`` that were renamed.
FORMER_GROUPS = {"rivals": "baselines"}


class _Anything(click.Command):
    """A command that takes whatever follows it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params["arguments"] = tuple(args)
        return []


@click.command(cls=_Anything, hidden=True, add_help_option=False)
def bench(arguments: tuple[str, ...]) -> None:
    """Timings, which are no longer part of the package."""
    typed = " ".join(["python -m benchmarks", *arguments])
    raise InputError(f"timing is not part of the package: in a source checkout, write {typed}")

"""Lists of names in a flag, and a command as it was typed."""

from __future__ import annotations

import shlex
from typing import Any

import click

from ..core.text import brief

_PRIVATE = ("--out", "--data-dir")  # published results do not name folders of one's machine


def names(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> Any:
    """Names, separated by commas or in several flags; None where there are none."""
    found = [name.strip() for text in given for name in text.split(",")]
    if not all(found):  # a shell variable that is not set would start the whole run
        raise click.BadParameter(f"a name is missing in {brief(','.join(given))}")
    return tuple(found) or None


def whole_command() -> str:
    """The command that runs now, every argument as it was given, so that a shell repeats it."""
    return shlex.join(["conjure", *(click.get_current_context().obj or ())])


def typed(context: click.Context) -> str:
    """The command as it was typed, less the folders of the machine."""
    parts = [context.command_path]
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source != click.core.ParameterSource.COMMANDLINE:
            continue
        flag, value = option.opts[0], context.params[option.name or ""]
        if isinstance(option, click.Argument):
            values = value if isinstance(value, tuple) else (value,)
            parts += [shlex.quote(str(each)) for each in values]
            continue
        if option.multiple and option.callback is None:  # it does not read names by commas
            parts += [f"{flag} {shlex.quote(str(each))}" for each in value]
            continue
        parts.append(flag)
        if not isinstance(option, click.Option) or not option.is_flag:
            mark = "/" if option.name == "part" else ","
            text = mark.join(map(str, value)) if isinstance(value, tuple) else str(value)
            parts.append("DIR" if flag in _PRIVATE else shlex.quote(text))
    return " ".join(parts)

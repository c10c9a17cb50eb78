"""What ``load`` may be given besides a folder and a hub id: names, ``SCHEME:REST``, own processes.

Ours are listed in SOURCES. Others come from packages, by the entry-point group
``conjure.processes``: a callable that returns a process, or a process itself. See
``docs/your-own-process.md``.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..core.text import brief, first_line
from .settings import ProcessSettings

GROUP = "conjure.processes"

# How it is written → "file:function" of this package, imported when it is used. "NAME" stands
# alone; "SCHEME:REST" gives the rest to the function as its first argument. The function takes the
# settings that the user chose as keywords, and returns a process; a setting that it does not name
# is refused.
SOURCES: dict[str, str] = {
    "emoji-ideal": "ideal_sources:emoji_ideal",
    "collection:FOLDER": "ideal_sources:collection",
}

BUNDLED = {"emoji": Path(__file__).parent / "emoji"}  # name → folder

_OBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")  # module:callable
_NOT_PASSED = ("allow_code",)  # it says who may be called, not how

Opener = Callable[[ProcessSettings], Any]


def find_source(source: object, settings: ProcessSettings) -> Opener | None:
    """A name or ``SCHEME:REST`` → what opens it; None for a folder, a hub id and anything else.

    Nothing is imported before the opener is called. Raises InputError for an unknown scheme, for a
    name that could be two things, and for a callable that nobody registered.
    """
    if not isinstance(source, str) or source in BUNDLED:
        return None
    for written, place in SOURCES.items():
        scheme, colon, _ = written.partition(":")
        if source == written and not colon:
            return partial(_open, source, partial(_ours, place), ())
        if colon and source.startswith(f"{scheme}:"):
            rest = source[len(scheme) + 1 :]
            if not rest:
                raise InputError(f"{source} is incomplete: write {written}")
            return partial(_open, source, partial(_ours, place), (rest,))
    found = _registered(source)
    if found is None and settings.allow_code and _OBJECT.fullmatch(source):
        found = EntryPoint(source, source, GROUP)
    if found is not None:
        _check_no_folder(source)
        return partial(_open, source, found.load, ())
    if re.match(r"[\w.-]{2,}:(?![\\/])", source) and not _exists(source):
        raise InputError(_unknown(source))
    return None


def known_sources() -> list[str]:
    """Every name and scheme that ``load`` knows, installed processes included, as written."""
    return [*BUNDLED, *SOURCES, *sorted({entry.name for entry in entry_points(group=GROUP)})]


def _registered(source: str) -> EntryPoint | None:
    """NAME, PACKAGE:NAME or MODULE:CALLABLE → the entry point; InputError where there are two."""
    package, _, name = source.rpartition(":")
    found = [
        entry
        for entry in entry_points(group=GROUP)
        if source in (entry.name, _place(entry))
        or (package and name == entry.name and package in _packages(entry))
    ]
    if len({_place(entry) for entry in found}) > 1:
        places = " or ".join(sorted(_place(entry) for entry in found))
        raise InputError(f"two packages have a process {source}: write {places}")
    return found[0] if found else None


def _place(entry: EntryPoint) -> str:
    """module:callable"""
    return f"{entry.module}:{entry.attr}"


def _packages(entry: EntryPoint) -> set[str]:
    """The names of the package that brings it: as installed and as imported."""
    names = {entry.module.partition(".")[0]}
    return names if entry.dist is None else {*names, entry.dist.name}


def _check_no_folder(source: str) -> None:
    if _exists(source):
        raise InputError(
            f"{source} is both an installed process and a folder or file here: write ./{source} for"
            " the folder, or PACKAGE:NAME for the process"
        )


def _exists(source: str) -> bool:
    try:
        return Path(source).exists()
    except (OSError, ValueError):
        return False


def _unknown(source: str) -> str:
    known = f"conjure knows {', '.join(known_sources())}"
    if not _OBJECT.fullmatch(source):
        return f"{brief(source)} is no process: {known}, folders and hub ids"
    return (
        f"no installed package registers {source} as a process ({known}): register it in the"
        f" entry-point group {GROUP}, or let its code run with allow_code=True (--allow-code)"
    )


def _ours(place: str) -> Any:
    module, _, function = place.partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), function)


def _open(
    source: str, load: Callable[[], Any], rest: tuple[str, ...], settings: ProcessSettings
) -> Any:
    """Import what the source names, call it if it is no process yet, and check what comes back."""
    from ..core.checks import checked_process

    try:
        found = load()
        # A class has the methods of its instances, so only an instance counts as a process.
        made = hasattr(found, "predict") and not isinstance(found, type)
        given = _given(settings)
        _check_settings(source, None if made else found, len(rest), given)
        process = found if made else found(*rest, **given)
    except InputError:
        raise
    except Exception as error:  # of a module that is not ours
        kind = type(error).__name__
        raise InputError(f"{source} cannot be loaded: {kind}: {first_line(error)}") from error
    return checked_process(process)


def _given(settings: ProcessSettings) -> dict[str, Any]:
    """The settings that the user chose; those that were left alone are not passed on."""
    chosen = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {
        field.name: chosen[field.name]
        for field in fields(settings)
        if chosen[field.name] != field.default and field.name not in _NOT_PASSED
    }


def _check_settings(source: str, function: Any, rest: int, given: dict[str, Any]) -> None:
    """Refuse settings that a source does not take. function: None for one that takes none."""
    if function is not None and not callable(function):
        raise InputError(
            f"{source} is {brief(function)}: it should be a process, or a callable that returns one"
        )
    taken = {} if function is None else inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        return
    foreign = [name for name in given if name not in list(taken)[rest:]]
    if foreign:
        own = ", ".join(list(taken)[rest:]) or "no settings"
        raise InputError(f"{source} does not take {', '.join(foreign)}: it takes {own}")

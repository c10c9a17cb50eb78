"""What the paper compares with: text encoders, language models, and the process's own encoder.

Nothing heavy is imported before ``load``.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError
from .baseline import Baseline
from .rows import POOLINGS, ROWS, Row, read_row
from .settings import BaselineSettings

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess

__all__ = ["POOLINGS", "ROWS", "Baseline", "BaselineSettings", "Row", "load", "read_row"]


def load(row: str, *, process: GenerativeProcess | None = None, **settings: Any) -> Baseline:
    """The baseline that fills a row.

    row:      a name of ``ROWS``, such as "bert-mean"; "paragon[:mean|cls|eos]";
              "encoder=ID_OR_FOLDER[:mean|cls|eos]"; "lm=ID_OR_FOLDER[:prompted][:topK][:strip]"
    process:  whose text encoder the paragon is; other rows need none
    settings: the fields of ``BaselineSettings``; the paragon runs as its process does: none

    Raises InputError, in one line that says what to do, where that cannot be had.
    """
    found = read_row(row)
    known = [field.name for field in fields(BaselineSettings)]
    if foreign := sorted(settings.keys() - set(known)):
        raise InputError(
            f"a baseline has no {', '.join(foreign)}; its settings: {', '.join(known)}"
        )
    named = found.settings()
    if twice := [name for name in named if settings.get(name, named[name]) != named[name]]:
        raise InputError(f"{row} settles {', '.join(twice)}; leave {', '.join(twice)} out")
    chosen = BaselineSettings(**{**settings, **named})
    if found.kind == "paragon":
        if process is None:
            raise InputError(f"{row} is the text encoder of a process: give the process")
        if settings:
            raise InputError(f"{row} runs as its process does; leave {', '.join(settings)} out")
        from .paragon import paragon

        return paragon(process, found.choice)
    if found.source is None:
        raise InputError(f"{row} ({found.title}) cannot be loaded: {found.missing}")
    if found.kind == "encoder":
        from .encoders import open_encoder

        return open_encoder(row, found.source, found.choice, chosen)
    from .autoregressive import open_language_model

    return open_language_model(row, found.source, found.choice, chosen)

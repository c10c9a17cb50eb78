"""The baselines of the paper: text encoders, language models, and the process's own text encoder.

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
    """Load the baseline of a row.

    row:      a name of ``ROWS``, such as "bert-mean"; "paragon[:mean|cls|eos]";
              "encoder=ID_OR_FOLDER[:mean|cls|eos]"; "lm=ID_OR_FOLDER[:prompted][:topK][:strip]"
    process:  for the row paragon, the process whose text encoder it is; other rows need none
    settings: the fields of ``BaselineSettings``; none for the paragon, which runs as its process

    Raises InputError if the row or a setting is wrong, or the model cannot be loaded.
    """
    found = read_row(row)
    known = [field.name for field in fields(BaselineSettings)]
    if foreign := sorted(settings.keys() - set(known)):
        raise InputError(
            f"a baseline has no {', '.join(foreign)}; its settings: {', '.join(known)}"
        )
    named = found.settings()
    if twice := [name for name in named if settings.get(name, named[name]) != named[name]]:
        raise InputError(f"{row} already sets {', '.join(twice)}; leave {', '.join(twice)} out")
    chosen = BaselineSettings(**{**settings, **named})
    if found.kind == "paragon":
        if process is None:
            raise InputError(f"{row} is the text encoder of a process: give the process")
        if settings:
            raise InputError(f"{row} runs as its process; leave {', '.join(settings)} out")
        from .paragon import paragon

        return paragon(process, found.choice)
    if found.source is None:
        raise InputError(f"{row} ({found.title}) cannot be loaded: {found.missing}")
    if found.kind == "encoder":
        from .encoders import open_encoder

        return open_encoder(row, found.source, found.choice, chosen)
    from .autoregressive import open_language_model

    return open_language_model(row, found.source, found.choice, chosen)

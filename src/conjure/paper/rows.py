"""The rows of the tables: name, title and what each measures. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..baselines.rows import ROWS, read_row
from ..core.errors import InputError

if TYPE_CHECKING:
    from ..stats.resampling import Array

CONJURING, CONTROL, PARAGON = "conjuring", "control", "paragon"
CONDITIONAL = "conditional"

# Rows computed from the terms of one pass: row → estimand (core/estimands.py).
# ``conditional`` compares the conditional predictions ε(x|a) and ε(x|b) on the same (guided)
# trajectories. Two guided predictions at the same x share ε_∅, so their difference is w times that
# of the conditional ones: the row is jeffreys/w², which ranks pairs exactly as ``conjuring`` does.
DIFFUSION = {
    CONJURING: "jeffreys",
    "kl": "kl",
    "initial": "initial",
    "final": "final",
    "output": "output",
    "girsanov": "girsanov",
    "coupled": "coupled",
    CONDITIONAL: "jeffreys",
}

TITLES = {
    CONJURING: "Conjuring (Jeffreys)",
    "kl": "Conjuring, one direction (KL)",
    "initial": "Initial timestep",
    "final": "Final timestep",
    "output": "Direct output comparison",
    "girsanov": "Girsanov weights (nats)",
    "coupled": "Coupled (poster)",
    CONDITIONAL: "Conditional predictions",
    CONTROL: "Control (prompt ignored)",
    PARAGON: "Paragon (own text encoder)",
}

RENAMED = {"null": CONTROL}  # former names, still taken
GROUPS = {"diffusion": (*DIFFUSION, CONTROL), "baselines": (PARAGON, *ROWS)}


def read_rows(names: Iterable[str]) -> tuple[str, ...]:
    """The rows of these names, each once. Raises InputError for an unknown name.

    A name is one of DIFFUSION, "control" (formerly "null"), a baseline (see
    ``baselines.rows.read_row``), or a group: "diffusion", "baselines".

    >>> read_rows(["diffusion", "bert-mean", "null"])[-3:]
    ('conditional', 'control', 'bert-mean')
    """
    found: dict[str, None] = {}
    for given in names:
        name = RENAMED.get(given, given)
        if name in GROUPS:
            found |= dict.fromkeys(GROUPS[name])
            continue
        if name not in GROUPS["diffusion"]:
            try:
                read_row(name)
            except InputError as error:
                known = ", ".join([*GROUPS["diffusion"], *GROUPS])
                raise InputError(f"{error}; or, of the process itself, {known}") from None
        found[name] = None
    return tuple(found)


def title(row: str) -> str:
    """The title of a row in a table: the paper's name for it where there is one.

    >>> title("bert-cls"), title("encoder=my/model:cls")
    ('BERT (CLS)', 'my/model (cls)')
    """
    if row in TITLES:
        return TITLES[row]
    if row in ROWS:
        return ROWS[row].title
    try:
        found = read_row(row)
    except InputError:  # such as a row of another table: "T = 5"
        return row
    name = found.source or found.title
    return f"{name} ({', '.join(found.options)})" if found.options else name


def titles_of(rows: Iterable[str]) -> dict[str, str]:
    """The title of each row."""
    return {row: title(row) for row in rows}


def reduced(row: str, terms: Iterable[Any], guidance: float) -> Array:
    """Distances of a row of DIFFUSION from the ``Terms`` of n pairs with k samples each: (k, n).

    Raises InputError where the process cannot have the row.
    """
    import numpy as np

    from ..core.registry import per_sample

    scale = 1.0
    if row == CONDITIONAL:
        if guidance == 0:
            raise InputError(
                "row conditional needs guidance above 0: at 0 no prediction depends on the prompt"
            )
        scale = guidance**-2
    values = [per_sample(pair, DIFFUSION[row]).numpy() for pair in terms]
    return np.asarray(scale * np.stack(values, axis=1))

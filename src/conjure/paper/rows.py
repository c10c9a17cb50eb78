"""What the rows of the tables are called, and what each of them measures. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..baselines.rows import ROWS, read_row
from ..core.errors import InputError

if TYPE_CHECKING:
    from ..stats.resampling import Array

CONJURING, NULL, PARAGON = "conjuring", "null", "paragon"
CONDITIONAL = "conditional"

# Rows that are read off the terms of one pass: the row → its estimand (core/estimands.py).
# ``conditional`` compares ε(x|a) with ε(x|b) themselves, without guidance, on the same (guided)
# trajectories. Guided predictions at the same x share ε_∅, so their difference is w times that:
# the row is jeffreys/w², which ranks pairs exactly as ``conjuring`` does.
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
    NULL: "Null (prompt ignored)",
    PARAGON: "Paragon (own text encoder)",
}

GROUPS = {"diffusion": (*DIFFUSION, NULL), "baselines": (PARAGON, *ROWS)}


def read_rows(names: Iterable[str]) -> tuple[str, ...]:
    """The rows that names mean, each once; InputError for a name that means none.

    A name is one of DIFFUSION, "null", a baseline's (``baselines.rows.read_row``), or a group's:
    "diffusion", "baselines".

    >>> read_rows(["diffusion", "bert-mean", "null"])[-3:]
    ('conditional', 'null', 'bert-mean')
    """
    found: dict[str, None] = {}
    for name in names:
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
    """What a table calls a row: the paper's name for it where there is one.

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


def reduced(row: str, terms: Iterable[Any], guidance: float) -> Array:
    """Distances of a row of DIFFUSION: the ``Terms`` of n pairs, k samples each → (k, n).

    Raises InputError where the row does not exist for the process.
    """
    import numpy as np

    from ..core.registry import per_sample

    scale = 1.0
    if row == CONDITIONAL:
        if guidance == 0:
            raise InputError("with guidance 0 no trajectory knows its prompt, and no term is left")
        scale = guidance**-2
    values = [per_sample(pair, DIFFUSION[row]).numpy() for pair in terms]
    return np.asarray(scale * np.stack(values, axis=1))

"""The registry of estimands: what an entry holds, how to add one, and how to find one by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .text import brief

if TYPE_CHECKING:  # torch loads only when an estimand is looked up
    from torch import Tensor

    from .process import GenerativeProcess
    from .schedule import Schedule
    from .types import Terms

# What a run can record in addition to ``forward`` and ``backward``:
RECORDS = {
    "output": "‖x_0 − x̃_0‖² (with guidance the last step costs one row a prompt and sample)",
    "coupled": "each prompt on its own trajectory (takes the last step too)",
    "unconditional": "ε_∅ on every trajectory, for observers",
}


@dataclass(frozen=True)
class Estimand:
    """One way to reduce terms to a number. To add an estimand, register an entry.

    name:     what users write; with ``at_step`` they write "NAME:STEP"
    title:    what it measures, in a few words, with its unit if it has one
    reduce:   (Terms) → (samples,) float64; with ``at_step`` (Terms, step from 1 to T) → the same
    needs:    what a run must record for it: names from RECORDS
    additive: whether it is a sum over steps, so that a sample of steps estimates it
    at_step:  whether it depends on a step that the user names
    refuse:   (Schedule) → why it does not exist on that schedule, or None if it exists
    of_epsilon: whether it reads the terms as differences of ε, so that no other currency will do
    read:     (GenerativeProcess) → further facts for the signature
    step:     the step of an entry with ``at_step``; ``find_estimand`` fills it in
    """

    name: str
    title: str
    reduce: Callable[..., Tensor]
    needs: frozenset[str] = frozenset()
    additive: bool = False
    at_step: bool = False
    refuse: Callable[[Schedule], str | None] = lambda schedule: None
    of_epsilon: bool = False
    read: Callable[[GenerativeProcess], Mapping[str, str]] = lambda process: {}
    step: int | None = None

    def __call__(self, terms: Terms) -> Tensor:
        """One number a sample: (samples,) float64. Raises InputError as ``check`` does."""
        self.check(terms.schedule, terms.compare)
        return self.reduce(terms) if self.step is None else self.reduce(terms, self.step)

    def check(self, schedule: Schedule, compare: str = "epsilon") -> None:
        """Raise InputError if the estimand does not exist on this schedule, or of this currency."""
        self.check_steps(len(schedule))
        if self.of_epsilon and compare != "epsilon":
            raise InputError(
                f"estimand {self.name!r} reads differences of ε, and this process compares"
                f" {compare!r}: set compare to 'epsilon', or take the estimand 'jeffreys'"
            )
        if reason := self.refuse(schedule):
            raise InputError(f"estimand {self.name!r}: {reason}")

    def check_steps(self, steps: int) -> None:
        """Raise InputError if the estimand's step is larger than T = ``steps``."""
        if self.step is not None and self.step > steps:
            name = self.name.partition(":")[0]
            raise InputError(
                f"estimand {self.name!r}: give a step from 1 to {steps}, as in {name}:1"
            )

    def reading(self, process: GenerativeProcess) -> dict[str, str]:
        """Facts for the signature about what the number means in this process."""
        return dict(self.read(process))


_REGISTRY: dict[str, Estimand] = {}


def register_estimand(entry: Estimand) -> Estimand:
    """Add an entry. Raises InputError if the name is taken or ``needs`` has an unknown record."""
    if entry.name in _REGISTRY:
        raise InputError(f"there is an estimand {entry.name!r} already")
    if unknown := sorted(entry.needs - {*RECORDS}):
        raise InputError(
            f"estimand {entry.name!r} needs {unknown[0]!r}; a run records {', '.join(RECORDS)}"
        )
    _REGISTRY[entry.name] = entry
    return entry


def estimand(
    name: str, title: str, **facts: Any
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """A decorator that registers a reduction; ``facts`` are the other fields of its entry."""

    def enter(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
        register_estimand(Estimand(name, title, reduce, **facts))
        return reduce

    return enter


def estimands() -> dict[str, Estimand]:
    """All entries by name: ours, and those of the entry-point group ``conjure.estimands``."""
    import_module(".estimands", __package__)  # the import registers ours
    _load_plugins()
    return dict(_REGISTRY)


@cache
def _load_plugins() -> None:
    for entry in metadata.entry_points(group="conjure.estimands"):
        register_estimand(entry.load())


def usage() -> list[str]:
    """The names as users write them."""
    return [f"{name}:STEP" if entry.at_step else name for name, entry in estimands().items()]


def additive_names() -> list[str]:
    """The names of the estimands that are sums over steps."""
    return [name for name, entry in estimands().items() if entry.additive]


def find_estimand(name: str) -> Estimand:
    """The entry of a name; "pointwise:3" is the entry "pointwise" at step 3.

    Raises InputError for an unknown name; the message lists the known ones.
    """
    found = estimands()
    base, colon, step = name.partition(":") if isinstance(name, str) else (name, "", "")
    entry = found.get(base) if isinstance(base, str) else None
    if entry is None or (colon and not entry.at_step):
        raise InputError(f"unknown estimand {brief(name)}; the estimands are {', '.join(usage())}")
    if not entry.at_step:
        return entry
    number = int(step) if step.isascii() and step.isdigit() and len(step) < 10 else 0
    if number < 1:
        raise InputError(f"estimand {brief(name)}: give a step from 1 to T, as in {base}:1")
    return replace(entry, name=f"{base}:{number}", step=number)


def per_sample(terms: Terms, name: str) -> Tensor:
    """The estimand of each sample: (samples,) float64. Raises InputError for an unknown name."""
    return find_estimand(name)(terms)

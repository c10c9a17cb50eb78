"""Values that the shell completes. Each press of Tab starts Python, so nothing heavy loads."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from ..baselines.rows import ROWS
from ..datasets.cards import DATASETS

# Of the registry (core/registry.py), which would load torch. A test compares the two.
ESTIMANDS = (
    *("jeffreys", "kl", "initial", "final", "output", "coupled", "girsanov", "chain"),
    *("pointwise:", "cumulative:"),  # a step follows
)
DEVICES = ("cpu", "cuda", "mps")
BASELINES = ("paragon", *ROWS, "encoder=", "lm=")

Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def values(
    names: Iterable[str] | Callable[[], Iterable[str]], *, files: bool = False, listed: bool = False
) -> Completion:
    """Complete one of the names.

    names:  the names, or a function that finds them when the shell asks
    files:  a file or folder will do, too
    listed: the value is a list, separated by commas, of which the last name is completed
    """

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",") if listed else ("", "", incomplete)
        start = before + comma
        known = names() if callable(names) else names
        found = [CompletionItem(start + name) for name in known if name.startswith(last)]
        return [*found, CompletionItem(incomplete, type="file")] if files else found

    return complete


def dataset_names() -> tuple[str, ...]:
    """The human-annotated sets that are known by name."""
    return tuple(DATASETS)

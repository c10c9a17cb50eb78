"""What runs in a worker's process: it holds processes, and computes blocks of pairs with them.

It knows nothing of who started it. What it computes is written into the run folder, and the names
of the shards are what it returns.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError
from .blocks import Block
from .remote import Facts, Order, Outcome, Recipe
from .stopping import Stopped, ask_to_stop, check_stop

if TYPE_CHECKING:
    from ..core.process import GenerativeProcess

_OPTIONAL = ("settings", "compare", "comparison_scale", "comparison_shift")
_OURS = "conjure.core.errors"  # whose warnings are for the user


class Worker:
    """One worker.

    load:        as ``conjure.load``
    where:       the folder to work in, so that relative paths mean what they mean to the user
    environment: variables to set before anything is loaded
    """

    def __init__(
        self, load: Callable[..., Any], where: str, environment: Mapping[str, str]
    ) -> None:
        os.environ.update(environment)
        with suppress(OSError):  # not on every node: then absolute paths alone can be read
            os.chdir(where)
        self._load = load
        self._loaded: dict[str, Any] = {}

    def placed(self) -> int:
        """The number of the process. It answers as soon as a node has room for the worker."""
        return os.getpid()

    def ready(self, recipe: Recipe, key: Mapping[str, Any] | None) -> Facts:
        """Load the process. Raises InputError if it is another one than the key says."""
        with _remarks() as remarks:
            facts = replace(self._facts(recipe), remarks=remarks)
        if key is not None:
            _check_key(facts.key, key)
        return facts

    def ask(self, recipe: Recipe, method: str, arguments: tuple[Any, ...]) -> Any:
        """What a method of the process returns: tensors on the CPU."""
        if method == "facts":
            return self._facts(recipe)
        process = self._process(recipe)
        if method == "seconds_a_row":
            from .cost import seconds_a_row

            return seconds_a_row(process, *arguments)
        from ..core.reading import ReadsTexts

        if method in ("unreadable", "remarks") and not isinstance(process, ReadsTexts):
            return {} if method == "unreadable" else []
        return _on_cpu(getattr(process, method)(*arguments))

    def measure(self, order: Order, block: Block) -> Outcome:
        """Compute a block, and write what is finished into the run folder."""
        from ..core.spec import sign_process
        from .manifest import NAME
        from .terms import TermStore

        process = self._process(order.recipe)
        _check_key(sign_process(process).key, order.key)
        if not (order.folder / NAME).exists():
            raise InputError(
                f"a worker on {os.uname().nodename} does not see {order.folder}: the folder must be"
                " on a disk that all nodes share"
            )
        begun, stopped = time.monotonic(), False
        with _remarks() as remarks, TermStore(order.folder, process, helper=True) as kept:
            kept.store.begin({}, order.expected)
            try:
                bound = _bound(process, order)
                check_stop()
                for _ in kept.compute(process, block.pairs, block.seeds, order.spec, bound):
                    pass
            except Stopped:
                stopped = True
            kept.close()
            return Outcome(
                shards=kept.store.written,
                batch=process.batch_size,
                seconds=time.monotonic() - begun,
                stopped=stopped,
                remarks=remarks,
            )

    def stop(self) -> None:
        """End the block that is being computed at the next safe place."""
        ask_to_stop()

    def _process(self, recipe: Recipe) -> GenerativeProcess:
        name = repr(recipe)
        if name not in self._loaded:
            if recipe.changes:
                base = self._process(replace(recipe, changes=recipe.changes[:-1]))
                self._loaded[name] = base.with_settings(**recipe.changes[-1])  # type: ignore[attr-defined]
            else:
                self._loaded[name] = self._load(*recipe.source, **recipe.settings)
        found: GenerativeProcess = self._loaded[name]
        return found

    def _facts(self, recipe: Recipe) -> Facts:
        from ..core.checks import checked_process
        from ..core.process import GenerativeProcess
        from ..core.spec import sign_process

        process = checked_process(self._process(recipe))
        names = [*GenerativeProcess.__annotations__, *_OPTIONAL]
        attributes = {name: getattr(process, name) for name in names if hasattr(process, name)}
        if "settings" in attributes:
            attributes["settings"] = dict(attributes["settings"])
        signature = sign_process(process)
        return Facts(attributes, dict(signature.key), dict(signature.provenance))


def _check_key(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if dict(found) == dict(wanted):
        return
    names = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    listed = ", ".join(
        f"{name} {found.get(name)!s:.80}, elsewhere {wanted.get(name)!s:.80}" for name in names
    )
    raise InputError(
        f"a worker on {os.uname().nodename} has another process than the others ({listed}): give "
        "all nodes the same files"
    )


def _bound(process: GenerativeProcess, order: Order) -> int:
    """The memory for trajectories: as asked, or this worker's share of what is free."""
    from ..core.memory import automatic_bound

    if order.max_memory is not None:
        return order.max_memory
    return max(2**20, automatic_bound(process.device) // order.sharing)


def _on_cpu(value: Any) -> Any:
    """Conditioning with its tensors on the CPU; anything else as it is."""
    tensors = getattr(value, "tensors", None)
    if tensors is None:
        return value
    return type(value)({name: tensor.cpu() for name, tensor in tensors.items()})


@contextmanager
def _remarks() -> Iterator[list[Warning]]:
    """The warnings of ours that come within it; they are for the user, who is elsewhere."""
    found: list[Warning] = []
    show = warnings.showwarning

    def take(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if isinstance(message, Warning) and category.__module__.startswith(_OURS):
            found.append(message)
        else:
            show(message, category, *rest, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = take
        yield found

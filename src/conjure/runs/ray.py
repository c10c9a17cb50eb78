"""Workers that are actors of Ray, on one machine or on many: ``--engine ray``."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..core.errors import InputError
from ..core.reading import tell
from ..core.text import first_line
from .crew import RayCrew, RayOptions
from .remote import Recipe, RemoteProcess

__all__ = ["RayEngine", "RayOptions"]

_STORE = 100 * 2**20  # bytes of Ray's object store: nothing large is sent


class RayEngine:
    """Processes whose networks are with actors of Ray; a context manager, which ends them.

    load: ``conjure.load``, or a function that can be pickled and does the same
    say:  is called with a line that says what the run waits for
    """

    def __init__(
        self,
        options: RayOptions,
        load: Callable[..., Any],
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        self.options = options
        self._load, self._say = load, say
        self._crew: RayCrew | None = None
        self._started = False

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def load(self, *source: str, **settings: Any) -> RemoteProcess:
        """A process as ``conjure.load`` gives it, loaded by each worker and not here."""
        if self._crew is None:
            self._started = _connect(self.options)
            self._crew = RayCrew(self.options, self._load, self._say)
        recipe = Recipe(source, settings)
        facts = self._crew.first(recipe)
        for remark in facts.remarks:
            tell(remark)
        return RemoteProcess(self._crew, recipe, facts)

    def close(self) -> None:
        """End the workers, and the Ray that was started for them."""
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.close()
        if self._started:
            import ray

            self._started = False
            ray.shutdown()


def _connect(options: RayOptions) -> bool:
    """Connect to Ray, quietly. → whether that was done here, and not by the caller's program."""
    import logging

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before it is imported
    import ray

    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    _check_answers(address)
    if ray.is_initialized():
        return False
    own: dict[str, Any] = {}
    if address == "local":
        cpus = max(options.workers or 0, len(_cpus()))
        own = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": _STORE}
    with _own_signals():
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _no_answer(address, error) from error
    return True


def _check_answers(address: str) -> None:
    """Raise InputError where no server answers: Ray itself would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_answer(address, error) from error


def _no_answer(address: str, error: Exception) -> InputError:
    return InputError(
        f"no cluster of Ray answers at {address!r:.80} ({first_line(error)}): start one by ray "
        "start --head, or leave --address out"
    )


def _cpus() -> set[int]:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals: Ray sets its own for SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Stop a long run at a safe place: after the block that is being computed.

Within ``stoppable`` the first Ctrl-C, SIGTERM or SIGHUP only asks for a stop. The run goes on until
``check_stop``, which raises ``Stopped`` there. A second signal stops at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # a system may lack the last one
_asked: list[int] = []  # the signals that came; empty outside ``stoppable``


class Stopped(Exception):
    """The run was asked to stop, and did so after a block; what is finished is kept.

    No ConjureError: where one row of a table fails the others go on, and here nothing does.

    status: the exit status, 128 + the number of the signal
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.status = 128 + signal_number


@contextmanager
def stoppable(say: Callable[[str], object] = lambda line: None) -> Iterator[None]:
    """Let signals stop the run after the current block; outside the main thread nothing changes.

    say: is told that the run ends soon, and how to end it at once
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: object) -> None:
        _asked.append(number)
        if len(_asked) > 1:
            for other in taken:  # what is finished is written in peace
                signal.signal(other, signal.SIG_IGN)
            raise KeyboardInterrupt
        with suppress(RuntimeError):  # the signal came while a line was being written
            say("stopping after the current block, which is then kept; once more stops at once")

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    # A signal that the caller ignores stays ignored: nohup ignores SIGHUP.
    taken = [number for number in numbers if before[number] is not signal.SIG_IGN]
    try:
        for number in taken:
            signal.signal(number, ask)
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])
        _asked.clear()


def ask_to_stop() -> None:
    """Let ``check_stop`` raise, as if SIGTERM had come; for a program without ``stoppable``."""
    _asked.append(signal.SIGTERM)


def check_stop() -> None:
    """Raise ``Stopped`` if a signal has asked for it."""
    if _asked:
        raise Stopped(_asked[0])

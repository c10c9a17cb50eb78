"""diffusers, transformers and the hub without their bars and remarks, for a moment."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

import diffusers
import transformers
from huggingface_hub.utils import logging as hub


@contextlib.contextmanager
def quiet_hub() -> Iterator[None]:
    """Within it, the hub's client does not log its failed attempts."""
    before = hub.get_verbosity()
    hub.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        hub.set_verbosity(before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within it, only errors are logged and no bar is drawn; afterwards all is as before."""
    logs = (diffusers.utils.logging, transformers.utils.logging)
    before = [(log.get_verbosity(), log.is_progress_bar_enabled()) for log in logs]
    try:
        for log in logs:
            log.set_verbosity_error()
            log.disable_progress_bar()
        with quiet_hub(), warnings.catch_warnings():
            # "your scheduler's configuration is outdated": diffusers corrects it by itself
            warnings.simplefilter("ignore", FutureWarning)
            # "__array__ should take a copy keyword": between numpy and torch, inside diffusers
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        for log, (verbosity, bar) in zip(logs, before, strict=True):
            log.set_verbosity(verbosity)
            if bar:
                log.enable_progress_bar()

"""The tables' commands: measure, write, and say what there is to read."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..report.render import terminal
from ..report.report import write_table
from . import tables
from .run import Run
from .tables import Table


def table1(run: Run) -> str:
    return _written(run, tables.table1)


def table2(run: Run) -> str:
    return _written(run, tables.table2)


def table3(run: Run) -> str:
    return _written(run, tables.table3)


def _written(run: Run, make: Callable[[Run], Table]) -> str:
    begun = time.perf_counter()
    table = make(run)
    paths = write_table(run, table, time.perf_counter() - begun)
    run.say(f"written: {', '.join(map(str, paths))}")
    return terminal(table)

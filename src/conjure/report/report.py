"""The one record of a finished result: a table, or a figure with its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .cells import Cell
from .differences import RowDifference
from .grids import Grid, differences_grid, reliability_grid
from .reliability import RowReliability

DIFFERENCES = "One row less another on the same pairs (*measured*, paired bootstrap)"
RELIABILITY = "Split-half reliability of the distances over samples (*measured*)"


@dataclass(frozen=True)
class Report:
    """What one command found, ready to be shown and written.

    name:     of its files, without ending
    grids:    (heading, grid) of each table of figures. In a report without pictures they have the
              same columns, so that LaTeX can print them as one table
    notes:    what a reader must know, one sentence each
    cells:    all measured and published figures, also those that no grid shows
    pictures: (name of the files without ending, what they show) of each picture
    titles:   what tables call a row, where that is not its name
    objects:  the JSON file where the result is no list of cells
    """

    name: str
    title: str
    grids: tuple[tuple[str, Grid], ...]
    notes: tuple[str, ...]
    cells: tuple[Cell, ...] = ()
    differences: tuple[RowDifference, ...] = ()
    reliabilities: tuple[RowReliability, ...] = ()
    pictures: tuple[tuple[str, str], ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[str, Any] | None = None

    @property
    def tables(self) -> list[tuple[str, Grid]]:
        """(heading, grid) of every table that has rows, in the order in which they are shown."""
        found = [
            *self.grids,
            (DIFFERENCES, differences_grid(self.differences, self.titles)),
            (RELIABILITY, reliability_grid(self.reliabilities, self.titles)),
        ]
        return [(heading, grid) for heading, grid in found if len(grid) > 1]

"""Write the tables of this folder again from their kept cells: ``python docs/results/rewrite.py``.

The measured cells, differences and reliabilities in the JSON files stay as they are. Published
figures, the ± of the average, titles and notes come from the package. Each page keeps the command,
duration and machine of the run that measured it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from conjure.core.spec import Signature
from conjure.datasets.cards import SEVEN
from conjure.paper.tables import table_report
from conjure.report.cells import ALL, AVERAGE, DEVIATION, MEAN, MEASURED, WEIGHTED, Cell, Column
from conjure.report.differences import RowDifference
from conjure.report.reliability import RowReliability
from conjure.report.writing import write_report
from conjure.stats.comparison import average

HERE = Path(__file__).parent
TABLES = ("table1", "table2", "table3", "three-seeds/table1", "three-seeds/table2")


def rewrite(table: str, out: Path) -> None:
    """One table, from this folder into ``out``."""
    cells = with_deviations([as_cell(one) for one in kept(table) if one["source"] == MEASURED])
    page = (HERE / f"{table}.md").read_text(encoding="utf-8")
    origin = "".join(
        f"{line}\n"
        for line in page.splitlines()
        if line.startswith(("- Command:", "- Duration:", "- Machine:"))
    )
    report = table_report(
        Path(table).name,
        tuple(dict.fromkeys(cell.row for cell in cells)),
        columns_of(table, cells),
        cells,
        [RowDifference(**as_tuple(one)) for one in kept(f"{table}-differences")],
        [RowReliability(**one) for one in kept(f"{table}-reliability")],
    )
    write_report(report, out / Path(table).parent, origin)
    (out / f"{table}.csv").unlink()  # the same cells as in the JSON file


def kept(name: str) -> list[dict[str, Any]]:
    path = HERE / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def as_cell(one: dict[str, Any]) -> Cell:
    signature = Signature(one["signature"]["key"], one["signature"]["provenance"])
    return Cell(**as_tuple(one | {"signature": signature}))


def as_tuple(one: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where records have tuples."""
    return one | {"interval": one["interval"] and tuple(one["interval"])}


def with_deviations(cells: list[Cell]) -> list[Cell]:
    """The ± of each average, from the row's figures on the seven sets."""
    whole = {(cell.row, cell.dataset): cell.spearman for cell in cells if cell.subset == ALL}
    return [
        replace(
            cell,
            spearman=average({name: whole[cell.row, name] for name in SEVEN}).deviation,
        )
        if (cell.dataset, cell.subset) == (AVERAGE, DEVIATION)
        else cell
        for cell in cells
    ]


def columns_of(table: str, cells: list[Cell]) -> list[Column]:
    """Whole sets; in Table 2 also their parts of speech."""
    columns = dict.fromkeys((cell.dataset, cell.subset) for cell in cells)
    if table.endswith("table2"):
        return [column for column in columns if column[1] not in (MEAN, WEIGHTED)]
    return [column for column in columns if column[1] == ALL]


if __name__ == "__main__":
    for name in sys.argv[1:] or TABLES:
        rewrite(name, HERE)

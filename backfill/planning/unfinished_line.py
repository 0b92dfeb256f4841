"""Orders on the last line of a CSV file that may be cut: they wait for the whole file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from backfill.planning.judgement import Orders, Rejected, order_code
from backfill.planning.tables import PlanTables
from backfill.sources.ending import Ending

REASON: Final = "last_line_unfinished"


def unfinished_orders(endings: Mapping[int, Ending], folder: Path) -> Orders:
    """The codes of orders on last lines without a line end; of other orders too, without events.

    Args:
        endings: the ends of the export's files, by their number.
        folder: the plan's, whose ``members`` tell the order of a row that is not its first.
    """
    wanted = [(at, ending.row) for at, ending in endings.items() if not ending.has_line_end]
    rows = _codes(wanted)
    found = [rows]
    for path in sorted(folder.glob("members-*.parquet")) if wanted else ():
        for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches():
            file, row, order_file, order_row = (column.to_numpy() for column in batch.columns)
            here = np.isin(order_code(file.astype(np.int64), row), rows)
            found.append(order_code(order_file[here].astype(np.int64), order_row[here]))
    return np.unique(np.concatenate(found))


def reject_unfinished(tables: PlanTables, orders: Orders) -> Rejected:
    """Reject orders, of which the view ``e`` has no event afterwards.

    Args:
        tables: the plan's.
        orders: the codes of ``unfinished_orders``.
    """
    return Rejected(REASON, "", tables.reject_orders(orders))


def _codes(rows: list[tuple[int, int]]) -> Orders:
    file, row = np.array(rows, np.int64).reshape(-1, 2).T
    return order_code(file, row)

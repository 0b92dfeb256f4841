"""Where one file has an order twice: exports that were put together, one below the other."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from backfill.engine.duck import connect

REPEATS: Final = "_repeats"

_LINES: Final = (
    "select o, _origin, md5(to_json([{lines}])::varchar) as line, "
    "list_filter([{own}]::varchar[], lambda cell: cell is not null) as filled, "
    "_row - row_number() over (partition by o, _origin order by _row) as run from rows where o >= 0"
)
_TWICE: Final = "select o, _origin from l group by o, _origin, line having count(*) > 1"
# Sorted by its totals, a file parts an order's first row, which alone has them, from an equal line.
_APART: Final = (
    "select a.o, a._origin from l a join l b on a.o = b.o and a._origin = b._origin "
    "and a.line = b.line and a.run < b.run where a.filled = b.filled or "
    "len(list_intersect(a.filled, b.filled)) * 2 > greatest(len(a.filled), len(b.filled))"
)


def flag_repeats(
    rows: pa.Table,
    cells: Sequence[str],
    lines: Sequence[str],
    order: Sequence[str],
    *,
    row_is_order: bool,
) -> pa.Table:
    """``rows`` with ``_repeats``: does the file hold this order once more?

    It does where two rows of an order have equal lines and much the same of the order's own cells,
    and rows of other orders stand between. Equal lines of one order stand next to each other, and
    stay so in a file that was sorted. Where a row holds all of its order's lines, a second row with
    the same ones is enough. Where the schema uses no lines, nothing can be doubled.
    """
    if not lines or not _suspect(rows, row_is_order=row_is_order):
        return rows.append_column(REPEATS, pa.repeat(pa.scalar(value=False), rows.num_rows))
    own = [cell for cell in cells if cell not in {*lines, *order}]
    with connect() as connection:
        connection.register("rows", rows)
        counted = _LINES.format(
            lines=", ".join(lines),
            own=", ".join(f"case when {cell} is not null then '{cell}' end" for cell in own),
        )
        connection.execute(f"create temp table l as {counted}")
        found = connection.sql(
            "select r.o is not null as found from rows left join "
            f"(select distinct * from ({_TWICE if row_is_order else _APART})) r "
            "on rows.o = r.o and rows._origin = r._origin order by rows.pos"
        ).to_arrow_table()
    return rows.append_column(REPEATS, found["found"])


def _suspect(rows: pa.Table, *, row_is_order: bool) -> bool:
    """Has an order more rows than one, or more runs of rows in its file?"""
    if rows.num_rows == 0:
        return False
    order, origin, row = (
        np.asarray(rows[name].to_numpy(), np.int64) for name in ("o", "_origin", "_row")
    )
    orders = rows.select(["o", "_origin"]).group_by(["o", "_origin"]).aggregate([]).num_rows
    if row_is_order:
        return bool(rows.num_rows > orders)
    goes_on = (np.diff(order) == 0) & (np.diff(origin) == 0) & (np.diff(row) == 1)
    return bool(rows.num_rows - int(goes_on.sum()) > orders)

"""Orders that are in an export twice: in several files, or in a file made of several exports."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill.engine.duck import connect

AcrossFiles = Literal["first", "last", "merge"]

_SETS: Final = (
    "select order_no, _origin, list_sort(list(hash)) as rows from hashed group by order_no, _origin"
)
_COMPARED: Final = (
    "select order_no, min(_origin) as first, max(_origin) as last, "
    f"count(distinct rows) > 1 as differ from ({_SETS}) group by order_no having count(*) > 1"
)
_COPIES: Final = (
    "select place, row_number() over (partition by order_no, hash, nth order by _origin, place) "
    "as copy from (select *, row_number() over "
    "(partition by order_no, _origin, hash order by place) as nth from hashed)"
)
_KEPT: Final = {
    None: "compared.differ or rows._origin = compared.first",
    "first": "rows._origin = compared.first",
    "last": "rows._origin = case when compared.differ then compared.last else compared.first end",
    "merge": "copies.copy = 1",
}
"""A condition on the rows that are kept of an order in several files, by ``across_files``."""


def resolve_overlap(
    rows: pa.Table, cells: Sequence[str], lines: Sequence[str], across_files: AcrossFiles | None
) -> pa.Table:
    """Keep one file's rows of each order that is in several files.

    Args:
        rows: the columns ``cells``, with order_no, place, _origin (the number of the row's file)
            and _differs.
        cells: the columns that the schema uses.
        lines: those of them that belong to a row and not to its order.
        across_files: which file to trust where files disagree: the first, the last, or all their
            different lines with the first file's other cells. None trusts no file: the orders keep
            all rows and get ``_differs``.

    Returns:
        The rows that are kept, in file order.
    """
    files = pc.min_max(rows["_origin"]).as_py()
    if files["min"] == files["max"]:
        return rows
    hashed = lines if across_files == "merge" and lines else cells
    with connect() as connection:
        connection.register("rows", rows)
        connection.execute(
            "create temp table hashed as select order_no, place, _origin, "
            f"md5(to_json([{', '.join(hashed)}])::varchar) as hash from rows where order_no >= 0"
        )
        found = connection.sql(
            "select coalesce(compared.differ, false) as differ, "
            f"coalesce({_KEPT[across_files]}, true) as keep from rows "
            f"left join ({_COPIES}) copies on rows.place = copies.place "
            f"left join ({_COMPARED}) compared on rows.order_no = compared.order_no "
            "order by rows.place"
        ).to_arrow_table()
    if across_files is None:
        at = rows.column_names.index("_differs")
        rows = rows.set_column(at, "_differs", found["differ"])
    return rows.filter(found["keep"])


REPEATED: Final = "_repeated"

_LINES: Final = (
    "select order_no, _origin, md5(to_json([{lines}])::varchar) as line, "
    "list_filter([{own}]::varchar[], lambda cell: cell is not null) as filled, "
    "_row - row_number() over (partition by order_no, _origin order by _row) as run "
    "from rows where order_no >= 0"
)
_EQUAL_ROWS: Final = (
    "select order_no, _origin from hashed group by order_no, _origin, line having count(*) > 1"
)
# In a file that is sorted by totals, an order's first row, which alone has a total, can be apart
# from an equal line of the order: so the order's own cells must be alike too.
_EQUAL_ROWS_APART: Final = (
    "select a.order_no, a._origin from hashed a join hashed b on a.order_no = b.order_no "
    "and a._origin = b._origin and a.line = b.line and a.run < b.run where a.filled = b.filled or "
    "len(list_intersect(a.filled, b.filled)) * 2 > greatest(len(a.filled), len(b.filled))"
)


def flag_repeated_orders(
    rows: pa.Table,
    cells: Sequence[str],
    lines: Sequence[str],
    order: Sequence[str],
    *,
    row_is_order: bool,
) -> pa.Table:
    """``rows`` with the column ``_repeated``: is the row's order in its file twice?

    It is where two rows of the order have equal lines and mostly the same of the order's own cells,
    and rows of other orders are between them. Equal lines that an order does have are next to each
    other, also in a file that was sorted.

    Args:
        rows: see ``resolve_overlap``; with _row, the row's number in its file.
        cells: the columns that the schema uses.
        lines: those of them that belong to a row. Without them nothing can be repeated.
        order: those of them that tell orders apart.
        row_is_order: does a row hold all lines of its order? Then any second row is a repeat.
    """
    if not lines or not _may_repeat(rows, row_is_order=row_is_order):
        return rows.append_column(REPEATED, pa.repeat(pa.scalar(value=False), rows.num_rows))
    own = [cell for cell in cells if cell not in {*lines, *order}]
    with connect() as connection:
        connection.register("rows", rows)
        hashed = _LINES.format(
            lines=", ".join(lines),
            own=", ".join(f"case when {cell} is not null then '{cell}' end" for cell in own),
        )
        connection.execute(f"create temp table hashed as {hashed}")
        found = connection.sql(
            "select repeated.order_no is not null as found from rows left join "
            f"(select distinct * from ({_EQUAL_ROWS if row_is_order else _EQUAL_ROWS_APART})) "
            "repeated on rows.order_no = repeated.order_no and rows._origin = repeated._origin "
            "order by rows.place"
        ).to_arrow_table()
    return rows.append_column(REPEATED, found["found"])


def _may_repeat(rows: pa.Table, *, row_is_order: bool) -> bool:
    """Does an order have more rows than one, or more runs of rows in its file than one?"""
    if rows.num_rows == 0:
        return False
    order, origin, row = (
        np.asarray(rows[name].to_numpy(), np.int64) for name in ("order_no", "_origin", "_row")
    )
    columns = ["order_no", "_origin"]
    orders = rows.select(columns).group_by(columns).aggregate([]).num_rows
    if row_is_order:
        return bool(rows.num_rows > orders)
    continues = (np.diff(order) == 0) & (np.diff(origin) == 0) & (np.diff(row) == 1)
    return bool(rows.num_rows - int(continues.sum()) > orders)

"""Where one order stands twice: in several files, or in a file made of several exports."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill.engine.duck import connect

AcrossFiles = Literal["first", "last", "merge"]

_SETS: Final = "select o, _origin, list_sort(list(h)) as rows from r group by o, _origin"
_JUDGED: Final = (
    "select o, min(_origin) as first, max(_origin) as last, count(distinct rows) > 1 as differ "
    f"from ({_SETS}) group by o having count(*) > 1"
)
_NUMBERED: Final = (
    "select pos, row_number() over (partition by o, h, nth order by _origin, pos) as copy from "
    "(select *, row_number() over (partition by o, _origin, h order by pos) as nth from r)"
)
_KEPT: Final = {
    None: "j.differ or rows._origin = j.first",
    "first": "rows._origin = j.first",
    "last": "rows._origin = case when j.differ then j.last else j.first end",
    "merge": "m.copy = 1",
}


def settle_overlap(
    rows: pa.Table, cells: Sequence[str], lines: Sequence[str], across_files: AcrossFiles | None
) -> pa.Table:
    """The rows of a slice that count, each order's once, in file order.

    ``rows`` has the columns ``cells``, of which ``lines`` belong to a row and not to its order, and
    o, pos, _origin (the file that a row comes from) and _differs. Orders whose files disagree keep
    all rows and get ``_differs``, unless ``across_files`` says which to trust: the first or the
    last file that has the order, or all their different lines with the first one's other cells.
    """
    files = pc.min_max(rows["_origin"]).as_py()
    if files["min"] == files["max"]:
        return rows
    compared = lines if across_files == "merge" and lines else cells
    with connect() as connection:
        connection.register("rows", rows)
        connection.execute(
            "create temp table r as select o, pos, _origin, "
            f"md5(to_json([{', '.join(compared)}])::varchar) as h from rows where o >= 0"
        )
        found = connection.sql(
            "select coalesce(j.differ, false) as differ, "
            f"coalesce({_KEPT[across_files]}, true) as keep from rows "
            f"left join ({_NUMBERED}) m on rows.pos = m.pos "
            f"left join ({_JUDGED}) j on rows.o = j.o order by rows.pos"
        ).to_arrow_table()
    if across_files is None:
        at = rows.column_names.index("_differs")
        rows = rows.set_column(at, "_differs", found["differ"])
    return rows.filter(found["keep"])


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

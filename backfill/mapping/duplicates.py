"""Where one order stands in several files: rows that are equal are taken once."""

from collections.abc import Sequence
from typing import Final, Literal

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

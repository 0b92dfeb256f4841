"""Where one order stands in several files: rows that are equal are taken once."""

from typing import Final, Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

AcrossFiles = Literal["first", "last", "merge"]

_SETS: Final = "select o, _file, list_sort(list(h)) as rows from r group by o, _file"
_JUDGED: Final = (
    f"select o, min(_file) as first, max(_file) as last, count(distinct rows) > 1 as differ "
    f"from ({_SETS}) group by o having count(*) > 1"
)


def settle_overlap(rows: pa.Table, width: int, across_files: AcrossFiles | None) -> pa.Table:
    """The rows of a slice that count, each order's once, in file order.

    ``rows`` has columns c0 … for ``width`` cells, and o, pos, _file, _differs. Orders whose files
    disagree keep all rows and get ``_differs``, unless ``across_files`` says which to trust:
    the first or the last file that has the order, or all their different rows.
    """
    files = pc.min_max(rows["_file"]).as_py()
    if files["min"] == files["max"]:
        return rows
    cells = ", ".join(f"c{at}" for at in range(width))
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.register("rows", rows)
        connection.execute(
            f"create temp table r as select o, pos, _file, md5(row({cells})::varchar) as h "
            "from rows where o >= 0"
        )
        keep = "_file = first"
        if across_files == "last":
            keep = "case when differ then _file = last else _file = first end"
        elif across_files == "merge":
            keep = "nth_in_file_set = 1"
        elif across_files is None:
            keep = "differ or _file = first"
        found = connection.sql(
            "select rows.pos, coalesce(j.differ, false) as differ, "
            f"coalesce({keep}, true) as keep from rows "
            "left join (select pos, row_number() over "
            "(partition by o, h, nth order by _file, pos) as nth_in_file_set from "
            "(select *, row_number() over (partition by o, _file, h order by pos) as nth from r)) "
            f"m on rows.pos = m.pos left join ({_JUDGED}) j on rows.o = j.o order by rows.pos"
        ).to_arrow_table()
    if across_files is None:
        at = rows.column_names.index("_differs")
        rows = rows.set_column(at, "_differs", found["differ"])
    return rows.filter(found["keep"])

"""Rows of one order that are equal in every column, as after a join that doubled them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

from backfill.engine.duck import connect, connect_spilling, scan_parquet, streamed
from backfill.mapping.mapper import Counts
from backfill.mapping.query import quote
from backfill.planning.plan import files_of_events
from backfill.sources.export import Export
from backfill.sources.spreadsheets import REJECT_COLUMNS

MIN_ORDERS: Final = 2
MIN_SHARE: Final = 0.2
"""From so many orders and so large a share of them on, equal rows are no chance.

Measured: 152 of the 2,025 invoices of Online Retail's December 2010 (UCI Machine Learning
Repository, dataset 352), with 21 lines on average, have two equal rows."""

_ROW_NUMBERS: Final = frozenset({"", "Unnamed: 0", "__index_level_0__"})
"""The columns in which pandas (seen with 3.1) writes a frame's index, by ``to_csv``, ``to_csv`` of
what ``read_csv`` read, and ``to_parquet``: it numbers the rows of a join too."""

_HASHED: Final = pa.schema([("file", pa.int32()), ("row", pa.int64()), ("cells", pa.uint64())])


def are_many(orders: int, of: int) -> bool:
    """Are these too many orders for a chance?

    Args:
        orders: orders with equal rows.
        of: all accepted orders.
    """
    return orders >= MIN_ORDERS and orders >= MIN_SHARE * of


def orders_with_equal_rows(
    counts: Counts, export: Export, folder: Path, on_batch: Callable[[], None]
) -> int:
    """How many accepted orders have rows that are equal in every column; 0 if they are not many.

    The mapping has counted the orders with rows that are equal in the columns that the schema uses.
    Only if these are many is the export read a second time, with all its columns.

    Args:
        counts: what the mapping counted.
        export: is read again.
        folder: the plan's; data that does not fit into memory is spilled into it.
        on_batch: called before each batch of rows. An error that it raises stops the plan.
    """
    if not are_many(counts.orders_equal_rows, counts.orders_accepted):
        return 0
    members = ", ".join(quote(str(path)).text for path in sorted(folder.glob("members-*.parquet")))
    events = scan_parquet(files_of_events(folder))
    orders = (
        f"select distinct file, row, file as order_file, row as order_row from ({events}) "
        f"union all select file, row, order_file, order_row from read_parquet([{members}])"
    )
    equal = (
        f"select distinct order_file, order_row from hashed join ({orders}) using (file, row) "
        "group by order_file, order_row, file, cells having count(*) > 1"
    )
    with (
        connect_spilling(folder / "spill") as connection,
        streamed(connection, "hashed", _HASHED, _hashed(export, on_batch)),
    ):
        [(found,)] = connection.execute(f"select count(*) from ({equal})").fetchall()
    return int(found) if are_many(found, counts.orders_accepted) else 0


def _hashed(export: Export, on_batch: Callable[[], None]) -> Iterator[pa.RecordBatch]:
    """File, row and a hash of all cells of each row of the export."""
    others = {*REJECT_COLUMNS, *_ROW_NUMBERS}
    own = [at for at, name in enumerate(export.columns) if name not in others]
    cells = ", ".join(f"c{at}" for at in range(len(own)))
    query = f"select _file, _row, hash({cells}) from batch"
    with connect() as connection:
        for batch in export.batches((), own):
            on_batch()
            connection.register("batch", batch)
            found = connection.sql(query).to_arrow_table().rename_columns(_HASHED.names)
            connection.unregister("batch")
            yield from found.cast(_HASHED).to_batches()

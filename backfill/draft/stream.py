"""An export as DuckDB reads it: tidied text, batch after batch."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from backfill.sources.export import Export
from backfill.sources.spreadsheets import clean_cells


def stream_of(export: Export, places: Sequence[int]) -> pa.RecordBatchReader:
    """Columns c0, c1 … of text for the columns at ``places``, with _file and _row."""
    cells = [pa.field(f"c{at}", pa.string()) for at in range(len(places))]
    rows = [pa.field("_file", pa.int32()), pa.field("_row", pa.int64())]
    schema = pa.schema(cells + rows)
    return pa.RecordBatchReader.from_batches(schema, _batches(export, places))


def _batches(export: Export, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
    for table in export.batches(places):
        for at in range(len(places)):
            table = table.set_column(at, f"c{at}", clean_cells(table.column(at)))  # noqa: PLW2901
        yield from table.drop_columns(["_ragged"]).to_batches()

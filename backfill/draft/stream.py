"""An export as DuckDB reads it: tidied text, batch after batch."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from backfill.sources.export import Export
from backfill.tidy import tidy


class Stream:
    """An export as DuckDB reads it; keeps our exception, of which DuckDB would make its own."""

    def __init__(self, export: Export, places: Sequence[int]) -> None:
        self._export, self._places = export, places
        self.error: BaseException | None = None

    def reader(self) -> pa.RecordBatchReader:
        names = [*(f"c{at}" for at in range(len(self._places)))]
        fields = [pa.field(name, pa.string()) for name in names]
        kinds = [pa.field("_file", pa.int32()), pa.field("_row", pa.int64())]
        return pa.RecordBatchReader.from_batches(pa.schema(fields + kinds), self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for table in self._export.batches(self._places):
                for at in range(len(self._places)):
                    table = table.set_column(at, f"c{at}", tidy(table.column(at)))  # noqa: PLW2901
                yield from table.drop_columns(["_ragged"]).to_batches()
        except BaseException as error:
            self.error = error
            raise

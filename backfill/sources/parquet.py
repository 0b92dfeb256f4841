"""A Parquet file, read as a stream of text columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import parquet as pq

from backfill.engine.memory import MEMORY
from backfill.errors import ExportError
from backfill.sources.packing import faults_of
from backfill.sources.part import BATCH_BYTES, Rows, whole_rows
from backfill.sources.typed import SAMPLE_ROWS, is_temporal, rows_at_once, text_bytes, texts_of
from backfill.sources.version import Version

BATCH_MEMORY_BYTES: Final = 3_000_000_000
"""One piece is some 8 MB; a few rows of the file say how many rows that is, and may lie."""

BOMB_BYTES: Final = 1_000_000_000
"""Text that came out of a file before its ratio is looked at."""

BOMB_RATIO: Final = 1_000
"""Text to bytes of the file. Ids and times alone keep a real one below 200."""

BOMB_ROWS: Final = 10_000_000
BOMB_ROWS_A_BYTE: Final = 8
"""A row that has a number or a time of its own takes more than a bit."""


class ParquetFile:
    """A ``Part`` that is a Parquet file; its first row is number 1."""

    dialect = "Parquet"

    def __init__(self, path: Path, name: str, *, block_bytes: int = BATCH_BYTES) -> None:
        self.name = name
        self._path = path
        self._version = Version(path, name)
        self.assert_unchanged = self._version.assert_unchanged
        self._bytes = path.stat().st_size
        with self._opened() as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
            if count > max(BOMB_ROWS, BOMB_ROWS_A_BYTE * self._bytes):
                raise self._bomb(f"{count:,} rows stand")
            self._raw_names: tuple[str, ...] = tuple(schema.names)
            self.columns = tuple(raw.strip() for raw in self._raw_names)
            everything = range(len(self.columns))
            sample = next(self._texts(file, everything, SAMPLE_ROWS, lenient=True), None)
        self.temporal = frozenset(n for n, kind in enumerate(schema.types) if is_temporal(kind))
        self.text_bytes = text_bytes(sample, count) if sample else 0
        self._rows_at_once = rows_at_once(self.text_bytes, count, block_bytes)

    def rows(self, columns: Sequence[int], *, lenient: bool = False) -> Iterator[Rows]:
        first, came = 1, 0
        with self._opened() as file:
            for texts in self._texts(file, columns, self._rows_at_once, lenient=lenient):
                yield whole_rows(texts, first)
                first += texts.num_rows
                came += texts.nbytes
                if came > max(BOMB_BYTES, BOMB_RATIO * self._bytes):
                    raise self._bomb(f"{came:,} bytes of text came")

    def _texts(
        self, file: pq.ParquetFile, columns: Sequence[int], rows: int, *, lenient: bool
    ) -> Iterator[pa.Table]:
        raw = [self._raw_names[place] for place in columns]
        twice = len(set(self._raw_names)) < len(self._raw_names)
        batches = file.iter_batches(rows, columns=None if twice else raw, use_threads=False)
        while True:
            try:
                with MEMORY.limited(BATCH_MEMORY_BYTES):
                    batch = next(batches, None)
            except MemoryError as error:
                raise self._bomb(f"over {BATCH_MEMORY_BYTES:,} bytes in one piece came") from error
            except (pa.ArrowException, OSError) as error:
                raise self._damaged() from error
            if batch is None:
                return
            asked = [batch.column(self._place_in(batch, place)) for place in columns]
            labels = [self.columns[place] for place in columns]
            yield texts_of(self.name, labels, asked, batch.num_rows, lenient=lenient)

    def _place_in(self, batch: pa.RecordBatch, place: int) -> int:
        name = self._raw_names[place]
        occurrence = self._raw_names[:place].count(name)
        return int(batch.schema.get_all_field_indices(name)[occurrence])

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with self._version.held(), faults_of(self.name), self._path.open("rb") as raw:
            try:
                file = pq.ParquetFile(raw, page_checksum_verification=True)
            except (pa.ArrowException, OSError) as error:
                raise self._damaged() from error
            yield file

    def _bomb(self, what: str) -> ExportError:
        return ExportError(
            f"{self.name}: {what} out of {self._bytes:,} bytes, and no export packs so well; if it "
            "is one, write it as CSV and name that file"
        )

    def _damaged(self) -> ExportError:
        return ExportError(
            f"{self.name}: is no whole Parquet file; it is damaged or was cut short, write it again"
        )

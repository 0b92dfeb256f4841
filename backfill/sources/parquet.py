"""A Parquet file, read as a stream of text columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import parquet as pq

from backfill.engine.memory import MEMORY
from backfill.errors import ExportError
from backfill.sources.files import FileVersion, read_errors
from backfill.sources.source import BATCH_BYTES, Rows, rows_from
from backfill.sources.text import (
    SAMPLE_ROWS,
    columns_as_text,
    estimated_bytes,
    rows_at_once,
    typed_columns,
)

BATCH_MEMORY_BYTES: Final = 1_000_000_000
"""The memory that one batch may take. A batch is about 8 MB of text, as estimated from the file's
first rows, but other rows may be longer."""

FIRST_ROWS: Final = 20
"""The rows that show how many rows the sample may have: each may be a megabyte of text."""

BOMB_BYTES: Final = 1_000_000_000
"""The bytes of text that are read from a file before its ratio is checked."""

BOMB_RATIO: Final = 1_000
"""The highest ratio of bytes of text to bytes of the file. In real files, ids and times alone keep
it below 200."""

UNPACKED_BYTES: Final = 256_000_000
"""The bytes that a file may unpack to, by its footer, before ``BOMB_RATIO`` holds for them too."""

BOMB_ROWS: Final = 10_000_000
BOMB_ROWS_A_BYTE: Final = 8
"""A row with a number or a time of its own takes more than one bit."""


class ParquetFile:
    """A ``Source`` in a Parquet file. Its first row is number 1."""

    dialect = "Parquet"
    ending = None
    skipped_lines = 0

    def __init__(self, path: Path, name: str, *, batch_bytes: int = BATCH_BYTES) -> None:
        self.name = name
        self._path = path
        self._version = FileVersion(path, name)
        self.assert_unchanged = self._version.assert_unchanged
        self._bytes = path.stat().st_size
        with self._opened() as file:
            schema, (count, unpacked) = file.schema_arrow, self._checked_claims(file.metadata)
            self._raw_names: tuple[str, ...] = tuple(schema.names)
            self.columns = tuple(name.strip() for name in self._raw_names)
            every = range(len(self.columns))
            first = next(self._texts(file, (), every, FIRST_ROWS), None)
            rows = rows_at_once(estimated_bytes(first, count), count, batch_bytes) if first else 1
            sample = next(self._texts(file, (), every, min(rows, SAMPLE_ROWS)), None)
        self.typed = typed_columns(schema.types)
        self.text_bytes = estimated_bytes(sample, count) if sample else 0
        # The sample may be of rows that are shorter than the later ones.
        self._rows_at_once = rows_at_once(max(self.text_bytes, unpacked), count, batch_bytes)

    def rows(self, columns: Sequence[int], inspected: Sequence[int] = ()) -> Iterator[Rows]:
        first, size = 1, 0
        with self._opened() as file:
            for texts in self._texts(file, columns, inspected, self._rows_at_once):
                yield rows_from(first, texts)
                first += texts.num_rows
                size += texts.nbytes
                if size > max(BOMB_BYTES, BOMB_RATIO * self._bytes):
                    raise self._bomb(f"{size:,} bytes of text came out of")

    def _checked_claims(self, footer: pq.FileMetaData) -> tuple[int, int]:
        """The rows and the unpacked bytes that the footer claims, if they fit the file's size."""
        groups = [footer.row_group(at) for at in range(footer.num_row_groups)]
        count: int = max(footer.num_rows, sum(group.num_rows for group in groups))
        if count > max(BOMB_ROWS, BOMB_ROWS_A_BYTE * self._bytes):
            raise self._bomb(f"the file claims {count:,} rows in")
        unpacked: int = sum(group.total_byte_size for group in groups)
        if unpacked > max(UNPACKED_BYTES, BOMB_RATIO * self._bytes):
            raise self._bomb(f"the file claims {unpacked:,} bytes of columns in")
        return count, unpacked

    def _texts(
        self, file: pq.ParquetFile, columns: Sequence[int], inspected: Sequence[int], rows: int
    ) -> Iterator[pa.Table]:
        positions = [*columns, *inspected]
        labels = [self.columns[at] for at in positions]
        raw = [self._raw_names[at] for at in positions]
        repeated = len(set(self._raw_names)) < len(self._raw_names)
        # Columns of one name can only be told apart by position, so all columns are read.
        batches = file.iter_batches(rows, columns=None if repeated else raw, use_threads=False)
        while True:
            try:
                with MEMORY.limited(BATCH_MEMORY_BYTES):
                    batch = next(batches, None)
                    if batch is None:
                        return
                    found = [
                        batch.column(at if repeated else self._raw_names[at]) for at in positions
                    ]
                    texts = columns_as_text(
                        self.name, labels, found, batch.num_rows, strict=len(columns)
                    )
            except MemoryError as error:
                raise self._bomb(
                    f"over {BATCH_MEMORY_BYTES:,} bytes of one batch came out of"
                ) from error
            except (pa.ArrowException, OSError) as error:
                raise self._damaged() from error
            yield texts

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with self._version.checked(), read_errors(self.name), self._path.open("rb") as raw:
            try:
                # With pre_buffer, pyarrow 26 would hold the whole file in memory.
                # INT96 in nanoseconds, the default, makes 1816 of the year 9999 in silence.
                file = pq.ParquetFile(
                    raw,
                    page_checksum_verification=True,
                    pre_buffer=False,
                    coerce_int96_timestamp_unit="us",
                )
            except (pa.ArrowException, OSError) as error:
                raise self._too_deep(error) or self._damaged() from error
            yield file

    def _bomb(self, what: str) -> ExportError:
        return ExportError(
            f"{self.name}: {what} {self._bytes:,} bytes, and no export shrinks so much; if it is "
            "one, write it as CSV and name that file"
        )

    def _too_deep(self, error: Exception) -> ExportError | None:
        """What is wrong if a column nests deeper than pyarrow reads; None for another error."""
        if "too deeply nested" not in str(error):
            return None
        return ExportError(
            f"{self.name}: a column nests lists or structs deeper than pyarrow reads (about 50 "
            "lists in each other); write the file without that column, or the column as JSON text"
        )

    def _damaged(self) -> ExportError:
        return ExportError(
            f"{self.name}: is not a whole Parquet file but damaged or cut short; write it again"
        )

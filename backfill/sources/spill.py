"""Rows grouped by their order's key in a temporary file, because memory does not hold all rows."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backfill.engine.duck import connect
from backfill.errors import UsageError
from backfill.sources.spreadsheets import clean_cells

BUCKET_BYTES: Final = 2_500_000
"""The bytes of one bucket: fewer than a batch's, because rows of an order go through more tables
than a row that is an order."""

BUCKETS_MAX: Final = 1_024

HELD_BYTES: Final = 16_000_000
"""The bytes that are gathered in memory before they are written, so that pieces are large."""

_Piece = tuple[int, int, int]
"""Where some rows of a bucket are in the file: offset, length, length when decompressed."""

CellReader = Callable[[pa.Table, str], pa.ChunkedArray]
"""Takes a batch and a column's name; returns the column's cells as the mapping reads them."""


def buckets_for(text_bytes: int) -> int:
    """How many buckets make each about ``BUCKET_BYTES``."""
    return max(1, min(BUCKETS_MAX, -(-text_bytes // BUCKET_BYTES)))


def _clean_cell(rows: pa.Table, name: str) -> pa.ChunkedArray:
    return clean_cells(rows[name])


def spill(
    batches: Iterator[pa.Table],
    key: Sequence[str],
    folder: Path,
    buckets: int,
    *,
    cell: CellReader = _clean_cell,
    held_bytes: int = HELD_BYTES,
) -> Iterator[pa.Table]:
    """All rows once, grouped: rows with equal keys come in one table.

    Keys are compared as ``cell`` reads them. The rows of a table keep their order. A row whose key
    cells are all empty may be in any table.

    Args:
        batches: all with the same columns.
        key: names of text columns.
        folder: is made for this and removed when the iterator ends or is closed. Only the owner
            can read it, because it holds personal data.
        buckets: the highest number of tables.
        cell: reads a column of a batch; NULL where a cell is empty.
        held_bytes: the bytes that are gathered in memory and then written.

    Raises:
        UsageError: the folder cannot be made, or the disk is full.
    """
    with _disk_errors(folder):
        folder.mkdir(mode=0o700, parents=True)
    try:
        path = folder / "rows.arrow"
        with _disk_errors(path):
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        pieces: list[list[_Piece]] = [[] for _ in range(buckets)]
        with os.fdopen(handle, "w+b") as file, closing(connect()) as connection:
            schema = None
            for table in _held(batches, held_bytes):
                schema = table.schema
                bucket = _buckets_of(connection, [cell(table, name) for name in key], buckets)
                with _disk_errors(path):
                    _append(file, table, bucket, pieces)
            for own in pieces:
                if own:
                    yield pa.Table.from_batches([_read(file, piece, schema) for piece in own])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _append(
    file: BinaryIO, table: pa.Table, bucket: npt.NDArray[np.uint16], pieces: list[list[_Piece]]
) -> None:
    """Write the rows, one piece a bucket: one file a bucket would be too many open files.

    lz4 over a whole piece, not over each of its columns as in Arrow's file format: measured with 40
    columns, that takes half more of the disk and two thirds more time.
    """
    rows = table.take(pa.array(np.argsort(bucket, kind="stable"))).combine_chunks()
    ends = np.cumsum(np.bincount(bucket, minlength=len(pieces))).tolist()
    for own, start, end in zip(pieces, [0, *ends], ends, strict=False):
        if end > start:
            (batch,) = rows.slice(start, end - start).to_batches()
            message = batch.serialize()
            compressed = pa.compress(message, codec="lz4", asbytes=True)
            own.append((file.tell(), len(compressed), message.size))
            file.write(compressed)


def _read(file: BinaryIO, piece: _Piece, schema: pa.Schema) -> pa.RecordBatch:
    offset, length, size = piece
    file.seek(offset)
    message = pa.decompress(file.read(length), size, codec="lz4")
    return pa.ipc.read_record_batch(message, schema)


def _held(batches: Iterator[pa.Table], held_bytes: int) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= held_bytes:
            yield pa.concat_tables(held)
            held, size = [], 0
    if held:
        yield pa.concat_tables(held)


def _buckets_of(
    connection: duckdb.DuckDBPyConnection, key: Sequence[pa.ChunkedArray], buckets: int
) -> npt.NDArray[np.uint16]:
    """For each row the bucket of its key, by DuckDB's hash."""
    cells = {f"k{at}": pc.fill_null(column, "") for at, column in enumerate(key)}
    connection.register("keys", pa.table(cells))
    empty = " and ".join(f"{name} = ''" for name in cells)
    found = connection.sql(
        f"select (hash({', '.join(cells)}) % {buckets})::usmallint as bucket, "
        f"{empty} as empty from keys"
    ).to_arrow_table()
    bucket: npt.NDArray[np.uint16] = found["bucket"].to_numpy().copy()
    # A file may have a million rows without a key: one bucket must not take them all.
    keyless = np.flatnonzero(found["empty"].to_numpy())
    bucket[keyless] = (np.arange(len(keyless)) % buckets).astype(np.uint16)
    return bucket


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{path}: rows cannot be written there ({error.strerror}); "
            "make room, or choose another folder with --state"
        ) from error

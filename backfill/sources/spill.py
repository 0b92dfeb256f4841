"""Rows that belong together, brought together by way of the disk."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backfill.engine.duck import connect
from backfill.errors import UsageError
from backfill.sources.spreadsheets import clean_cells

BUCKET_BYTES: Final = 2_500_000
"""Less than a batch: an order's rows pass through more tables than a row that is an order."""

BUCKETS_MAX: Final = 1_024

HELD_BYTES: Final = 16_000_000
"""Held in memory until it is written, so that what each bucket gets at a time is worth a write."""

_Section = tuple[int, int, int]
"""Where a piece of a bucket stands in the file: offset, length, length once unpacked."""


def buckets_for(text_bytes: int) -> int:
    """How many buckets make each about ``BUCKET_BYTES``."""
    return max(1, min(BUCKETS_MAX, -(-text_bytes // BUCKET_BYTES)))


Cell = Callable[[pa.Table, str], pa.ChunkedArray]


def _tidied(rows: pa.Table, name: str) -> pa.ChunkedArray:
    return clean_cells(rows[name])


def spill(
    batches: Iterator[pa.Table],
    key: Sequence[str],
    folder: Path,
    buckets: int,
    *,
    cell: Cell = _tidied,
    held_bytes: int = HELD_BYTES,
) -> Iterator[pa.Table]:
    """The same rows, each row once, such that rows with equal keys come in one table.

    Keys are compared as ``cell`` gives them. Within a table the rows stand in the order in which
    they came. Rows whose key cells are all empty may be in any table.

    Args:
        batches: with the same columns each.
        key: names of text columns.
        folder: is made for this and removed when the iterator ends or is closed; only the owner
            may read it, since it holds personal data.
        buckets: how many tables there are at most.
        cell: a column of a batch as its cells are read, NULL where there is nothing.
        held_bytes: what is gathered before it is written.

    Raises:
        UsageError: the folder cannot be made, or the disk is full.
    """
    with _disk_of(folder):
        folder.mkdir(mode=0o700, parents=True)
    try:
        with _Spilled(folder / "rows.arrow", buckets) as spilled, _Hash(key, cell) as hashed:
            for table in _held(batches, held_bytes):
                spilled.write(table, hashed.buckets_of(table, buckets))
            yield from spilled.read()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


@contextmanager
def _disk_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{path}: rows cannot be set aside there ({error.strerror}); "
            "make room, or choose another folder with --state"
        ) from error


class _Hash:
    """DuckDB's hash of a row's key cells."""

    def __init__(self, key: Sequence[str], cell: Cell) -> None:
        self._key = key
        self._cell = cell
        self._duckdb = connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._duckdb.close()

    def buckets_of(self, table: pa.Table, buckets: int) -> npt.NDArray[np.uint16]:
        cells = [pc.fill_null(self._cell(table, name), "") for name in self._key]
        names = [f"k{place}" for place in range(len(cells))]
        self._duckdb.register("keys", pa.table(cells, names=names))
        blank = " and ".join(f"{name} = ''" for name in names)
        found = self._duckdb.sql(
            f"select (hash({', '.join(names)}) % {buckets})::usmallint as bucket, "
            f"{blank} as empty from keys"
        ).to_arrow_table()
        bucket: npt.NDArray[np.uint16] = found["bucket"].to_numpy().copy()
        # Rows without a key would all meet in one bucket, and a file may have a million of them.
        empty = np.flatnonzero(found["empty"].to_numpy())
        bucket[empty] = (np.arange(len(empty)) % buckets).astype(np.uint16)
        return bucket


class _Spilled:
    """One file with the pieces of all buckets: 512 files would be too many to hold open."""

    def __init__(self, path: Path, buckets: int) -> None:
        self._sections: list[list[_Section]] = [[] for _ in range(buckets)]
        self._schema: pa.Schema | None = None
        self._path = path
        with _disk_of(path):
            made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        self._file = os.fdopen(made, "w+b")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, table: pa.Table, bucket: npt.NDArray[np.uint16]) -> None:
        self._schema = table.schema
        order = np.argsort(bucket, kind="stable")
        sorted_rows = table.take(pa.array(order)).combine_chunks()
        ends = np.cumsum(np.bincount(bucket, minlength=len(self._sections))).tolist()
        start = 0
        for sections, end in zip(self._sections, ends, strict=True):
            if end > start:
                sections.append(self._append(sorted_rows.slice(start, end - start)))
            start = end

    def read(self) -> Iterator[pa.Table]:
        for sections in self._sections:
            if sections:
                yield pa.Table.from_batches([self._piece(*section) for section in sections])
                sections.clear()

    def _append(self, rows: pa.Table) -> _Section:
        (batch,) = rows.to_batches()
        message = batch.serialize()
        packed = pa.compress(message, codec="lz4", asbytes=True)
        offset = self._file.tell()
        with _disk_of(self._path):
            self._file.write(packed)
        return offset, len(packed), message.size

    def _piece(self, offset: int, length: int, unpacked: int) -> pa.RecordBatch:
        self._file.seek(offset)
        message = pa.decompress(self._file.read(length), unpacked, codec="lz4")
        return pa.ipc.read_record_batch(message, self._schema)

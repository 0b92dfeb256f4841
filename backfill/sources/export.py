"""The files or the frame that one run reads, with their columns matched by name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from backfill.errors import ExportError
from backfill.sources.delimited import DelimitedFile
from backfill.sources.files import files_of, shown
from backfill.sources.frame import Frame
from backfill.sources.packing import CHUNK_BYTES, packing_of
from backfill.sources.parquet import ParquetFile
from backfill.sources.part import BATCH_BYTES, Part, Reading, Rows, positional
from backfill.sources.spreadsheets import REJECT_COLUMNS

_AS_FOUND = Reading()

_NAMES_TOLD = 8

Column = tuple[str, int]
"""A header's name, and the how manieth of that name it is."""


def open_export(
    exports: Sequence[str | Path] | pd.DataFrame | pa.Table, reading: Reading = _AS_FOUND
) -> "Export":
    """Look at the beginning of every file; nothing else is read before ``batches``.

    Raises:
        ExportError: a file that is not there, or that is seen at once to be none we read.
    """
    return opened(exports, reading)


def opened(
    exports: Sequence[str | Path] | pd.DataFrame | pa.Table,
    reading: Reading,
    *,
    chunk_bytes: int = CHUNK_BYTES,
    block_bytes: int = BATCH_BYTES,
) -> "Export":
    """``open_export`` with the sizes that tests make small."""
    if isinstance(exports, pd.DataFrame | pa.Table):
        return Export([Frame(exports, block_bytes=block_bytes)])
    names = [exports] if isinstance(exports, str | Path) else exports
    return Export([_part(file, reading, chunk_bytes, block_bytes) for file in files_of(names)])


def _part(file: str, reading: Reading, chunk_bytes: int, block_bytes: int) -> Part:
    path, name = Path(file), shown(file)
    packing = packing_of(path, name)
    if packing == "parquet":
        return ParquetFile(path, name, block_bytes=block_bytes)
    if path.suffix == ".parquet":
        raise ExportError(f"{name}: is no Parquet file; write it again, or name it .csv if it is")
    return DelimitedFile(
        path, name, packing, reading, chunk_bytes=chunk_bytes, block_bytes=block_bytes
    )


class Export:
    """Source rows as text, whatever they came in."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._columns = [_told_apart(part.columns) for part in parts]
        union = list(dict.fromkeys(column for columns in self._columns for column in columns))
        self._places = {column: place for place, column in enumerate(union)}
        self.columns = tuple(name for name, _ in union)
        self.files = tuple(part.name for part in parts)
        self.text_bytes = sum(part.text_bytes for part in parts)
        self.lacking = {
            place: files
            for column, place in self._places.items()
            if (files := tuple(self._without(column)))
        }
        self.temporal = frozenset(
            self._places[columns[place]]
            for part, columns in zip(parts, self._columns, strict=True)
            for place in part.temporal
        )

    def _without(self, column: Column) -> Iterator[str]:
        """The files whose header lacks a column."""
        for name, columns in zip(self.files, self._columns, strict=True):
            if column not in columns:
                yield name

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for people; an encoding that shows late is in them once the file was read."""
        return (*self._dialects(), *self._differences())

    def assert_unchanged(self) -> None:
        """Raises ExportError if any file differs from when it was opened, or is gone."""
        for part in self._parts:
            part.assert_unchanged()

    def batches(self, columns: Sequence[int], beside: Sequence[int] = ()) -> Iterator[pa.Table]:
        """The rows in file order, then row order, a few megabytes at a time.

        Each table has the asked columns as ``c0``, ``c1`` …, text that is not trimmed and NULL
        where there is none; then ``_file``, the place in ``files``; ``_row``, the number that a
        spreadsheet shows (the header of a CSV is 1, the first row of anything else is 1); and
        ``_ragged``, whether the row has other than the header's number of cells.

        Args:
            columns: places in ``self.columns``.
            beside: more of them, to look at alone: behind the others, bytes that are no text in
                hexadecimal digits.

        Raises:
            ExportError: a file that cannot be read to its end, or that changed on the way there.
        """
        for file, part in enumerate(self._parts):
            own = self._own_places(file)
            there, more = ([one for one in asked if one in own] for asked in (columns, beside))
            places = [_place(there, column) for column in columns]
            places += [_place(more, column, len(there)) for column in beside]
            for rows in _both(part, [own[one] for one in there], [own[one] for one in more]):
                yield _batch(rows, places, file)

    def rows(
        self, wanted: Mapping[int, Sequence[int] | npt.NDArray[np.int64]]
    ) -> Iterator[tuple[int, int, list[str]]]:
        """All cells of the wanted rows (by file), with file and row, in order: a second look.

        The cells stand as ``columns`` do; behind them what a ragged row has beyond its header.
        """
        for file in sorted(wanted):
            if len(wanted[file]):
                own = self._own_places(file)
                there = [own.get(column) for column in range(len(self.columns))]
                for row, cells in self._cells(file, np.unique(np.fromiter(wanted[file], np.int64))):
                    aligned = ["" if place is None else cells[place] for place in there]
                    yield file, row, aligned + cells[len(own) :]

    def _cells(
        self, file: int, wanted: "np.typing.NDArray[np.int64]"
    ) -> Iterator[tuple[int, list[str]]]:
        """The wanted rows of one file, with its own columns."""
        part = self._parts[file]
        for rows in part.rows(range(len(part.columns)), lenient=True):
            numbers = rows.numbers.to_numpy()
            if len(numbers) and numbers[0] > wanted[-1]:
                return
            if not len(numbers):
                continue
            first, last = np.searchsorted(wanted, [numbers[0], numbers[-1] + 1])
            found = np.flatnonzero(np.isin(numbers, wanted[first:last]))
            columns = [column.to_pylist() for column in rows.cells.take(found).columns]
            for at, number in enumerate(numbers[found].tolist()):
                cells = [column[at] or "" for column in columns]
                yield number, cells + rows.surplus.get(number, [])

    def _own_places(self, file: int) -> dict[int, int]:
        """From a column's place in the export to its place in the file."""
        return {self._places[column]: place for place, column in enumerate(self._columns[file])}

    def _dialects(self) -> Iterator[str]:
        alike: dict[str, list[str]] = {}
        for part in self._parts:
            alike.setdefault(part.dialect, []).append(part.name)
        for dialect, names in alike.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"{names[0]}{more}: {dialect}"

    def _differences(self) -> Iterator[str]:
        missing: dict[str, list[str]] = {}
        for part, columns in zip(self._parts, self._columns, strict=True):
            lacking = [
                name
                for name, k in self._places
                if (name, k) not in columns and name not in REJECT_COLUMNS
            ]
            if lacking:
                missing.setdefault(_told(lacking), []).append(part.name)
        for lacking_names, names in missing.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"{names[0]}{more}: has no {lacking_names}, which another file has"


def _told_apart(names: Sequence[str]) -> list[Column]:
    return [(name, names[:place].count(name)) for place, name in enumerate(names)]


def _told(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
    return "column " + ", ".join(f'"{name}"' for name in names[:_NAMES_TOLD]) + more


def _both(part: Part, columns: Sequence[int], beside: Sequence[int]) -> Iterator[Rows]:
    if not beside or isinstance(part, DelimitedFile):
        yield from part.rows([*columns, *beside])  # its bytes are text already, or it is refused
        return
    pairs = zip(part.rows(columns), part.rows(beside, lenient=True), strict=True)
    for rows, others in pairs:
        cells = [*rows.cells.columns, *others.cells.columns]
        yield replace(rows, cells=positional(cells, len(rows.numbers)))


def _place(columns: Sequence[int], column: int, first: int = 0) -> int | None:
    return first + columns.index(column) if column in columns else None


def _batch(rows: Rows, places: Sequence[int | None], file: int) -> pa.Table:
    count = len(rows.numbers)
    texts = [
        pa.nulls(count, pa.string()) if place is None else rows.cells.column(place)
        for place in places
    ]
    return pa.table(
        [*texts, pa.array(np.full(count, file, np.int32)), rows.numbers, rows.ragged],
        names=[*(f"c{place}" for place in range(len(texts))), "_file", "_row", "_ragged"],
    )

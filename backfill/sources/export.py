"""The files or the frame that one run reads, with their columns matched by name."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from backfill.display import counted
from backfill.errors import ExportError
from backfill.schema.row_rules import RowRules
from backfill.sources.compression import CHUNK_BYTES, compression_of
from backfill.sources.delimited import DelimitedFile
from backfill.sources.ending import Ending
from backfill.sources.files import expand_names, printable_name
from backfill.sources.frame import Frame
from backfill.sources.parquet import ParquetFile
from backfill.sources.row_rules import ruled
from backfill.sources.source import BATCH_BYTES, ReadOptions, Rows, Source, TypedColumns
from backfill.sources.spreadsheets import REJECT_COLUMNS

_DETECT: Final = ReadOptions()

_NO_RULES: Final = RowRules()

_NAMES_SHOWN: Final = 8

Column = tuple[str, int]
"""A header's name, and which of several columns of that name it is, counted from 0."""


def open_export(
    exports: str | Path | Sequence[str | Path] | pd.DataFrame | pa.Table,
    options: ReadOptions = _DETECT,
    *,
    chunk_bytes: int = CHUNK_BYTES,
    batch_bytes: int = BATCH_BYTES,
) -> "Export":
    """Read the beginning of every file; ``Export.batches`` reads the rest.

    Args:
        exports: a path or a pattern, several of them, or a frame.
        options: how CSV files are read.
        chunk_bytes: read from a CSV file at once.
        batch_bytes: text in one batch, about.

    Raises:
        ExportError: a file does not exist, or its beginning shows that it cannot be read.
    """
    if isinstance(exports, pd.DataFrame | pa.Table):
        return Export([Frame(exports, batch_bytes=batch_bytes)])
    names = [exports] if isinstance(exports, str | Path) else exports
    files = expand_names(names)
    return Export([_open_file(file, options, chunk_bytes, batch_bytes) for file in files])


def _open_file(file: str, options: ReadOptions, chunk_bytes: int, batch_bytes: int) -> Source:
    path, name = Path(file), printable_name(file)
    compression = compression_of(path, name)
    if compression == "parquet":
        return ParquetFile(path, name, batch_bytes=batch_bytes)
    if path.suffix == ".parquet":
        raise ExportError(f"{name}: is not a Parquet file; write it again, or name a CSV file .csv")
    return DelimitedFile(
        path, name, compression, options, chunk_bytes=chunk_bytes, batch_bytes=batch_bytes
    )


class Export:
    """Source rows as text, from whatever sources they come."""

    def __init__(self, sources: Sequence[Source], rules: RowRules = _NO_RULES) -> None:
        """Match the columns of the sources.

        Args:
            sources: files, or one frame.
            rules: a schema's, which name columns by their positions in this export.
        """
        self._sources = sources
        self._rules = rules
        self._dropped: Counter[int] = Counter()
        """How many rows of each file the last pass has dropped."""
        numbered = [_numbered(source.columns) for source in sources]
        union = dict.fromkeys(chain.from_iterable(numbered))
        positions = {column: position for position, column in enumerate(union)}
        self._own = [
            {positions[column]: at for at, column in enumerate(columns)} for columns in numbered
        ]
        """For each source, from a column's position in the export to its position in the source."""
        self.columns = tuple(name for name, _ in positions)
        self.files = tuple(source.name for source in sources)
        self.text_bytes = sum(source.text_bytes for source in sources)
        self.skipped_lines = {source.skipped_lines for source in sources}
        """How many lines above the headers were found and skipped; one number if all are alike."""
        self.lacking = {
            position: tuple(
                name for name, own in zip(self.files, self._own, strict=True) if position not in own
            )
            for position in range(len(positions))
            if not all(position in own for own in self._own)
        }
        """For a position in ``columns``, the files whose header lacks that column."""
        self.typed = TypedColumns(
            temporal=self._positions([source.typed.temporal for source in sources]),
            numeric=self._positions([source.typed.numeric for source in sources])
            - self._positions(
                [frozenset(range(len(source.columns))) - source.typed.numeric for source in sources]
            ),
        )
        """Times in some source; numbers in each source that has the column."""

    def _positions(self, found: Sequence[frozenset[int]]) -> frozenset[int]:
        """The positions in the export of columns that are found in each source."""
        return frozenset(
            position
            for ats, own in zip(found, self._own, strict=True)
            for position, at in own.items()
            if at in ats
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for people.

        After the files are read, they hold what reading alone can show: an encoding that is
        detected late, and how many rows were dropped.
        """
        return (*self._dialects(), *self._differences(), *self._drops())

    def with_rules(self, rules: RowRules) -> "Export":
        """The same sources without the rows that a schema drops, and with cells that it fills."""
        return Export(self._sources, rules)

    @property
    def endings(self) -> dict[int, Ending]:
        """The ends of the CSV files that were read, by position in ``files``."""
        found = {at: source.ending for at, source in enumerate(self._sources)}
        return {at: ending for at, ending in found.items() if ending is not None}

    def cut_notes(self) -> Iterator[str]:
        """Lines for people about files that look cut, once they are read."""
        for at, ending in self.endings.items():
            if ending.cut:
                what = "has fewer cells than the other rows"
                if ending.cut == "shorter cell":
                    what = (
                        "has no line end, and its last cell is shorter than all others of "
                        f'"{self._sources[at].columns[-1]}"'
                    )
                yield (
                    f"{self.files[at]}: is it cut? Its last row, {ending.row:,}, {what} (export it "
                    "again, or write source: {last_line: whole})"
                )

    def assert_unchanged(self) -> None:
        """Raise ExportError if any file differs from when it was opened, or is gone."""
        for source in self._sources:
            source.assert_unchanged()

    def batches(self, columns: Sequence[int], inspected: Sequence[int] = ()) -> Iterator[pa.Table]:
        """The rows in file order, then row order, a few megabytes at a time.

        Each table has the requested columns as ``c0``, ``c1`` …, as text that is not trimmed, NULL
        where a cell is empty; then ``_file``, the position in ``files``; ``_row``, the number that
        a spreadsheet shows (the header of a CSV is 1, the first row of anything else is 1); and
        ``_ragged``, whether the row has another number of cells than the header.

        Args:
            columns: positions in ``self.columns``.
            inspected: more of them, after the others. They are only inspected and not mapped, so
                bytes that are not text become hexadecimal digits and are not an error.

        Raises:
            ExportError: a file cannot be read to its end, or changed while it was read.
        """
        extra = [at for at in self._rules.positions if at not in columns and at not in inspected]
        places = [*columns, *inspected, *extra]
        batches = self._plain_batches(columns, [*inspected, *extra])
        if self._rules.drop is not None or self._rules.fill is not None:
            names = {at: f"c{place}" for place, at in enumerate(places)}
            self._dropped = Counter()
            batches = ruled(batches, self._rules, names, self._dropped)
        gone = [f"c{len(places) - len(extra) + at}" for at in range(len(extra))]
        for batch in batches:
            yield batch.drop_columns(gone) if gone else batch

    def _plain_batches(
        self, columns: Sequence[int], inspected: Sequence[int]
    ) -> Iterator[pa.Table]:
        """All rows as they stand in the sources."""
        for file, (source, own) in enumerate(zip(self._sources, self._own, strict=True)):
            mapped, more = ([at for at in some if at in own] for some in (columns, inspected))
            places = [mapped.index(at) if at in own else None for at in columns]
            places += [len(mapped) + more.index(at) if at in own else None for at in inspected]
            for rows in source.rows([own[at] for at in mapped], [own[at] for at in more]):
                yield _batch(rows, places, file)

    def rows(
        self, wanted: Mapping[int, Sequence[int] | npt.NDArray[np.int64]]
    ) -> Iterator[tuple[int, int, list[str]]]:
        """File, row and all cells of the wanted rows, in order; reads the files a second time.

        The cells are in the order of ``columns``; the cells of a ragged row beyond its header
        follow.

        Args:
            wanted: row numbers by file.
        """
        for file in sorted(wanted):
            if len(wanted[file]):
                own = self._own[file]
                places = [own.get(column) for column in range(len(self.columns))]
                for row, cells in self._cells(file, np.unique(np.fromiter(wanted[file], np.int64))):
                    aligned = ["" if place is None else cells[place] for place in places]
                    yield file, row, aligned + cells[len(own) :]

    def _cells(
        self, file: int, wanted: "np.typing.NDArray[np.int64]"
    ) -> Iterator[tuple[int, list[str]]]:
        """The wanted rows of one file, with its own columns."""
        source = self._sources[file]
        for rows in source.rows((), range(len(source.columns))):
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

    def _dialects(self) -> Iterator[str]:
        alike = defaultdict(list)
        for source in self._sources:
            alike[source.dialect].append(source.name)
        for dialect, names in alike.items():
            yield f"{_first_of(names)}: {dialect}"

    def _drops(self) -> Iterator[str]:
        for file, rows in sorted(self._dropped.items()):
            if rows:
                yield f"{self.files[file]}: {counted(rows, 'row')} dropped by source.drop_rows"

    def _differences(self) -> Iterator[str]:
        alike = defaultdict(list)
        for file, own in zip(self.files, self._own, strict=True):
            missing = [name for at, name in enumerate(self.columns) if at not in own]
            alike[_listed([name for name in missing if name not in REJECT_COLUMNS])].append(file)
        for names, files in alike.items():
            if names:
                yield f"{_first_of(files)}: has no column {names}, which another file has"


def _numbered(names: Sequence[str]) -> list[Column]:
    return [(name, names[:at].count(name)) for at, name in enumerate(names)]


def _first_of(files: Sequence[str]) -> str:
    return f"{files[0]} and {len(files) - 1} more" if len(files) > 1 else files[0]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(f'"{name}"' for name in names[:_NAMES_SHOWN]) + more


def _batch(rows: Rows, places: Sequence[int | None], file: int) -> pa.Table:
    count = len(rows.numbers)
    texts = [
        pa.nulls(count, pa.string()) if place is None else rows.cells.column(place)
        for place in places
    ]
    return pa.table(
        [*texts, pa.array(np.full(count, file, np.int32)), rows.numbers, rows.ragged],
        names=[*(f"c{at}" for at in range(len(texts))), "_file", "_row", "_ragged"],
    )

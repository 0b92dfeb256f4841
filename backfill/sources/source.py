"""One file or frame of an export: what every kind of source offers to the export."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from backfill.sources.ending import Ending

BATCH_BYTES: Final = 8_000_000
"""The bytes of text in one batch. A batch this large makes its fixed cost small, and memory holds
ten of it."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How exports are read. An option that is None is detected in each file.

    They do not apply to a rejects.csv: its dialect is always detected.
    """

    delimiter: str | None = None
    encoding: str | None = None
    """A name that Python knows: ``utf-8``, ``utf-16-le``, ``cp1252``, ``iso-8859-1`` …"""
    skip_lines: int = 0
    """Lines before the header."""
    find_header: bool = False
    """Lines above the header are found, and skipped."""
    pad_ragged: bool = False
    """Rows with too few cells are filled with empty ones and do not count as ragged."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows of one source."""

    cells: pa.Table
    """One text column for each requested one, named by its position: ``c0``, ``c1`` …"""
    numbers: "pa.Int64Array"
    ragged: "pa.BooleanArray"
    surplus: Mapping[int, list[str]] = field(default_factory=dict)
    """The cells beyond the header's last column, by row number."""


@dataclass(frozen=True, slots=True)
class TypedColumns:
    """The positions of the columns whose types a source itself knows."""

    temporal: frozenset[int] = frozenset()
    """Columns of dates or times."""
    numeric: frozenset[int] = frozenset()
    """Columns of numbers."""


class Source(Protocol):
    name: str
    columns: tuple[str, ...]
    typed: TypedColumns
    skipped_lines: int
    """How many lines above the header were found, and skipped."""
    text_bytes: int
    """About how much text all its cells are."""

    @property
    def ending(self) -> Ending | None:
        """The end of a CSV file, once it is read; None for others, and for a file without rows."""

    @property
    def dialect(self) -> str:
        """How the source is written, in words for people."""

    def rows(self, columns: Sequence[int], inspected: Sequence[int] = ()) -> Iterator[Rows]:
        """All rows, in order, with the requested columns as text.

        Args:
            columns: positions in ``self.columns``.
            inspected: more of them, after the others. In these, bytes that are not text become
                hexadecimal digits; in the others they are an error.

        Raises:
            ExportError: the source cannot be read to its end, or changed while it was read.
        """

    def assert_unchanged(self) -> None:
        """Raise ExportError if the source differs from what was opened."""


def rows_from(first: int, cells: pa.Table) -> Rows:
    """Rows with consecutive numbers from ``first`` on, none of them ragged."""
    count = cells.num_rows
    return Rows(
        cells,
        numbers=pa.array(np.arange(first, first + count, dtype=np.int64)),
        ragged=pa.array(np.zeros(count, dtype=np.bool_)),
    )


def text_table(columns: Sequence[pa.Array | pa.ChunkedArray], count: int) -> pa.Table:
    """A table of ``count`` rows with columns ``c0``, ``c1`` …; it may have no column."""
    table = pa.table({"_": pa.nulls(count)})
    for position, column in enumerate(columns):
        table = table.append_column(f"c{position}", column)
    return table.remove_column(0)

"""One file or frame of an export: what each kind promises to the export it belongs to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

BATCH_BYTES: Final = 8_000_000
"""Text in one batch: large enough that a batch's fixed cost vanishes, small enough to hold ten."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How exports are to be read; what is None is found out, file by file.

    A rejects.csv is no original export: its dialect is always found out.
    """

    delimiter: str | None = None
    encoding: str | None = None
    """A name that Python knows: ``utf-8``, ``utf-16-le``, ``cp1252``, ``iso-8859-1`` …"""
    skip: int = 0
    """Lines before the header."""
    pad_ragged: bool = False
    """Rows with too few cells are filled with nothing, and not ragged."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows of one part."""

    cells: pa.Table
    """One text column for each that was asked for, named by its place: ``c0``, ``c1`` …"""
    numbers: "pa.Int64Array"
    ragged: "pa.BooleanArray"
    surplus: Mapping[int, list[str]] = field(default_factory=dict)
    """Row number to the cells beyond the header's last column."""


class Part(Protocol):
    name: str
    columns: tuple[str, ...]
    temporal: frozenset[int]
    text_bytes: int

    @property
    def dialect(self) -> str:
        """How it is written, in words for people."""

    def rows(self, columns: Sequence[int], *, lenient: bool = False) -> Iterator[Rows]:
        """All rows, in order, with the asked columns as text.

        Args:
            columns: positions in ``self.columns``.
            lenient: bytes that are no text come as hexadecimal digits, not as an error.

        Raises:
            ExportError: the part cannot be read to its end, or changed on the way there.
        """

    def assert_unchanged(self) -> None:
        """Raises ExportError where the part differs from what was opened."""


def whole_rows(cells: pa.Table, first: int) -> Rows:
    """Rows that are numbered without a gap, none of them ragged."""
    count = cells.num_rows
    return Rows(
        cells,
        numbers=pa.array(np.arange(first, first + count, dtype=np.int64)),
        ragged=pa.array(np.zeros(count, dtype=np.bool_)),
    )


def positional(columns: Sequence[pa.Array | pa.ChunkedArray], count: int) -> pa.Table:
    """A table of ``count`` rows with columns ``c0``, ``c1`` …; it may have none."""
    table = pa.table({"_": pa.nulls(count)})
    for place, column in enumerate(columns):
        table = table.append_column(f"c{place}", column)
    return table.remove_column(0)

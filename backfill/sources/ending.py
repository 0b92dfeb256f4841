"""The end of a CSV file: does its last line have a line end, and does it look cut?"""

import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

Cut = Literal["", "fewer cells", "shorter cell"]
"""What shows that the last line is cut."""

_MIN_ROWS: Final = 3
"""Two other rows at least: among few rows, one is the shortest by chance."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one file."""

    row: int
    """The number of the last row."""
    has_line_end: bool
    """Many exporters never end the last line, so a missing line end is no fault by itself."""
    cut: Cut
    """What shows that the row is cut; "" where nothing does."""


class EndingFinder:
    """Finds the end of a file while its rows are read."""

    def __init__(self) -> None:
        self._rows = 0
        self._row = 0
        self._has_line_end = True
        self._shortest = sys.maxsize
        self._last = 0
        self._short_rows = 0
        self._last_is_short = False

    def add(
        self, block: bytes, first: int, last_cells: pa.ChunkedArray, short: Collection[int]
    ) -> None:
        """Take the next rows of the file.

        Args:
            block: their text.
            first: the number of the first of them.
            last_cells: the cells of the last column.
            short: the numbers of rows with fewer cells than the header; blank rows are not.
        """
        if not block.strip():
            return
        lengths = pc.fill_null(pc.binary_length(last_cells), 0)
        if self._rows:
            lengths = pa.concat_arrays([pa.array([self._last], pa.int32()), *lengths.chunks])
        self._last = lengths[-1].as_py()
        if len(lengths) > 1:
            shortest = pc.min(lengths.slice(0, len(lengths) - 1)).as_py()
            self._shortest = min(self._shortest, shortest)
        self._rows += len(last_cells)
        self._row = first + len(last_cells) - 1
        self._short_rows += len(short)
        self._last_is_short = self._row in short
        self._has_line_end = block.rstrip(b" \t").endswith((b"\n", b"\r"))

    def ending(self) -> Ending | None:
        """The end of the file that was read; None if it has no row."""
        if not self._rows:
            return None
        cut: Cut = ""
        if self._rows >= _MIN_ROWS and self._last_is_short and self._short_rows == 1:
            cut = "fewer cells"
        elif self._rows >= _MIN_ROWS and not self._has_line_end and self._last < self._shortest:
            cut = "shorter cell"
        return Ending(self._row, self._has_line_end, cut)

"""The SQL that a schema becomes for one export, and which times its events may have."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from backfill.schema.types import Type
from backfill.sources.spreadsheets import clean_cells


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which event times are right. Unix seconds."""

    earliest_s: int
    latest_s: int
    until_s: int | None = None
    """Events at or after this are not wanted."""


@dataclass(frozen=True, slots=True)
class Program:
    """The SQL of a schema for one export."""

    columns: tuple[int, ...]
    """Positions in the export of the slice's c0, c1 …"""
    cells: tuple[str, ...]
    """The slice's columns that the schema uses."""
    lines: tuple[str, ...]
    """Of these, the ones that belong to a row."""
    files: tuple[tuple[str, Type | None], ...]
    """Columns that the name of a row's file says: their names, and how."""
    origin: str | None
    """The slice's column that names the file a row came from, where the export has one."""
    order: tuple[str, ...]
    """The slice's columns that tell orders apart; () where each row is an order."""
    row_is_order: bool
    """Does a row hold all lines of its order, in cells that are taken apart?"""
    tables: tuple[str, ...]
    events: str
    disagreements: tuple[tuple[str, str], ...]
    """Columns of an order that should have one value: name, and its flag in x."""
    skipped: str
    """SQL of x: did a clock skip a local time of this order?"""
    doubled: str
    """SQL of x: did a clock show one of its local times twice?"""
    left_out_cells: tuple[tuple[tuple[str, str], str], ...]
    """Column and reason of cells that may not fit: and SQL of x, was one of this order left out?"""
    null_values: tuple[str, ...]
    """Cells that mean nothing."""
    place: str
    """``file:line`` of the schema's events."""

    def cell(self, rows: pa.Table, name: str) -> pa.ChunkedArray:
        """A column of ``rows`` as it is read, and compared: cleaned, NULL where it is empty."""
        return clean_cells(rows[name], self.null_values if is_cell(name) else ())

    def order_keys(self, rows: pa.Table) -> pa.ChunkedArray:
        """A text for each row, the same for rows of one order; NULL for rows without an order.

        Each cell stands behind its length, so that no two orders have one key, whatever is in them.
        """
        cells = [self.cell(rows, name) for name in self.order]
        named = [cell for name, cell in zip(self.order, cells, strict=True) if is_cell(name)]
        filled = [pc.fill_null(cell, "") for cell in cells]
        parts = [
            part for cell in filled for part in (pc.cast(pc.binary_length(cell), pa.string()), cell)
        ]
        keys = pc.binary_join_element_wise(*parts, ":")
        some = pc.is_valid(pc.coalesce(*named))
        return pc.if_else(some, keys, pa.scalar(None, pa.string()))


def is_cell(name: str) -> bool:
    """Does a slice's column stand in the export? The name of its file does not."""
    return name.startswith("c")

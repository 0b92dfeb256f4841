"""The SQL that a schema becomes for one export, and which times its events may have."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from backfill.schema.types import Type
from backfill.sources.spreadsheets import clean_cells


@dataclass(frozen=True, slots=True)
class Bounds:
    """The times that events may have, in Unix seconds."""

    earliest_s: int
    latest_s: int
    until_s: int | None = None
    """The time from which on events are left out; None leaves none out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkConditions:
    """Conditions on ``judged`` about the amounts of a column: see ``MarkSql``."""

    column: str
    unclear: str
    proves: str
    denies: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The SQL of a schema for one export.

    A slice has the columns c0, c1 … (cells of the export), columns made of the file's name, and
    _file, _row and _ragged.
    """

    columns: tuple[int, ...]
    """The positions in the export of c0, c1 …"""
    cells: tuple[str, ...]
    """The slice's columns that the schema uses."""
    lines: tuple[str, ...]
    """Those of them that belong to a row."""
    file_names: tuple[tuple[str, Type | None], ...]
    """The columns made of the file's name, each with its rule; None is the name itself."""
    origin: str | None
    """The column that names the file a rejected row came from; None where the export has none."""
    order: tuple[str, ...]
    """The columns that tell orders apart; () where each row is an order."""
    counts_rows: bool
    """Does an order's content depend on how many equal rows it has?"""
    row_is_order: bool
    """Does a row hold all lines of its order, in parts of its cells?"""
    statements: tuple[str, ...]
    """They make the tables up to ``judged``, a row for each order."""
    events: str
    """The query of the events: ``event.EVENTS`` without the sizes."""
    disagreements: tuple[tuple[str, str], ...]
    """The columns with one value per order: name, and a condition on ``judged``, the rows disagree.
    """
    clock_skipped: str
    """A condition on ``judged``: a clock skipped a local time of the order."""
    clock_doubled: str
    """A condition on ``judged``: a clock showed a local time of the order twice."""
    left_out_cells: tuple[tuple[tuple[str, str], str], ...]
    """Column and reason of cells that may be left out, and a condition on ``judged``: one was."""
    rounded: tuple[tuple[str, str], ...]
    """Column of amounts, and a condition on ``judged``: one has more places than its currency."""
    marks: tuple[MarkConditions, ...]
    undecided: tuple[tuple[str, str], ...]
    """Metrics with a ``where``, each with a column of ``judged``: the names of the empty columns
    that leave it unknown, NULL where it is known."""
    null_values: tuple[str, ...]
    """The words that mean an empty cell."""
    place: str
    """``file:line`` of the schema's events."""

    def cell(self, rows: pa.Table, name: str) -> pa.ChunkedArray:
        """A column of ``rows`` as it is read and compared: cleaned, NULL where it is empty."""
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
    """Is a slice's column a cell of the export? A column made of the file's name is none."""
    return name.startswith("c")

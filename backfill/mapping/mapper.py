"""A slice of whole orders becomes events and rejects: the pure function at the heart of it all."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from backfill.event import EVENTS, SEPARATOR
from backfill.mapping.connection import connect
from backfill.mapping.duplicates import AcrossFiles, flag_repeats, settle_overlap
from backfill.mapping.program import Program, is_cell

K = TypeVar("K")

REJECTS: Final = pa.schema(
    [
        pa.field("file", pa.int32()),
        pa.field("row", pa.int64()),
        pa.field("order_file", pa.int32()),
        pa.field("order_row", pa.int64()),
        pa.field("reason", pa.string()),
        pa.field("column", pa.string()),
    ]
)
"""A row for each row of a rejected order; order_file and order_row are its first row."""

MEMBERS: Final = pa.schema([REJECTS.field(at) for at in range(4)])
"""A row for each further row of an accepted order."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a slice, or of many: they add up."""

    rows: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_left_out: int = 0
    orders_accepted: int = 0
    orders_rejected: int = 0
    clock_skipped: int = 0
    clock_doubled: int = 0
    disagreements: tuple[tuple[str, int], ...] = ()
    """For columns of which an order has one value: accepted orders whose rows disagree."""
    left_out_cells: tuple[tuple[tuple[str, str], int], ...] = ()
    """For columns, each with a reason: accepted orders of which a cell was left out for it."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.rows + other.rows,
            self.rows_accepted + other.rows_accepted,
            self.rows_rejected + other.rows_rejected,
            self.rows_left_out + other.rows_left_out,
            self.orders_accepted + other.orders_accepted,
            self.orders_rejected + other.orders_rejected,
            self.clock_skipped + other.clock_skipped,
            self.clock_doubled + other.clock_doubled,
            _added(self.disagreements, other.disagreements),
            _added(self.left_out_cells, other.left_out_cells),
        )


def _added(
    one: Iterable[tuple[K, int]], other: Iterable[tuple[K, int]]
) -> tuple[tuple[K, int], ...]:
    counted = dict(one)
    for what, orders in other:
        counted[what] = counted.get(what, 0) + orders
    return tuple(counted.items())


@dataclass(frozen=True, slots=True)
class Mapped:
    events: pa.Table
    """``event.EVENTS`` without the two sizes, which the wire knows."""
    rejects: pa.Table
    members: pa.Table
    counts: Counts


class Mapper:
    """Maps slices, one after the other, on one connection of its own; for one thread."""

    def __init__(self, program: Program, across_files: AcrossFiles | None) -> None:
        self.program = program
        self.connection = connect()
        self._across_files = across_files

    def close(self) -> None:
        self.connection.close()

    def map(self, rows: pa.Table) -> Mapped:
        """``rows`` as an export gives them: text columns c0 …, then _file, _row, _ragged."""
        program = self.program
        whole, blank = _prepared(rows, program)
        if program.order:
            whole = flag_repeats(
                whole,
                program.cells,
                program.lines,
                program.order,
                row_is_order=program.row_is_order,
            )
        kept = settle_overlap(whole, program.cells, program.lines, self._across_files)
        with self._registered("slice_all", whole), self._registered("slice", kept):
            self.connection.execute("begin")
            try:
                for statement in self.program.tables:
                    self.connection.execute(statement)
                return Mapped(
                    self._events(),
                    _renamed(self._ask(_REJECTS), REJECTS),
                    _renamed(self._ask(_MEMBERS), MEMBERS),
                    self._counts(rows.num_rows, blank),
                )
            finally:
                # The tables go at once; one replaced by its successor stays until that is there.
                self.connection.execute("rollback")

    @contextmanager
    def _registered(self, name: str, table: pa.Table) -> Iterator[None]:
        self.connection.register(name, table)
        try:
            yield
        finally:
            self.connection.unregister(name)

    def _ask(self, query: str) -> pa.Table:
        return self.connection.sql(query).to_arrow_table()

    def _events(self) -> pa.Table:
        found = self._ask(self.program.events)
        fields = [EVENTS.field(name) for name in found.column_names]
        arrays = [
            found[field.name].cast(field.type)
            if found[field.name].type != field.type
            else found[field.name]
            for field in fields
        ]
        return pa.table(arrays, schema=pa.schema(fields))

    def _counts(self, rows: int, blank: int) -> Counts:
        flags = [
            f"count(*) filter (accepted and {flag})"
            for _, flag in (*self.program.disagreements, *self.program.left_out_cells)
        ]
        query = ", ".join(
            [
                "count(*) filter (accepted)",
                "count(*) filter (reason is not null)",
                f"count(*) filter (accepted and ({self.program.skipped}))",
                f"count(*) filter (accepted and ({self.program.doubled}))",
                *flags,
            ]
        )
        accepted, rejected, skipped, doubled, *more = self._row(f"select {query} from x")
        taken, refused, left = self._row(_ROWS)
        names = [name for name, _ in self.program.disagreements]
        cells = [cell for cell, _ in self.program.left_out_cells]
        return Counts(
            rows,
            taken,
            refused,
            left + blank,
            accepted,
            rejected,
            skipped,
            doubled,
            _seen(names, more[: len(names)]),
            _seen(cells, more[len(names) :]),
        )

    def _row(self, query: str) -> tuple[Any, ...]:
        [found] = self.connection.execute(query).fetchall()
        return tuple(found)


_ROWS: Final = (
    "select count(*) filter (accepted), count(*) filter (reason is not null), "
    "count(*) filter (left_out) from slice_all s join x on s.o = x.o"
)
_REJECTS: Final = (
    "select s._file, s._row, x._file, x._row, "
    f"split_part(reason, '{SEPARATOR}', 1), substr(reason, instr(reason, '{SEPARATOR}') + 1) "
    "from slice_all s join x on s.o = x.o where reason is not null"
)
_MEMBERS: Final = (
    "select s._file, s._row, x._file, x._row from slice_all s join x on s.o = x.o "
    "where accepted and (s._file <> x._file or s._row <> x._row)"
)


def _seen(what: Iterable[K], counts: Iterable[int]) -> tuple[tuple[K, int], ...]:
    return _added((), [(of, count) for of, count in zip(what, counts, strict=True) if count])


def _renamed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table.rename_columns(schema.names).cast(schema)


def _prepared(rows: pa.Table, program: Program) -> tuple[pa.Table, int]:
    """Cells tidied, empty ones NULL, orders numbered; and how many rows held nothing at all.

    Adds ``o``, the number of the row's order, ``pos``, its place, ``_origin``, the file that it
    comes from (the program's ``origin`` says so for rejects that are fed in again), and the flags
    ``_orderless`` (cells, but none of the order's) and ``_differs`` (files that disagree).
    """
    order, origin = program.order, program.origin
    names = [name for name in rows.column_names if not name.startswith("_") and name != origin]
    cells = {name: program.cell(rows, name) for name in names}
    empty = _all_null([cells[name] for name in names if is_cell(name)], rows.num_rows)
    blank = pc.and_(empty, pc.invert(rows["_ragged"]))
    table = pa.table(
        {
            **cells,
            **{name: rows[name] for name in ("_file", "_row", "_ragged")},
            "_origin": _origins(rows, origin),
        }
    ).filter(pc.invert(blank))
    places = pa.array(range(table.num_rows), pa.int64())
    orderless, numbers = _numbered(table, order, places)
    table = (
        table.append_column("_orderless", orderless)
        .append_column("_differs", pa.repeat(pa.scalar(value=False), table.num_rows))
        .append_column("o", numbers)
        .append_column("pos", places)
    )
    return table, rows.num_rows - table.num_rows


def _origins(rows: pa.Table, origin: str | None) -> pa.Array | pa.ChunkedArray:
    if origin is None:
        return rows["_file"]
    named = pc.binary_join_element_wise(
        pc.cast(rows["_file"], pa.string()), pc.fill_null(rows[origin], ""), SEPARATOR
    )
    return pc.cast(pa.chunked_array(named).combine_chunks().dictionary_encode().indices, pa.int32())


def _all_null(columns: list[pa.ChunkedArray], rows: int) -> pa.ChunkedArray | pa.Array:
    empty = pa.repeat(pa.scalar(value=True), rows)
    for column in columns:
        empty = pc.and_(empty, pc.is_null(column))
    return empty


def _codes(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A number for each, the same for equal ones, less than there are values."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return pc.cast(whole.dictionary_encode().indices, pa.int64())


def _numbered(
    table: pa.Table, order: tuple[str, ...], places: pa.Array
) -> tuple[pa.Array | pa.ChunkedArray, pa.Array]:
    """Which rows have no order, and each row's order number; such rows are orders of their own."""
    if not order:
        return pa.repeat(pa.scalar(value=False), table.num_rows), places
    columns = [table[name] for name in order]
    orderless = _all_null([table[name] for name in order if is_cell(name)], table.num_rows)
    codes = _codes(pc.fill_null(columns[0], ""))
    for column in columns[1:]:
        # no text is put between the cells: whatever it were, a cell might hold it
        behind = pc.add(_codes(pc.fill_null(column, "")), pc.multiply(codes, table.num_rows))
        codes = _codes(behind)
    own = pc.subtract(-1, places)
    return orderless, pc.if_else(orderless, own, codes)

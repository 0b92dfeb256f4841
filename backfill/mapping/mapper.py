"""Maps a slice of whole orders to events and rejects: a pure function of its rows."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill.event import EVENTS, SEPARATOR
from backfill.mapping import refund_sums
from backfill.mapping.amount_marks import AmountMarks
from backfill.mapping.connection import connect
from backfill.mapping.program import Program, is_cell
from backfill.mapping.refund_sums import NO_SUMS, RefundSums
from backfill.mapping.repeated_orders import AcrossFiles, flag_repeated_orders, resolve_overlap

K = TypeVar("K")
Undecided: TypeAlias = tuple[tuple[str, str], ...]
"""``Program.undecided``."""

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
"""A row for each row of a rejected order; order_file and order_row are the order's first row."""

MEMBERS: Final = pa.schema([REJECTS.field(at) for at in range(4)])
"""A row for each row of an accepted order but its first."""

UNDECIDED: Final = "undecided"
"""Why an order is left out that makes no event: an empty cell leaves a ``where`` unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of the rows of a slice; the counts of several slices add up."""

    rows: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_left_out: int = 0
    rows_blank: int = 0
    """Rows left out because all their cells are empty."""
    rows_undecided: int = 0
    """Rows left out because an empty cell leaves a ``where`` of their order unknown."""
    orders_accepted: int = 0
    orders_rejected: int = 0
    orders_equal_rows: int = 0
    """Accepted orders with rows of one file that are equal in every column that the schema uses."""
    clock_skipped: int = 0
    """Accepted orders with a local time that its clock skipped."""
    clock_doubled: int = 0
    """Accepted orders with a local time that its clock showed twice."""
    disagreements: Counter[str] = field(default_factory=Counter)
    """Accepted orders whose rows disagree, by the column that has one value per order."""
    left_out_cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Accepted orders of which a cell was left out, by its column and the reason."""
    rounded: Counter[str] = field(default_factory=Counter)
    """Accepted orders with an amount of more places than its currency, by the column."""
    marks: AmountMarks = field(default_factory=AmountMarks)
    undecided: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Orders left out because an empty cell leaves a ``where`` unknown, by the first metric with
    such a ``where`` and the names of the empty columns."""
    undecided_events: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Accepted orders without an event for this reason, by its metric and the empty columns."""

    def __add__(self, other: "Counts") -> "Counts":
        added = {
            one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)
        }
        return Counts(**added)


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a slice was mapped to."""

    events: pa.Table
    """``event.EVENTS`` without the two sizes, which the wire knows."""
    rejects: pa.Table
    """``REJECTS``."""
    members: pa.Table
    """``MEMBERS``."""
    undecided: pa.Table
    """``REJECTS``: the rows of orders that are left out because an empty cell leaves a ``where``
    unknown."""
    counts: Counts


class Mapper:
    """Maps slices, one after the other, on one connection of its own; for one thread."""

    def __init__(
        self, program: Program, across_files: AcrossFiles | None, sums: RefundSums = NO_SUMS
    ) -> None:
        """Open the connection.

        Args:
            program: the compiled schema.
            across_files: which file to trust for an order in several files that disagree; None
                rejects it.
            sums: the sums of refunds that earlier runs planned.
        """
        self.program = program
        self.connection = connect()
        refund_sums.register(self.connection, sums)
        self._across_files = across_files

    def close(self) -> None:
        self.connection.close()

    def map(self, rows: pa.Table) -> Mapped:
        """Map the rows of whole orders.

        Args:
            rows: the columns of a slice, as ``Program`` has them; all rows of each order.

        Raises:
            duckdb.Error: the schema's SQL fails for a reason that try() does not catch, or takes
                more memory than it may.
        """
        program = self.program
        whole, blank = _prepared(rows, program)
        if program.order:
            whole = flag_repeated_orders(
                whole,
                program.cells,
                program.lines,
                program.order,
                row_is_order=program.row_is_order,
            )
        kept = resolve_overlap(whole, program.cells, program.lines, self._across_files)
        with self._registered("whole_slice", whole), self._registered("slice", kept):
            self.connection.execute("begin")
            try:
                for statement in program.statements:
                    self.connection.execute(statement)
                return Mapped(
                    self._events(),
                    self._table(_REJECTS, REJECTS),
                    self._table(_MEMBERS, MEMBERS),
                    self._table(_undecided_rows(program.undecided), REJECTS),
                    self._counts(rows.num_rows, blank),
                )
            finally:
                # This drops the tables at once. A table that the next slice replaces would stay
                # until its successor is there.
                self.connection.execute("rollback")

    @contextmanager
    def _registered(self, name: str, table: pa.Table) -> Iterator[None]:
        self.connection.register(name, table)
        try:
            yield
        finally:
            self.connection.unregister(name)

    def _events(self) -> pa.Table:
        found = self.connection.sql(self.program.events).to_arrow_table()
        return found.cast(pa.schema([EVENTS.field(name) for name in found.column_names]))

    def _table(self, query: str, schema: pa.Schema) -> pa.Table:
        found = self.connection.sql(query).to_arrow_table()
        return found.rename_columns(schema.names).cast(schema)

    def _counts(self, rows: int, blank: int) -> Counts:
        disagreements, left_out = self.program.disagreements, self.program.left_out_cells
        rounded = self.program.rounded
        conditions = [
            "accepted",
            "reason is not null",
            *(
                f"accepted and ({condition})"
                for condition in (
                    self.program.clock_skipped,
                    self.program.clock_doubled,
                    *(condition for _, condition in (*disagreements, *left_out, *rounded)),
                )
            ),
        ]
        counted = ", ".join(f"count(*) filter ({condition})" for condition in conditions)
        counts = iter(self._row(f"select {counted} from judged"))
        accepted, rejected, skipped, doubled = islice(counts, 4)
        rows_accepted, rows_rejected, rows_left_out, rows_undecided = self._row(
            _rows(self.program.undecided)
        )
        undecided, undecided_events = self._undecided()
        return Counts(
            rows=rows,
            rows_accepted=rows_accepted,
            rows_rejected=rows_rejected,
            rows_left_out=rows_left_out + blank,
            rows_blank=blank,
            rows_undecided=rows_undecided,
            orders_accepted=accepted,
            orders_rejected=rejected,
            orders_equal_rows=self._orders_with_equal_rows(),
            clock_skipped=skipped,
            clock_doubled=doubled,
            disagreements=_counter(disagreements, counts),
            left_out_cells=_counter(left_out, counts),
            rounded=_counter(rounded, counts),
            marks=self._marks(),
            undecided=undecided,
            undecided_events=undecided_events,
        )

    def _marks(self) -> AmountMarks:
        found = AmountMarks()
        for marks in self.program.marks:
            unclear = f"accepted and ({marks.unclear})"
            proven, denied, any_unclear = self._row(
                f"select bool_or({marks.proves}), bool_or({marks.denies}), bool_or({unclear}) "
                "from judged"
            )
            column = marks.column
            found.proven |= {column} if proven else set()
            found.denied |= {column} if denied else set()
            if any_unclear:
                query = f"select _file, _row from judged where {unclear}"
                orders = self.connection.sql(query).fetchnumpy()
                places = np.stack([orders["_file"].astype(np.int64), orders["_row"]])
                found.orders[column].append(places)
        return found

    def _orders_with_equal_rows(self) -> int:
        if not self.program.counts_rows:
            return 0
        equal = (
            "select order_no from slice join judged using (order_no) where accepted "
            f"group by order_no, _origin, hash({', '.join(self.program.cells)}) having count(*) > 1"
        )
        [found] = self._row(f"select count(distinct order_no) from ({equal})")
        return int(found)

    def _undecided(self) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        """Orders left out, and accepted orders, of which a ``where`` is unknown."""
        found: tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]] = (Counter(), Counter())
        columns = [column for _, column in self.program.undecided]
        for at, (metric, column) in enumerate(self.program.undecided):
            first = "".join(f" and {earlier} is null" for earlier in columns[:at])
            query = (
                f"select accepted, {column}, count(*) from judged where {column} is not null "
                f"and (accepted or (left_out{first})) group by all"
            )
            for accepted, names, orders in self.connection.execute(query).fetchall():
                found[accepted][metric, names] += orders
        return found

    def _row(self, query: str) -> tuple[Any, ...]:
        [found] = self.connection.execute(query).fetchall()
        return tuple(found)


_ROWS_OF_ORDERS: Final = "whole_slice s join judged on s.order_no = judged.order_no"
_REJECTS: Final = (
    "select s._file, s._row, judged._file, judged._row, "
    f"split_part(reason, '{SEPARATOR}', 1), substr(reason, instr(reason, '{SEPARATOR}') + 1) "
    f"from {_ROWS_OF_ORDERS} where reason is not null"
)
_MEMBERS: Final = (
    f"select s._file, s._row, judged._file, judged._row from {_ROWS_OF_ORDERS} "
    "where accepted and (s._file <> judged._file or s._row <> judged._row)"
)


def _undecided(undecided: Undecided) -> str:
    """The names of the empty columns that leave the first unknown ``where`` of an order unknown."""
    return f"coalesce({', '.join(['null::varchar', *(column for _, column in undecided)])})"


def _rows(undecided: Undecided) -> str:
    return (
        "select count(*) filter (accepted), count(*) filter (reason is not null), "
        "count(*) filter (left_out), "
        f"count(*) filter (left_out and {_undecided(undecided)} is not null) from {_ROWS_OF_ORDERS}"
    )


def _undecided_rows(undecided: Undecided) -> str:
    columns = _undecided(undecided)
    return (
        f"select s._file, s._row, judged._file, judged._row, '{UNDECIDED}', {columns} "
        f"from {_ROWS_OF_ORDERS} where left_out and {columns} is not null"
    )


def _counter(conditions: Sequence[tuple[K, str]], counts: Iterator[int]) -> Counter[K]:
    """The next counts, one for each condition; those over 0, which add up for equal keys."""
    found: Counter[K] = Counter()
    for (key, _), count in zip(conditions, islice(counts, len(conditions)), strict=True):
        if count:
            found[key] += count
    return found


def _prepared(rows: pa.Table, program: Program) -> tuple[pa.Table, int]:
    """The rows with clean cells and the numbers of their orders.

    Empty cells are NULL. Added are ``order_no``, the number of the row's order; ``place``, the
    row's place in the slice; ``_origin``, the number of the file that the row came from at first;
    ``_orderless``, are all its order columns empty?; and ``_differs``, which is false as yet.

    Returns:
        The rows with cells, and how many rows have none.
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
        .append_column("order_no", numbers)
        .append_column("place", places)
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
    """Numbers for values, equal for equal ones, each less than the count of values."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return pc.cast(whole.dictionary_encode().indices, pa.int64())


def _numbered(
    table: pa.Table, order: tuple[str, ...], places: pa.Array
) -> tuple[pa.Array | pa.ChunkedArray, pa.Array]:
    """Which rows have no order, and the order's number of each row; orderless rows are alone."""
    if not order:
        return pa.repeat(pa.scalar(value=False), table.num_rows), places
    columns = [table[name] for name in order]
    orderless = _all_null([table[name] for name in order if is_cell(name)], table.num_rows)
    codes = _codes(pc.fill_null(columns[0], ""))
    for column in columns[1:]:
        # The cells are not joined by a sign: a cell might hold it.
        behind = pc.add(_codes(pc.fill_null(column, "")), pc.multiply(codes, table.num_rows))
        codes = _codes(behind)
    own = pc.subtract(-1, places)
    return orderless, pc.if_else(orderless, own, codes)

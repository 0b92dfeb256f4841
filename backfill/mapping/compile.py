"""A schema becomes SQL: a few statements that turn one slice of whole orders into events.

    slice ─▶ firsts ─▶ orders ─▶ lines ─▶ judged ─▶ events

``query`` says what each table holds. Before that, ``unnest`` makes columns of the parts of cells,
where a schema uses them. Where the schema names no order, each row is one: firsts, orders and lines
are then the rows themselves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import duckdb

from backfill.errors import SchemaError
from backfill.mapping.cell_sql import CellContext
from backfill.mapping.cells import read_cell
from backfill.mapping.connection import connect
from backfill.mapping.events import compile_event, select_events
from backfill.mapping.faults import Fault, first_fault, ruined_id_faults
from backfill.mapping.leaves import LINE_NUMBER, LeafCompiler
from backfill.mapping.people import compile_person
from backfill.mapping.program import Bounds, MarkConditions, Program
from backfill.mapping.query import Query, Sql, Stage, join, needed, quote, sql
from backfill.mapping.repeated_orders import REPEATED
from backfill.mapping.unnest import unnest
from backfill.schema.bind import BoundSchema
from backfill.schema.column_uses import (
    Use,
    default_type,
    is_line_column,
    leaf_columns,
    leaf_type,
    needed_columns,
    uses,
)
from backfill.schema.columns import CellPart, FileName
from backfill.schema.document import KeyPath
from backfill.schema.load import LoadedSchema
from backfill.schema.types import Type
from backfill.sources.source import TypedColumns


def compile_schema(
    bound: BoundSchema, typed: TypedColumns, bounds: Bounds, *, attributes: bool
) -> Program:
    """Compile a schema to SQL for one export.

    Args:
        bound: the schema, and where the export has its columns.
        typed: the positions of columns whose types the export itself knows.
        bounds: the times that events may have.
        attributes: can events carry a person's attributes?

    Raises:
        SchemaError: a constant does not fit its type.
    """
    check_constants(bound.loaded)
    return _Compiler(bound, typed, bounds, attributes=attributes).program()


class _Compiler:
    """The tables of one schema over one export."""

    def __init__(
        self, bound: BoundSchema, typed: TypedColumns, bounds: Bounds, *, attributes: bool
    ) -> None:
        self.bound, self.schema = bound, bound.schema
        self.flat = self.schema.source.order is None
        parts = [part for part in bound.derived.values() if isinstance(part, CellPart)]
        whole_cells = [position for part in parts for position in part.positions.values()]
        self.positions = tuple(dict.fromkeys([*bound.columns.values(), *whole_cells]))
        self.cells = {position: f"c{at}" for at, position in enumerate(self.positions)}
        self.names = {name: self.cells[position] for name, position in bound.columns.items()}
        self.names |= {name: f"m{at}" for at, name in enumerate(bound.derived)}
        self.unnested = unnest(bound.derived, self.names, self.cells)
        self.query = Query(self.flat)
        self.leaves = LeafCompiler(
            bound=bound,
            query=self.query,
            columns={
                name: self.query.column(cell, Stage.LINE if self._is_line(name) else Stage.ORDER)
                for name, cell in self.names.items()
            },
            temporal=frozenset(n for n, at in bound.columns.items() if at in typed.temporal),
            numeric=frozenset(n for n, at in bound.columns.items() if at in typed.numeric),
        )
        self.person = compile_person(self.schema, self.leaves, self.query, attributes=attributes)
        self.events = [
            compile_event(at, event, self.leaves, self.query, self.person, bounds)
            for at, event in enumerate(self.schema.events)
        ]

    def _is_line(self, name: str) -> bool:
        return is_line_column(self.schema, name)

    def program(self) -> Program:
        clock_changes, left_out = self.leaves.clock_changes, self.leaves.left_out
        flags = self._flags()
        kept = [
            *flags.values(),
            *self.person.all,
            *(column for event in self.events if not event.per_line for column in event.columns),
            *(columns for _, columns in self._undecided()),
            *self._outcome(),
        ]
        origin = self.bound.origin
        return Program(
            columns=self.positions if origin is None else (*self.positions, origin),
            cells=tuple(self.cells.values()),
            lines=self._line_cells(),
            file_names=tuple(
                (self.names[name], column.rule)
                for name, column in self.bound.derived.items()
                if isinstance(column, FileName)
            ),
            origin=None if origin is None else f"c{len(self.positions)}",
            order=tuple(self.names[name] for name in self.schema.source.order or ()),
            counts_rows=self._counts_rows(),
            row_is_order=self.unnested.makes_lines,
            statements=(*self.unnested.statements, *self._tables(kept)),
            events=" union all ".join(select_events(event, self.person) for event in self.events),
            disagreements=tuple((name, _differs(column)) for name, column in self._order_columns()),
            clock_skipped=_any(
                flags[one] for one in clock_changes if clock_changes[one] == "skipped"
            ),
            clock_doubled=_any(
                flags[one] for one in clock_changes if clock_changes[one] == "doubled"
            ),
            left_out_cells=tuple((cell, _any([flags[one]])) for one, cell in left_out.items()),
            rounded=tuple((name, _any([flags[one]])) for one, name in self.leaves.rounded.items()),
            marks=tuple(
                MarkConditions(
                    column=column,
                    unclear=_any([flags[found.unclear]]),
                    proves=_any([flags[found.proves]]),
                    denies=_any([flags[found.denies]]),
                )
                for found, column in self.leaves.marks.items()
            ),
            undecided=tuple((metric, columns.text) for metric, columns in self._undecided()),
            null_values=self.schema.source.null_values,
            place=self.bound.loaded.problem(("events",), "").place,
        )

    def _flags(self) -> dict[Sql, Sql]:
        """The conditions that are counted, each with its column of ``judged``."""
        leaves = self.leaves
        of_marks = (flag for one in leaves.marks for flag in (one.unclear, one.proves, one.denies))
        counted = (*leaves.clock_changes, *leaves.left_out, *leaves.rounded, *of_marks)
        return {flag: self.query.named(flag, Stage.JUDGED) for flag in counted}

    def _line_cells(self) -> tuple[str, ...]:
        """The slice's own columns that belong to a row."""
        cells: list[str] = []
        for name in filter(self._is_line, self.names):
            match self.bound.derived.get(name):
                case None:
                    cells.append(self.names[name])
                case CellPart(positions=positions):
                    cells += [self.cells[position] for position in positions.values()]
        return tuple(dict.fromkeys(cells))

    def _counts_rows(self) -> bool:
        over_rows = any(use.level == "line" or use.leaf.kind == "sum" for use in uses(self.schema))
        return not self.flat and over_rows

    def _order_columns(self) -> list[tuple[str, str]]:
        """The columns with one value per order: names in the schema and in SQL."""
        if self.flat:
            return []
        key = self.schema.source.order or ()
        return [
            (name, column)
            for name, column in self.names.items()
            if not self._is_line(name) and name not in key
        ]

    # tables ------------------------------------------------------------------------------------

    def _tables(self, kept: Sequence[Sql]) -> list[str]:
        """The statements that make the tables; ``kept`` are the columns of ``judged``."""
        of_events = [column for event in self.events if event.per_line for column in event.columns]
        aggregates = self.query.aggregates(kept)
        of_lines = [*of_events, *aggregates.values()]
        orders = self.query.select("firsts", self._values(Stage.ORDER, kept, of_lines), Stage.ORDER)
        statements = [
            f"create temp {'view' if self.flat else 'table'} firsts as {self._firsts()}",
            # A table that is read once need not be kept.
            f"create temp {'table' if of_lines else 'view'} orders as select * from {orders}",
        ]
        source = "orders"
        if of_lines:
            statements.append(f"create temp table lines as {self._lines(of_lines)}")
            source = (
                f"(select * from orders join ({self._aggregated(aggregates)}) using (order_no))"
            )
        judged = self.query.select(source, kept, Stage.JUDGED)
        differ = [_differs(column) for _, column in self._order_columns()]
        columns = dict.fromkeys(["order_no", "_file", "_row", *differ, *(one.text for one in kept)])
        return [
            *statements,
            f"create temp table judged as select {', '.join(columns)} from {judged}",
        ]

    def _firsts(self) -> str:
        """A query of each order's first values, and of columns in which its rows disagree."""
        if self.flat:
            return f"select * from {self.unnested.rows}"
        columns = [column for name, column in self.names.items() if not self._is_line(name)]
        emails = self._email_columns()
        differ = [
            f"coalesce(min({cell}) <> max({cell}), false) as {_differs(column)}"
            for name, column in self._order_columns()
            for cell in [f"lower({column})" if name in emails else column]
        ]
        selected = [
            "order_no",
            "min(place) as place",
            *(f"arg_min({column}, place) as {column}" for column in ("_file", "_row", *columns)),
            *(f"bool_or({flag}) as {flag}" for flag, _, _ in _ROW_FAULTS),
            *differ,
        ]
        return f"select {', '.join(selected)} from {self.unnested.rows} group by order_no"

    def _email_columns(self) -> set[str]:
        """The columns of e-mail addresses: their case is no disagreement."""
        declared = {name for name, kind in self.schema.columns.items() if kind.kind == "email"}
        email = self.schema.customer_properties.get("$email")
        return declared | set(leaf_columns(email) if email is not None else ())

    @staticmethod
    def _values(stage: Stage, *wanted: Sequence[Sql]) -> list[Sql]:
        """The values of one stage that expressions of later ones use."""
        every = [expression for some in wanted for expression in some]
        return [Sql(value.name, (value,)) for value in needed(every, stage)]

    def _lines(self, wanted: Sequence[Sql]) -> str:
        """A query of the lines with the values that events and aggregates use."""
        if self.flat:
            rows = f"select *, place as line_place, 1 as {LINE_NUMBER} from orders"
        else:
            place = "r.line_place" if self.unnested.makes_lines else "r.place"
            own = [f"r.{column}" for name, column in self.names.items() if self._is_line(name)]
            number = f"row_number() over (partition by r.order_no order by {place})"
            selected = ["orders.*", f"{place} as line_place", f"{number} as {LINE_NUMBER}", *own]
            rows = (
                f"select {', '.join(selected)} from {self.unnested.lines} r "
                "join orders on r.order_no = orders.order_no"
            )
        values = self._values(Stage.LINE, wanted)
        columns = dict.fromkeys(["order_no", "line_place", *(value.text for value in values)])
        lines = self.query.select(f"({rows})", values, Stage.LINE)
        return f"select {', '.join(columns)} from {lines}"

    def _aggregated(self, aggregates: Mapping[str, Sql]) -> str:
        """A query of the aggregates of each order's lines."""
        columns = [f"{value.text} as {name}" for name, value in aggregates.items()]
        selected = ", ".join(["order_no", *columns])
        if self.flat:
            return f"select {selected} from lines"
        every = "(select order_no from orders) left join lines using (order_no)"
        rows = every if self.unnested.makes_lines else "lines"  # an order may have no line
        return f"select {selected} from {rows} group by order_no"

    # the outcome of an order -------------------------------------------------------------------

    def _outcome(self) -> tuple[Sql, Sql, Sql]:
        """Columns of ``judged``: the reason of a reject, is it accepted, is it left out."""
        wanted = join(" or ", (event.wanted_of_order for event in self.events))
        reason = sql(
            "coalesce($of_rows, $of_where, case when $wanted then coalesce($whole, $own) end)",
            of_rows=first_fault(self._row_faults()),
            of_where=join(", ", (event.where_fault for event in self.events)),
            wanted=wanted,
            whole=first_fault([*self._disagreements(), *self.person.faults]),
            own=join(", ", (event.fault for event in self.events)),
        )
        reason = self.query.named(reason, Stage.JUDGED, "reason")
        accepted = sql("$reason is null and ($wanted)", reason=reason, wanted=wanted)
        left_out = sql("$reason is null and not ($wanted)", reason=reason, wanted=wanted)
        return (
            reason,
            self.query.named(accepted, Stage.JUDGED, "accepted"),
            self.query.named(left_out, Stage.JUDGED, "left_out"),
        )

    def _undecided(self) -> Iterator[tuple[str, Sql]]:
        """Metrics with a ``where``, each with the empty columns that leave it unknown."""
        for at, event in enumerate(self.events):
            if event.event.where is not None:
                named = self.query.named(event.undecided, Stage.JUDGED, f"undecided_order_{at}")
                yield event.event.event, named

    def _row_faults(self) -> list[Fault]:
        """The faults of the rows themselves, whatever the schema maps."""
        order = ", ".join(self.schema.source.order or ())
        return [
            Fault(self.query.column(flag, Stage.ORDER), reason, order if names_order else "")
            for flag, reason, names_order in _ROW_FAULTS
            if not (self.flat and flag == REPEATED)
        ]

    def _disagreements(self) -> list[Fault]:
        """The faults of identity and ids: ruined cells, and several values in one order."""
        deciding = [
            self.schema.customer_properties[f"${identifier}"]
            for identifier in self.schema.identifiers
        ]
        deciding += [event.event_id or event.time for event in self.schema.events]
        wanted = [name for leaf in deciding for name in needed_columns(self.schema, leaf)]
        # A cell that may be left out is left out too where a spreadsheet ruined it.
        required = [name for leaf in deciding if leaf.unfit is None for name in leaf_columns(leaf)]
        columns = dict(self._order_columns())
        ids = [*(self.schema.source.order or ()), *required]
        return ruined_id_faults(self.leaves.columns, ids, Stage.ORDER) + [
            Fault(self.query.column(_differs(columns[name]), Stage.ORDER), "differs_in_order", name)
            for name in dict.fromkeys(wanted)
            if name in columns
        ]


_ROW_FAULTS = (
    ("_ragged", "ragged_row", False),
    ("_orderless", "no_order", True),
    (REPEATED, "repeated_in_file", False),
    ("_differs", "differs_across_files", False),
)
"""Flags of a slice's rows, each with its reason, and whether the fault names the order columns."""


def _any(flags: Iterable[Sql]) -> str:
    return " or ".join(f"coalesce({flag.text}, false)" for flag in flags) or "false"


def _differs(column: str) -> str:
    """The column that says whether an order's rows disagree about another one."""
    return f"differs_{column}"


def check_constants(loaded: LoadedSchema) -> None:
    """Check each ``value`` and ``default`` of a schema.

    Raises:
        SchemaError: some of them do not fit their types; it holds them all.
    """
    with connect() as connection:
        problems = [
            loaded.problem(path, f'"{text}" does not fit the type {cell_type.kind}')
            for use in uses(loaded.schema)
            for path, text, cell_type in _constants(loaded, use)
            if not _fits(connection, text, cell_type, loaded.schema.source.timezone)
        ]
    if problems:
        raise SchemaError(problems)


def _constants(loaded: LoadedSchema, use: Use) -> Iterator[tuple[KeyPath, str, Type]]:
    leaf = use.leaf
    if leaf.value is not None:
        yield use.path, leaf.value, leaf_type(loaded.schema, leaf, use.field)
    if leaf.default is not None:
        cell_type = default_type(loaded.schema, leaf, use.field)
        yield (*use.path, "default"), leaf.default, cell_type


def _fits(
    connection: duckdb.DuckDBPyConnection, text: str, cell_type: Type, zone: str | None
) -> bool:
    context = CellContext(None if zone is None else quote(zone))
    value = read_cell(Sql("cell"), cell_type, context).value.text
    query = f"select ({value}) is not null from (select ?::varchar as cell)"
    [(fits,)] = connection.execute(query, [text]).fetchall()
    return bool(fits)

"""A schema becomes SQL: a few statements that turn one slice of whole orders into events.

    slice ─▶ f, an order's first values ─▶ t, read by type ─▶ l, its lines ─▶ x, orders ─▶ events

Before that, cells that hold several things are taken apart (``unnest``), where a schema wants it.
Where the schema names no order, each row is one: f, t and l are then the rows themselves. What each
table computes follows from what the later ones use; ``query`` says how.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import duckdb

from backfill.errors import SchemaError
from backfill.mapping.cell_sql import Beside
from backfill.mapping.cells import read_cell
from backfill.mapping.connection import connect
from backfill.mapping.events import compile_event, rows_of
from backfill.mapping.faults import Fault, faults_of_ruined_ids, first_fault
from backfill.mapping.leaves import LINE_NUMBER, LeafCompiler
from backfill.mapping.people import compile_person
from backfill.mapping.program import Bounds, Program
from backfill.mapping.query import Query, Sql, Stage, join, needed, quote, sql
from backfill.mapping.unnest import take_apart
from backfill.schema.bind import BoundSchema
from backfill.schema.columns import CellPart, FileName
from backfill.schema.document import KeyPath
from backfill.schema.load import LoadedSchema
from backfill.schema.types import Type
from backfill.schema.uses import (
    Use,
    default_type,
    is_line_column,
    leaf_columns,
    leaf_type,
    needed_columns,
    uses,
)


def compile_schema(
    bound: BoundSchema, temporal: frozenset[int], bounds: Bounds, *, attributes: bool
) -> Program:
    """The SQL of a schema for one export.

    Args:
        bound: the schema, and where the export has its columns.
        temporal: positions of columns that the export itself holds as dates or times.
        bounds: which event times are right.
        attributes: can events carry a person's attributes at all?

    Raises:
        SchemaError: a constant does not fit its type.
    """
    check_constants(bound.loaded)
    return _Compiler(bound, temporal, bounds, attributes=attributes).program()


class _Compiler:
    """The tables of one schema over one export."""

    def __init__(
        self, bound: BoundSchema, temporal: frozenset[int], bounds: Bounds, *, attributes: bool
    ) -> None:
        self.bound, self.schema = bound, bound.schema
        self.flat = self.schema.source.order is None
        pieces = [made for made in bound.derived.values() if isinstance(made, CellPart)]
        bases = [position for piece in pieces for position in piece.positions.values()]
        self.positions = tuple(dict.fromkeys([*bound.columns.values(), *bases]))
        self.cells = {position: f"c{at}" for at, position in enumerate(self.positions)}
        self.names = {name: self.cells[position] for name, position in bound.columns.items()}
        self.names |= {name: f"m{at}" for at, name in enumerate(bound.derived)}
        self.pieces = take_apart(bound.derived, self.names.__getitem__, self.cells.__getitem__)
        self.query = Query(self.flat)
        self.leaves = LeafCompiler(
            bound=bound,
            query=self.query,
            columns={
                name: self.query.column(cell, Stage.LINE if self._is_line(name) else Stage.ORDER)
                for name, cell in self.names.items()
            },
            temporal=frozenset(name for name, at in bound.columns.items() if at in temporal),
        )
        self.person = compile_person(self.schema, self.leaves, self.query, attributes=attributes)
        self.events = [
            compile_event(at, event, self.leaves, self.query, self.person, bounds)
            for at, event in enumerate(self.schema.events)
        ]

    def _is_line(self, name: str) -> bool:
        return is_line_column(self.schema, name)

    def program(self) -> Program:
        flags = {
            flag: self.query.named(flag, Stage.JUDGED)
            for flag in (*self.leaves.clocks, *self.leaves.left_out)
        }
        clocks = [(flags[flag], state) for flag, state in self.leaves.clocks.items()]
        outcome = self._outcome()
        kept = [
            *flags.values(),
            *self.person.all,
            *(column for found in self.events if not found.per_line for column in found.columns),
            *outcome,
        ]
        origin = self.bound.origin
        return Program(
            columns=self.positions if origin is None else (*self.positions, origin),
            cells=tuple(self.cells.values()),
            lines=self._line_cells(),
            files=tuple(
                (self.names[name], found.rule)
                for name, found in self.bound.derived.items()
                if isinstance(found, FileName)
            ),
            origin=None if origin is None else f"c{len(self.positions)}",
            order=tuple(self.names[name] for name in self.schema.source.order or ()),
            row_is_order=self.pieces.unfolds,
            tables=(*self.pieces.statements, *self._tables(kept)),
            events=" union all ".join(rows_of(found, self.person) for found in self.events),
            disagreements=tuple((name, _flag(column)) for name, column in self._order_columns()),
            skipped=_any(flag for flag, state in clocks if state == "skipped"),
            doubled=_any(flag for flag, state in clocks if state == "doubled"),
            left_out_cells=tuple(
                (cell, f"coalesce({flags[flag].text}, false)")
                for flag, cell in self.leaves.left_out.items()
            ),
            null_values=self.schema.source.null_values,
            place=self.bound.loaded.problem(("events",), "").place,
        )

    def _line_cells(self) -> tuple[str, ...]:
        """The slice's own columns that belong to a row."""
        cells: list[str] = []
        for name in filter(self._is_line, self.names):
            match self.bound.derived.get(name):
                case None:
                    cells.append(self.names[name])
                case CellPart(positions=bases):
                    cells += [self.cells[position] for position in bases.values()]
        return tuple(dict.fromkeys(cells))

    def _order_columns(self) -> list[tuple[str, str]]:
        """Columns that should have one value over an order's rows: name and column."""
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
        """The statements that make f, t, l and x; ``kept`` are the columns of x."""
        lines = [column for found in self.events if found.per_line for column in found.columns]
        gathered = self.query.gather(kept)
        has_lines = bool(lines or gathered)
        of_lines = [*lines, *gathered.values()]
        typed = self.query.select("f", self._at(Stage.ORDER, [*kept, *of_lines]), Stage.ORDER)
        joined = "t"
        statements = [
            f"create temp {'view' if self.flat else 'table'} f as {self._first()}",
            # What is read once need not be kept.
            f"create temp {'table' if has_lines else 'view'} t as select * from {typed}",
        ]
        if has_lines:
            statements.append(f"create temp table l as {self._lines(of_lines)}")
            joined = f"t join ({self._gathered(gathered)}) g on t.o = g.o"
        rows = "select t.*, g.* exclude (o)" if has_lines else "select t.*"
        judged = self.query.select(f"({rows} from {joined})", kept, Stage.JUDGED)
        flags = [_flag(column) for _, column in self._order_columns()]
        columns = dict.fromkeys(["o", "_file", "_row", *flags, *(one.text for one in kept)])
        return [*statements, f"create temp table x as select {', '.join(columns)} from {judged}"]

    def _first(self) -> str:
        """An order's first values, and where its rows disagree."""
        if self.flat:
            return f"select * from {self.pieces.rows}"
        columns = [column for name, column in self.names.items() if not self._is_line(name)]
        values = [f"arg_min({column}, pos) as {column}" for column in columns]
        emails = self._email_columns()
        differ = [
            f"coalesce(min({cell}) <> max({cell}), false) as {_flag(column)}"
            for name, column in self._order_columns()
            for cell in [f"lower({column})" if name in emails else column]
        ]
        ours = ("_ragged", "_orderless", "_differs", "_repeats")
        return (
            "select o, min(pos) as pos, arg_min(_file, pos) as _file, arg_min(_row, pos) as _row, "
            f"{', '.join([*(f'bool_or({one}) as {one}' for one in ours), *values, *differ])} "
            f"from {self.pieces.rows} group by o"
        )

    def _email_columns(self) -> set[str]:
        """Columns of e-mail addresses: their case is no disagreement."""
        declared = {name for name, kind in self.schema.columns.items() if kind.kind == "email"}
        email = self.schema.customer_properties.get("$email")
        return declared | set(leaf_columns(email) if email is not None else ())

    @staticmethod
    def _at(stage: Stage, wanted: Sequence[Sql]) -> list[Sql]:
        """The values of one stage that expressions of later ones use."""
        return [Sql(value.name, (value,)) for value in needed(wanted, stage)]

    def _lines(self, wanted: Sequence[Sql]) -> str:
        """The lines with what is wanted of them: the columns of their events, what is gathered."""
        if self.flat:
            rows = f"select t.*, pos as lpos, 1 as {LINE_NUMBER} from t"
        else:
            place = "s.lpos" if self.pieces.unfolds else "s.pos"
            own = [f"s.{column}" for name, column in self.names.items() if self._is_line(name)]
            number = f"row_number() over (partition by s.o order by {place}) as {LINE_NUMBER}"
            rows = (
                f"select {', '.join(['t.*', f'{place} as lpos', number, *own])} "
                f"from {self.pieces.lines} s join t on s.o = t.o"
            )
        values = self._at(Stage.LINE, wanted)
        columns = dict.fromkeys(["o", "lpos", *(value.text for value in values)])
        lined = self.query.select(f"({rows})", values, Stage.LINE)
        return f"select {', '.join(columns)} from {lined}"

    def _gathered(self, gathered: Mapping[str, Sql]) -> str:
        """A query of o and what is gathered from an order's lines."""
        columns = [f"{how.text} as {name}" for name, how in gathered.items()]
        rows = "t left join l on t.o = l.o" if self.pieces.unfolds else "l t"
        group = "" if self.flat else " group by t.o"
        return f"select {', '.join(['t.o', *columns])} from {rows}{group}"

    # the outcome of an order -------------------------------------------------------------------

    def _outcome(self) -> tuple[Sql, Sql, Sql]:
        """Columns of x: the reason of a reject, is it accepted, is it left out."""
        wanted = join(" or ", (found.wanted_of_order for found in self.events))
        whole = [*self._disagreements(), *self.person.faults]
        reason = sql(
            "coalesce($first, $unsure, case when $wanted then coalesce($whole, $events) end)",
            first=first_fault(self._faults_of_rows()),
            unsure=join(", ", (found.unsure for found in self.events)),
            wanted=wanted,
            whole=first_fault(whole),
            events=join(", ", (found.reason for found in self.events)),
        )
        reason = self.query.named(reason, Stage.JUDGED, "reason")
        accepted = sql("$reason is null and ($wanted)", reason=reason, wanted=wanted)
        left_out = sql("$reason is null and not ($wanted)", reason=reason, wanted=wanted)
        return (
            reason,
            self.query.named(accepted, Stage.JUDGED, "accepted"),
            self.query.named(left_out, Stage.JUDGED, "left_out"),
        )

    def _faults_of_rows(self) -> list[Fault]:
        """Faults of the rows themselves, whatever the schema maps."""
        order = ", ".join(self.schema.source.order or ())
        found = [("_ragged", "ragged_row", ""), ("_orderless", "no_order", order)]
        if not self.flat:
            found.append(("_repeats", "repeated_in_file", ""))
        found.append(("_differs", "differs_across_files", ""))
        return [
            Fault(self.query.column(flag, Stage.ORDER), reason, column)
            for flag, reason, column in found
        ]

    def _disagreements(self) -> list[Fault]:
        """Columns of identity and of ids must have one value over an order's rows."""
        deciding = [
            self.schema.customer_properties[f"${identifier}"]
            for identifier in self.schema.identifiers
        ]
        deciding += [event.event_id or event.time for event in self.schema.events]
        wanted = [name for leaf in deciding for name in needed_columns(self.schema, leaf)]
        # A cell that may be left out may also be left out where a spreadsheet ruined it.
        firm = [name for leaf in deciding if leaf.unfit is None for name in leaf_columns(leaf)]
        columns = dict(self._order_columns())
        ids = [*(self.schema.source.order or ()), *firm]
        return faults_of_ruined_ids(self.leaves.columns, ids, Stage.ORDER) + [
            Fault(self.query.column(_flag(columns[name]), Stage.ORDER), "differs_in_order", name)
            for name in dict.fromkeys(wanted)
            if name in columns
        ]


def _any(flags: Iterable[Sql]) -> str:
    return " or ".join(f"coalesce({flag.text}, false)" for flag in flags) or "false"


def _flag(column: str) -> str:
    """The column that tells whether an order's rows disagree about another one."""
    return f"d_{column}"


def check_constants(loaded: LoadedSchema) -> None:
    """Raises SchemaError with each ``value`` and ``default`` that does not fit its type."""
    with connect() as connection:
        problems = [
            loaded.problem(path, f'"{text}" does not fit the type {kind.kind}')
            for use in uses(loaded.schema)
            for path, text, kind in _constants(loaded, use)
            if not _fits(connection, text, kind, loaded.schema.source.timezone)
        ]
    if problems:
        raise SchemaError(problems)


def _constants(loaded: LoadedSchema, use: Use) -> Iterator[tuple[KeyPath, str, Type]]:
    leaf = use.leaf
    if leaf.value is not None:
        yield use.path, leaf.value, leaf_type(loaded.schema, leaf, use.field)
    if leaf.default is not None:
        kind = default_type(loaded.schema, leaf, use.field)
        yield (*use.path, "default"), leaf.default, kind


def _fits(connection: duckdb.DuckDBPyConnection, text: str, kind: Type, zone: str | None) -> bool:
    beside = Beside(None if zone is None else quote(zone))
    read = read_cell(Sql("cell"), kind, beside)
    query = f"select ({read.value.text}) is not null from (select ?::varchar as cell)"
    [(fits,)] = connection.execute(query, [text]).fetchall()
    return bool(fits)

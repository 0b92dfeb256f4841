"""A schema becomes SQL: a few statements that turn one slice of whole orders into events.

    slice ─▶ f, an order's first values ─▶ t, read by type ─▶ l, its lines ─▶ x, orders ─▶ events

Before that, cells that hold several things are taken apart (pieces.py), where a schema wants it.
Where the schema names no order, each row is one: f, t and l are then the rows themselves.
"""

import re
from collections.abc import Sequence
from typing import Final

from backfill.mapping.constants import check_constants
from backfill.mapping.events import Block, block_of, rows_of
from backfill.mapping.leaves import (
    LeafCompiler,
    first_fault,
    layered,
)
from backfill.mapping.people import People, people_of
from backfill.mapping.program import Bounds, Program
from backfill.mapping.results import Fault
from backfill.mapping.ruined import ruined
from backfill.mapping.unnest import take_apart
from backfill.schema.bind import BoundSchema
from backfill.schema.columns import FileName, Piece
from backfill.schema.uses import is_line_column, leaf_columns, needed_columns

_GATHER: Final = re.compile(r"(any_of|sum_of|list_of|first_of)\((\w+)\)")
_COMPUTED: Final = re.compile(r"\b(?:ov|ga)[0-9]+\b")


def compile_schema(
    bound: BoundSchema, temporal: frozenset[int], bounds: Bounds, *, attributes: bool
) -> Program:
    """``attributes`` says whether events can carry a person's attributes at all.

    Raises SchemaError for a constant that does not fit its type.
    """
    check_constants(bound.loaded)
    return _Compiler(bound, temporal, bounds, attributes=attributes).program()


class _Compiler:
    def __init__(
        self, bound: BoundSchema, temporal: frozenset[int], bounds: Bounds, *, attributes: bool
    ) -> None:
        self.schema = bound.schema
        self.place = bound.loaded.problem(("events",), "").place
        self.bounds = bounds
        self.attributes = attributes
        pieces = [made for made in bound.made.values() if isinstance(made, Piece)]
        bases = [position for piece in pieces for position in piece.cells.values()]
        self.positions = tuple(dict.fromkeys([*bound.columns.values(), *bases]))
        self.cells = {position: f"c{at}" for at, position in enumerate(self.positions)}
        self.names = {name: self.cells[position] for name, position in bound.columns.items()}
        self.names |= {name: f"m{at}" for at, name in enumerate(bound.made)}
        self.made = bound.made
        self.pieces = take_apart(bound.made, self.names.__getitem__, self.cells.__getitem__)
        self.origin = bound.origin
        self.flat = self.schema.source.order is None
        self.leaves = LeafCompiler(
            bound,
            raw=self.names.__getitem__,
            typed=lambda name: bound.columns.get(name) in temporal,
        )

    def program(self) -> Program:
        people = people_of(self.schema, self.leaves, attributes=self.attributes)
        blocks = [
            block_of(at, event, self.leaves, self.bounds)
            for at, event in enumerate(self.schema.events)
        ]
        x = self._orders(people, blocks)
        return Program(
            columns=self.positions if self.origin is None else (*self.positions, self.origin),
            cells=tuple(self.cells.values()),
            lines=self._line_cells(),
            files=tuple(
                (self.names[name], found.rule)
                for name, found in self.made.items()
                if isinstance(found, FileName)
            ),
            origin=None if self.origin is None else f"c{len(self.positions)}",
            order=tuple(self.names[name] for name in self.schema.source.order or ()),
            row_is_order=self.pieces.unfolds,
            tables=(
                *self.pieces.statements,
                f"create temp {'view' if self.flat else 'table'} f as {self._first()}",
                *self._line_table(blocks),
                f"create temp table x as {x}",
            ),
            events=" union all ".join(
                rows_of(at, event, people) for at, event in enumerate(self.schema.events)
            ),
            disagreements=tuple((name, _flag(column)) for name, column in self._order_columns()),
            skipped=self._clocks("skipped"),
            doubled=self._clocks("doubled"),
            left_out_cells=tuple(
                (cell, f"coalesce({flag}, false)") for flag, cell in self.leaves.left_out.items()
            ),
            null_values=self.schema.source.null_values,
            place=self.place,
        )

    def _line_cells(self) -> tuple[str, ...]:
        """The slice's own columns that belong to a row."""
        names = [name for name in self.names if not self._is_order(name)]
        cells = [self.names[name] for name in names if name not in self.made]
        for name in names:
            match self.made.get(name):
                case Piece(cells=bases):
                    cells += [self.cells[position] for position in bases.values()]
        return tuple(dict.fromkeys(cells))

    # an order's first values -------------------------------------------------------------------

    def _order_columns(self) -> list[tuple[str, str]]:
        if self.flat:
            return []
        return [
            (name, column)
            for name, column in self.names.items()
            if not is_line_column(self.schema, name)
            and name not in (self.schema.source.order or ())
        ]

    def _first(self) -> str:
        if self.flat:
            return f"select * from {self.pieces.rows}"
        columns = [column for name, column in self.names.items() if self._is_order(name)]
        values = [f"arg_min({column}, pos) as {column}" for column in columns]
        differ = [
            f"coalesce(min({cell}) <> max({cell}), false) as {_flag(column)}"
            for name, column in self._order_columns()
            for cell in [f"lower({column})" if name in self._addresses() else column]
        ]
        return (
            "select o, min(pos) as pos, arg_min(_file, pos) as _file, arg_min(_row, pos) as _row, "
            "bool_or(_ragged) as _ragged, bool_or(_orderless) as _orderless, "
            "bool_or(_differs) as _differs, bool_or(_repeats) as _repeats, "
            f"{', '.join([*values, *differ])} "
            f"from {self.pieces.rows} group by o"
        )

    def _addresses(self) -> set[str]:
        """Columns of e-mail addresses: their case is no disagreement."""
        declared = {name for name, kind in self.schema.columns.items() if kind.kind == "email"}
        email = self.schema.customer_properties.get("$email")
        return declared | set(leaf_columns(email) if email is not None else ())

    def _is_order(self, name: str) -> bool:
        return not is_line_column(self.schema, name)

    # lines -------------------------------------------------------------------------------------

    def _has_lines(self, blocks: Sequence[Block]) -> bool:
        per_line = any(block.level == "line" for block in blocks)
        return per_line or bool(self.leaves.line_values.columns)

    def _line_table(self, blocks: Sequence[Block]) -> list[str]:
        lines = self._has_lines(blocks)
        kept = "table" if lines else "view"  # what is read once need not be kept
        typed = f"create temp {kept} t as select * from {self.leaves.order_cells.over('f')}"
        if not lines:
            return [typed]
        own = ", ".join(
            f"s.{column}" for name, column in self.names.items() if not self._is_order(name)
        )
        if self.flat:
            rows = "select t.*, pos as lpos, 1 as line from t"
        else:
            place = "s.lpos" if self.pieces.unfolds else "s.pos"
            rows = (
                f"select t.*, {place} as lpos, "
                f"row_number() over (partition by s.o order by {place}) as line"
                f"{', ' + own if own else ''} from {self.pieces.lines} s join t on s.o = t.o"
            )
        values = [(sql, name) for sql, name in self.leaves.line_values.columns.items()]
        values += [column for block in blocks if block.level == "line" for column in block.columns]
        lined = layered(self.leaves.line_cells.over(f"({rows})"), values)
        kept = ", ".join(["o", "lpos", *(name for _, name in values)])
        return [typed, f"create temp table l as select {kept} from {lined}"]

    def _gathered(self, blocks: Sequence[Block]) -> str:
        """A query of o and what is gathered from an order's lines."""
        columns = dict(self.leaves.gathered.columns)
        columns |= {
            sql: name for block in blocks if block.level == "line" for name, sql in block.gathered
        }
        select = ", ".join(f"{self._gather(sql)} as {name}" for sql, name in columns.items())
        group = "" if self.flat else " group by t.o"
        some = "t left join l on t.o = l.o" if self.pieces.unfolds else "l t"
        return f"select t.o{', ' + select if select else ''} from {some}{group}"

    def _gather(self, sql: str) -> str:
        found = _GATHER.fullmatch(sql)
        assert found is not None, sql  # noqa: S101
        how, column = found.groups()
        if self.flat:
            return f"coalesce({column}, false)" if how == "any_of" else column
        match how:
            case "any_of":
                return f"bool_or(coalesce({column}, false))"
            case "sum_of":
                return f"sum({column})"
            case "list_of":
                return f"string_agg({column}, ',' order by lpos)"
            case _:
                return f"arg_min({column}, lpos)"

    # ids ---------------------------------------------------------------------------------------

    def _agreeing(self) -> list[Fault]:
        """Columns of identity and of ids must have one value over an order's rows."""
        deciding = [
            self.schema.customer_properties[f"${identifier}"]
            for identifier in self.schema.identifiers
        ]
        deciding += [event.event_id or event.time for event in self.schema.events]
        wanted = [name for leaf in deciding for name in needed_columns(self.schema, leaf)]
        # What may be left out may be so too where Excel ruined it.
        firm = [name for leaf in deciding if leaf.unfit is None for name in leaf_columns(leaf)]
        flags = dict(self._order_columns())
        ids = [*(self.schema.source.order or ()), *firm]
        return ruined(self.leaves, ids, "order") + [
            Fault(_flag(flags[name]), "differs_in_order", name, "order")
            for name in dict.fromkeys(wanted)
            if name in flags
        ]

    # orders ------------------------------------------------------------------------------------

    def _orders(self, people: People, blocks: Sequence[Block]) -> str:
        lines = self._has_lines(blocks)
        joined = f"t join ({self._gathered(blocks)}) g on t.o = g.o" if lines else "t"
        rows = "select t.*, g.* exclude (o) from " if lines else "select t.* from "
        wanted = " or ".join(f"w{at}" for at in range(len(blocks)))
        columns = [
            *people.of_an_order,
            *(column for block in blocks if block.level == "order" for column in block.columns),
            (self._reason(people, blocks), "reason"),
            (f"reason is null and ({wanted})", "accepted"),
            (f"reason is null and not ({wanted})", "left_out"),
        ]
        kept = ", ".join(self._kept(people, blocks))
        return f"select {kept} from {layered(f'({rows}{joined})', columns)}"

    def _kept(self, people: People, blocks: Sequence[Block]) -> list[str]:
        """What of x is asked for later; the cells are most of its memory."""
        events = [
            f"{column}{at}"
            for at, block in enumerate(blocks)
            if block.level == "order"
            for column in "tivupw"
        ]
        flagged = [*self.leaves.clocks, *self.leaves.left_out]
        clocks = [name for sql in flagged for name in _COMPUTED.findall(sql)]
        flags = [_flag(column) for _, column in self._order_columns()]
        person = [*people.columns, "who", "whose", "person"]
        ends = ["reason", "accepted", "left_out"]
        return ["o", "_file", "_row", *flags, *dict.fromkeys(clocks), *person, *events, *ends]

    def _reason(self, people: People, blocks: Sequence[Block]) -> str:
        first = [
            Fault("_ragged", "ragged_row", "", "order"),
            Fault("_orderless", "no_order", ", ".join(self.schema.source.order or ()), "order"),
            *([] if self.flat else [Fault("_repeats", "repeated_in_file", "", "order")]),
            Fault("_differs", "differs_across_files", "", "order"),
        ]
        ats = range(len(blocks))
        unsure = ", ".join(f"q{at}" for at in ats)
        wanted = " or ".join(f"w{at}" for at in ats)
        whole = [*self._agreeing(), *people.faults(self.schema)]
        events = ", ".join(f"r{at}" for at in ats)
        return (
            f"coalesce({first_fault(first)}, {unsure}, case when {wanted} then "
            f"coalesce({first_fault(whole)}, {events}) end)"
        )

    def _clocks(self, state: str) -> str:
        flags = [sql for sql, found in self.leaves.clocks.items() if found == state]
        return " or ".join(f"coalesce({flag}, false)" for flag in flags) or "false"


def _flag(column: str) -> str:
    """The column that tells whether an order's rows disagree about another one."""
    return f"d_{column}"

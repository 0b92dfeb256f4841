"""A schema becomes SQL: a few statements that turn one slice of whole orders into events.

    slice ─▶ f, an order's first values ─▶ t, read by type ─▶ l, its lines ─▶ x, orders ─▶ events

Before that, cells that hold several things are taken apart (pieces.py), where a schema wants it.
Where the schema names no order, each row is one: f, t and l are then the rows themselves.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from backfill.event import EVENTS, IDENTIFIERS, PROFILE_FIELDS, hash_sql
from backfill.limits import DISCARDED_DOMAINS
from backfill.mapping.cells import quote
from backfill.mapping.constants import check_constants
from backfill.mapping.leaves import (
    LeafCompiler,
    first_fault,
    json_object,
    layered,
)
from backfill.mapping.pieces import take_apart
from backfill.mapping.results import Fault, LeafSql
from backfill.schema.bind import BoundSchema
from backfill.schema.columns import FileName, Piece
from backfill.schema.model import Event, Leaf
from backfill.schema.types import Type
from backfill.schema.uses import Level, documented, is_line_column, leaf_columns, needed_columns
from backfill.tidy import tidy

_GATHER: Final = re.compile(r"(any_of|sum_of|list_of|first_of)\((\w+)\)")
_COMPUTED: Final = re.compile(r"\b(?:ov|ga)[0-9]+\b")
_RUINED: Final = (
    "[0-9]([.,][0-9]+)?[eE][+][0-9]+"
    "|#{3,}|#(N/A|REF!|VALUE!|NAME[?]|DIV/0!|NULL!|NUM!|NV|WERT!|BEZUG!)"
)
"""What Excel makes of a long number, of a narrow column, and of a formula that found nothing."""
_NAMES: Final = ("$first_name", "$last_name")
"""They tell people apart who have one e-mail address."""
_SPECIAL: Final = ("$event_id", "$value")


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
        """A column of ``rows`` as it is read, and compared: tidied, NULL where it is empty."""
        return tidy(rows[name], self.null_values if is_cell(name) else ())


def is_cell(name: str) -> bool:
    """Does a slice's column stand in the export? The name of its file does not."""
    return name.startswith("c")


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
        people = self._people()
        blocks = [self._event(at, event) for at, event in enumerate(self.schema.events)]
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
            tables=(
                *self.pieces.statements,
                f"create temp {'view' if self.flat else 'table'} f as {self._first()}",
                *self._line_table(blocks),
                f"create temp table x as {x}",
            ),
            events=" union all ".join(
                self._event_rows(at, event, people) for at, event in enumerate(self.schema.events)
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
            f"bool_or(_differs) as _differs, {', '.join([*values, *differ])} "
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

    def _has_lines(self, blocks: Sequence["_Block"]) -> bool:
        per_line = any(block.level == "line" for block in blocks)
        return per_line or bool(self.leaves.line_values.columns)

    def _line_table(self, blocks: Sequence["_Block"]) -> list[str]:
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

    def _gathered(self, blocks: Sequence["_Block"]) -> str:
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

    # people ------------------------------------------------------------------------------------

    def _people(self) -> "_People":
        identifiers: dict[str, LeafSql] = {}
        fields: dict[str, LeafSql] = {}
        own: list[tuple[str, LeafSql]] = []
        for key, leaf in self.schema.customer_properties.items():
            name = key.removeprefix("$")
            told_by = key in _NAMES and self.schema.source.shared_identity_limit is not None
            if not (self.attributes or told_by or (key[0] == "$" and name in IDENTIFIERS)):
                continue
            made = self.leaves.compile(leaf, "order", documented(key))
            if made is None:
                continue
            if told_by and not self.attributes:
                made = replace(made, faults=())  # who it is matters, not what is written of them
            if key.startswith("$") and name in IDENTIFIERS:
                identifiers[name] = made
            elif key.startswith("$"):
                fields[name] = made
            else:
                own.append((key, made))
        return _People(identifiers, fields, own)

    def _person_faults(self, people: "_People") -> list[Fault]:
        faults = [fault for made in people.all for fault in made.faults]
        if "email" in people.identifiers and not self.schema.source.allow_test_domains:
            domains = ", ".join(quote(domain) for domain in sorted(DISCARDED_DOMAINS))
            condition = f"coalesce(split_part(email, '@', 2) in ({domains}), false)"
            faults.append(Fault(condition, "test_domain", self._column_of("$email"), "order"))
        faults.append(Fault("who is null", "no_identity", "", "order"))
        return faults

    def _column_of(self, key: str) -> str:
        return ", ".join(leaf_columns(self.schema.customer_properties[key]))

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
        return self._ruined(ids, "order") + [
            Fault(_flag(flags[name]), "differs_in_order", name, "order")
            for name in dict.fromkeys(wanted)
            if name in flags
        ]

    def _ruined(self, ids: Sequence[str], level: Level) -> list[Fault]:
        """Columns of ids that no longer tell orders apart; those of one level."""
        return [
            Fault(
                f"regexp_full_match({self.names[name]}, '{_RUINED}')",
                "ruined_by_excel",
                name,
                level,
            )
            for name in dict.fromkeys(ids)
            if name in self.names and self._is_order(name) == (level == "order")
        ]

    # events ------------------------------------------------------------------------------------

    def _event(self, at: int, event: Event) -> "_Block":
        level: Level = event.per
        time = self.leaves.compile(event.time, level, "time")
        wanted, unsure = "true", "null::varchar"
        if event.where is not None:
            where = self.leaves.compile(Leaf.condition(event.where), level, "where")
            assert where is not None  # noqa: S101
            wanted, unsure = where.value, first_fault(where.faults)
        when = time.raw if time else "null::bigint"
        if self.bounds.until_s is not None:
            wanted = f"({wanted} and coalesce({when} < {self.bounds.until_s}, true))"
        members, faults = self._properties(event, level)
        event_id = self._event_id(at, event, level, faults)
        value = self._value(event, level, faults)
        currency = self._currency(event, level, faults)
        faults[:0] = time.faults if time else ()
        column = ", ".join(leaf_columns(event.time))
        late = f"t{at} not between {self.bounds.earliest_s} and {self.bounds.latest_s}"
        faults += [
            Fault(f"t{at} is null", "no_time", column, level),
            Fault(late, "time_out_of_range", column, level),
            Fault(f"i{at} is null", "no_event_id", "", level),
        ]
        columns = [
            (when, f"t{at}"),
            (event_id, f"i{at}"),
            (f"({value})::decimal(38,6)", f"v{at}"),
            (currency, f"u{at}"),
            (json_object(members), f"p{at}"),
            (unsure, f"q{at}"),
            (f"coalesce({wanted}, false) and q{at} is null", f"w{at}"),
            (f"case when w{at} then {first_fault(faults)} end", f"r{at}"),
        ]
        gathered = [(f"w{at}", f"any_of(w{at})"), (f"q{at}", f"first_of(q{at})")]
        gathered.append((f"r{at}", f"first_of(r{at})"))
        return _Block(level, columns, gathered)

    def _properties(self, event: Event, level: Level) -> tuple[list[tuple[str, str]], list[Fault]]:
        members: list[tuple[str, str]] = []
        faults: list[Fault] = []
        for name, leaf in event.properties.items():
            if name in _SPECIAL:
                continue
            made = self.leaves.compile(leaf, level, documented(name))
            if made is not None:
                members.append((name, made.json))
                faults += made.faults
        return members, faults

    def _event_id(self, at: int, event: Event, level: Level, faults: list[Fault]) -> str:
        if event.event_id is None:
            # The documented format. Source: Track API reference v1-2, ``$event_id``:
            # "event name+timestamp+customer email/id".
            name = quote(f"{event.event}+")
            return f"{name} || t{at}::varchar || '+' || who"
        made = self.leaves.compile(event.event_id, level, "$event_id")
        if made is None:
            return "null::varchar"
        faults += [*self._ruined(leaf_columns(event.event_id), "line"), *made.faults]
        return f"nullif({made.text}, '')"

    def _value(self, event: Event, level: Level, faults: list[Fault]) -> str:
        leaf = event.properties.get("$value")
        made = self.leaves.compile(leaf, level, "$value") if leaf is not None else None
        if made is None:
            return "null"
        faults += made.faults
        # what is written, so that the amount is rounded once
        return f"try_cast({made.text} as decimal(38,6))"

    def _currency(self, event: Event, level: Level, faults: list[Fault]) -> str:
        leaf = event.currency
        made = self.leaves.compile(leaf, level, "currency") if leaf is not None else None
        if made is None:
            return "null::varchar"
        faults += made.faults
        return made.text

    def _event_rows(self, at: int, event: Event, people: "_People") -> str:
        per_line = event.per == "line"
        k = "l." if per_line else "x."
        source = "l join x on l.o = x.o" if per_line else "x"
        # NULL adds nothing: an event without a currency is what it was before there were any.
        currency = f", chr(31) || {k}u{at}" if event.currency is not None else ""
        content = (
            f"concat({k}t{at}, chr(31), {k}v{at}, chr(31), x.whose, chr(31), x.who, chr(31), "
            f"{k}p{at}{currency})"
        )
        columns = {
            "key": hash_sql(quote(event.event), f"{k}i{at}"),
            "person": "x.person",
            "metric": quote(event.event),
            "event_id": f"{k}i{at}",
            "time": f"{k}t{at}",
            "value": f"{k}v{at}",
            "currency": f"{k}u{at}",
            **{
                name: f"x.{name}" if name in people.columns else "null::varchar"
                for name in (*IDENTIFIERS, *PROFILE_FIELDS, "profile")
            },
            "properties": f"{k}p{at}",
            "content": f"unhex(left(sha256({content}), 16))",
            "file": "x._file",
            "row": "x._row",
        }
        assert list(columns) == [n for n in EVENTS.names if "size" not in n]  # noqa: S101
        select = ", ".join(f"{sql} as {quote_name(name)}" for name, sql in columns.items())
        return f"select {select} from {source} where x.accepted and {k}w{at}"

    # orders ------------------------------------------------------------------------------------

    def _orders(self, people: "_People", blocks: Sequence["_Block"]) -> str:
        lines = self._has_lines(blocks)
        joined = f"t join ({self._gathered(blocks)}) g on t.o = g.o" if lines else "t"
        rows = "select t.*, g.* exclude (o) from " if lines else "select t.* from "
        wanted = " or ".join(f"w{at}" for at in range(len(blocks)))
        columns = [
            *self._person_columns(people),
            *(column for block in blocks if block.level == "order" for column in block.columns),
            (self._reason(people, blocks), "reason"),
            (f"reason is null and ({wanted})", "accepted"),
            (f"reason is null and not ({wanted})", "left_out"),
        ]
        kept = ", ".join(self._kept(people, blocks))
        return f"select {kept} from {layered(f'({rows}{joined})', columns)}"

    def _kept(self, people: "_People", blocks: Sequence["_Block"]) -> list[str]:
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

    def _person_columns(self, people: "_People") -> list[tuple[str, str]]:
        columns = [(sql, name) for name, sql in people.columns.items()]
        there = [name for name in IDENTIFIERS if name in people.identifiers]
        whose = " ".join(f"when {name} is not null then {quote(name)}" for name in there)
        return [
            *columns,
            (f"coalesce({', '.join([*there, 'null::varchar'])})", "who"),
            (f"case {whose or 'when false then null'} end", "whose"),
            (hash_sql("whose", "who"), "person"),
        ]

    def _reason(self, people: "_People", blocks: Sequence["_Block"]) -> str:
        first = [
            Fault("_ragged", "ragged_row", "", "order"),
            Fault("_orderless", "no_order", ", ".join(self.schema.source.order or ()), "order"),
            Fault("_differs", "differs_across_files", "", "order"),
        ]
        ats = range(len(blocks))
        unsure = ", ".join(f"q{at}" for at in ats)
        wanted = " or ".join(f"w{at}" for at in ats)
        whole = [*self._agreeing(), *self._person_faults(people)]
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


def quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class _People:
    identifiers: dict[str, LeafSql]
    fields: dict[str, LeafSql]
    own: list[tuple[str, LeafSql]]

    @property
    def columns(self) -> dict[str, str]:
        """Of an event's columns, those that this schema fills."""
        found = {name: made.text for name, made in self.identifiers.items()}
        for name, made in self.fields.items():
            found[name] = made.json if name == "consent" else made.text
        if self.own:
            found["profile"] = json_object([(name, made.json) for name, made in self.own])
        return found

    @property
    def all(self) -> list[LeafSql]:
        own = [made for _, made in self.own]
        return [*self.identifiers.values(), *self.fields.values(), *own]


@dataclass(frozen=True, slots=True)
class _Block:
    """The SQL columns of one event: where they are computed, and how x learns of them."""

    level: Level
    columns: list[tuple[str, str]]
    """SQL and name."""
    gathered: list[tuple[str, str]]

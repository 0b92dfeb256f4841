"""A leaf of a schema as SQL: its JSON, its text, and what makes its order a reject."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from backfill.event import SEPARATOR
from backfill.mapping.cells import (
    Beside,
    CellSql,
    as_json,
    as_sql,
    as_text,
    quote,
    read_cell,
)
from backfill.mapping.results import Computed, Fault, LeafSql, result, unwhole
from backfill.mapping.unnest import MISFIT, misfits
from backfill.schema.bind import BoundSchema
from backfill.schema.columns import FILE, Piece
from backfill.schema.expression import result_type
from backfill.schema.model import Leaf
from backfill.schema.template import parse_template
from backfill.schema.types import Type
from backfill.schema.uses import (
    IMPLIED,
    SQL_TYPES,
    Level,
    beside_columns,
    column_type,
    default_type,
    is_line_column,
    leaf_columns,
    leaf_expression,
    leaf_type,
)

SUM_BOUND: Final = 10**15
SUM_SCALE: Final = 18
"""A line's part of a sum is below the one and has at most so many places, so that no sum of a
hundred thousand lines can leave DECIMAL(38)."""


@dataclass(slots=True)
class Stage:
    """The columns that one step computes, each once, under a name of its own."""

    prefix: str
    columns: dict[str, str] = field(default_factory=dict)
    """SQL to name."""

    def name(self, sql: str) -> str:
        return self.columns.setdefault(sql, f"{self.prefix}{len(self.columns)}")

    def over(self, source: str) -> str:
        """``source`` with these columns behind its own."""
        return layered(source, [(sql, name) for sql, name in self.columns.items()])


def layered(source: str, columns: Sequence[tuple[str, str]]) -> str:
    """``source`` with columns, each SQL and name, behind its own; one may name those before it.

    One that names another stands in a SELECT around it: within one SELECT, DuckDB puts the whole
    expression in place of its name, and computes it again.
    """
    depths: dict[str, int] = {}
    layers: list[list[str]] = []
    for sql, name in columns:
        inner = [depths[word] for word in _WORD.findall(sql) if word in depths]
        depth = depths[name] = max(inner, default=-1) + 1
        layers.extend([] for _ in range(depth + 1 - len(layers)))
        layers[depth].append(f"{sql} as {name}")
    for layer in layers:
        source = f"(select *, {', '.join(layer)} from {source})"
    return source


_WORD: Final = re.compile(r"\w+")

_READ_AGAIN: Final = ("$email", "$phone_number", "currency")
"""Fields whose texts fit or do not, those that SQL makes too."""


@dataclass(slots=True)
class LeafCompiler:
    """Turns leaves into SQL, and keeps what the stages of the query have to compute for them."""

    bound: BoundSchema
    raw: Callable[[str], str]
    """A column's name in SQL."""
    typed: Callable[[str], bool]
    """Does the export itself hold this column as dates or times?"""
    order_cells: Stage = field(default_factory=lambda: Stage("ov"))
    line_cells: Stage = field(default_factory=lambda: Stage("lv"))
    clocks: dict[str, str] = field(default_factory=dict)
    """SQL of x that tells whether a clock skipped an order's hour, or showed it twice."""
    left_out: dict[str, tuple[str, str]] = field(default_factory=dict)
    """SQL of x that tells whether a cell of an order was left out: its column, and why."""
    line_values: Stage = field(default_factory=lambda: Stage("le"))
    gathered: Stage = field(default_factory=lambda: Stage("ga"))

    def compile(self, leaf: Leaf, level: Level, key: str | None = None) -> LeafSql | None:
        """None where the leaf is optional and the export lacks its column."""
        kind = leaf_type(self.bound.schema, leaf, key)
        match leaf.kind:
            case "value":
                return self._constant(leaf.value or "", kind)
            case "column":
                return self._column(leaf, kind, level)
            case "template":
                return self._template(leaf, kind, level)
            case "sql":
                return self._sql(leaf, level, key)
            case "sum":
                return self._sum(leaf, key)
            case "each":
                return self._each(leaf)
            case _:
                return self._object(leaf, level)

    def _stage(self, column: str) -> Stage:
        return self.order_cells if self.level_of(column) == "order" else self.line_cells

    def has(self, names: Sequence[str]) -> bool:
        return all(name in self.bound.columns or name in self.bound.made for name in names)

    def level_of(self, name: str) -> Level:
        """Where a column can be read, with the one that says the country of its phone numbers."""
        names = [name, *beside_columns(column_type(self.bound.schema, name))]
        lines = any(is_line_column(self.bound.schema, name) for name in names)
        return "line" if lines else "order"

    # cells -------------------------------------------------------------------------------------

    def _cell(
        self, cell: str, kind: Type, level: Level, column: str, leaf: Leaf | None = None
    ) -> LeafSql:
        """``cell`` read as ``kind``; computed once, in the stage of its level."""
        stage = self.order_cells if level == "order" else self.line_cells
        beside = self._beside(kind, leaf.zone if leaf is not None else None, stage)
        read = read_cell(cell, kind, beside, stage.name, typed=self.typed(column))
        value = read.value if read.value == cell else stage.name(read.value)
        faults = _faults(stage, read, column, level)
        if leaf is not None and leaf.unfit == "leave_out":
            self._leave_out(faults)
            faults = ()
        faults = (*self._misfits(column, level), *faults)
        if read.clock is not None:
            self._clock(stage.name(read.clock), level)
        # What nobody asks for by its name is not computed.
        json, text = stage.name(as_json(value, kind)), stage.name(as_text(value, kind))
        return LeafSql(json, text, as_sql(value, kind), faults, value)

    def _beside(self, kind: Type, zone_column: str | None, stage: Stage) -> Beside:
        """What of the same row, or of the schema, decides how a cell is read."""
        timezone = self.bound.schema.source.timezone
        zone = None if timezone is None else quote(timezone)
        country = None
        if kind.country is not None and self.has([kind.country]):
            country = stage.name(f"backfill_country({self.raw(kind.country)})")
        if zone_column is None or not self.has([zone_column]):
            return Beside(zone, country=country)
        named = self.raw(zone_column)
        found = stage.name(f"backfill_zone({named})")
        in_row = stage.name(f"(case when {named} is null then {zone or 'null'} else {found} end)")
        return Beside(in_row, f"({named} is not null and {found} is null)", country)

    def _leave_out(self, faults: Sequence[Fault]) -> None:
        for at, fault in enumerate(faults):
            earlier = [f"not coalesce({other.condition}, false)" for other in faults[:at]]
            here = f"({' and '.join([fault.condition, *earlier])})"
            if fault.level == "line":
                here = self.gathered.name(f"any_of({self.line_values.name(here)})")
            self.left_out[here] = (fault.column, fault.reason)

    def _misfits(self, name: str, level: Level) -> tuple[Fault, ...]:
        """Of a part of a cell: where the cell itself does not fit."""
        piece = self.bound.made.get(name)
        if not isinstance(piece, Piece):
            return ()
        return tuple(
            Fault(f"({self.raw(name)} = {quote(MISFIT + reason)})", reason, piece.base, level)
            for reason in misfits(piece)
        )

    def _clock(self, name: str, level: Level) -> None:
        for state, case in (("skipped", 1), ("doubled", 2)):
            here = f"({name} = {case})"
            if level == "line":
                here = self.gathered.name(f"any_of({self.line_values.name(here)})")
            self.clocks[here] = state

    def _plain(self, name: str, leaf: Leaf | None = None) -> LeafSql:
        """A column as it is declared; of ``leaf`` counts what becomes of one that does not fit."""
        own = None if leaf is None else leaf.model_copy(update={"zone": None})
        return self._cell(
            self.raw(name), column_type(self.bound.schema, name), self.level_of(name), name, own
        )

    # leaves ------------------------------------------------------------------------------------

    def _constant(self, text: str, kind: Type) -> LeafSql:
        """A constant in the schema, read by the same grammar as a cell."""
        beside = self._beside(replace(kind, country=None), None, self.order_cells)
        value = read_cell(quote(text), kind, beside, typed=False).value
        return LeafSql(
            as_json(value, kind), as_text(value, kind), as_sql(value, kind), raw=f"({value})"
        )

    def _column(self, leaf: Leaf, kind: Type, level: Level) -> LeafSql | None:
        name = leaf.column or ""
        if not self.has([name]):
            return None if leaf.default is None else self._constant(leaf.default, kind)
        own = self._own_level(leaf, kind) if level == "line" else level
        cell, faults = _mapped(_taken(self.raw(name), leaf.take), leaf, name, own)
        found = self._cell(cell, kind, own, name, leaf)
        found = self._with_default(found, leaf, kind)
        return replace(found, faults=(*faults, *found.faults))

    def _own_level(self, leaf: Leaf, kind: Type) -> Level:
        """A cell is read once an order where all that it is read from is the order's."""
        names = [leaf.column, leaf.zone, *beside_columns(kind)]
        lines = any(name is not None and self.level_of(name) == "line" for name in names)
        return "line" if lines else "order"

    def _with_default(self, found: LeafSql, leaf: Leaf, kind: Type) -> LeafSql:
        if leaf.default is None:
            return found
        other = self._constant(leaf.default, kind)
        return LeafSql(
            f"coalesce({found.json}, {other.json})",
            f"coalesce({found.text}, {other.text})",
            f"coalesce({found.value}, {other.value})",
            found.faults,
            f"coalesce({found.raw}, {other.raw})",
        )

    def _template(self, leaf: Leaf, kind: Type, level: Level) -> LeafSql | None:
        template = parse_template(leaf.template or "")
        if not self.has(template.columns):
            return None if leaf.default is None else self._constant(leaf.default, kind)
        pieces: list[str] = []
        faults: list[Fault] = []
        for part in template.parts:
            if isinstance(part, str):
                pieces.append(quote(part))
            elif part == ("line",):
                pieces.append("line::varchar")
            else:
                column = self._plain(FILE if part == ("file",) else part[0], leaf)
                pieces.append(column.text)
                faults += column.faults
        name = leaf.template or ""
        cell, unmapped = _mapped(f"({' || '.join(pieces)})", leaf, name, level)
        made = self._cell(cell, kind, level, name, leaf)
        made = replace(made, faults=(*faults, *unmapped, *made.faults))
        return self._with_default(made, leaf, kind)

    def _expression(self, leaf: Leaf, level: Level) -> "Computed | None":
        expression = leaf_expression(leaf)
        if expression is None or not self.has(expression.columns):
            return None
        columns = {name: self._plain(name) for name in expression.columns}
        names = {name: self._stage(name).name(column.value) for name, column in columns.items()}
        texts = {name: self._stage(name).name(column.text) for name, column in columns.items()}
        types = {name: column_type(self.bound.schema, name) for name in columns}
        sql = expression.sql(names.__getitem__, texts.__getitem__)
        # try() makes NULL of an overflow or a failed cast, as it does of a value that is not there
        stage = self.line_cells if level == "line" else self.order_cells
        unsure = stage.name(f"(try({sql} is null) is null)")
        failed = Fault(unsure, "sql_failed", expression.text, level)
        return Computed(
            sql=stage.name(f"try({sql})"),
            kind=result_type(expression, {name: SQL_TYPES[t.kind] for name, t in types.items()}),
            money=tuple(t for t in types.values() if t.kind == "money"),
            faults=(*self._column_faults(columns, types), failed),
        )

    def _column_faults(
        self, columns: dict[str, LeafSql], types: dict[str, Type]
    ) -> Iterator[Fault]:
        """Those of the cells; and SQL computes with six places, so a number has no more."""
        for name, column in columns.items():
            yield from column.faults
            if types[name].kind == "number":
                level = self.level_of(name)
                long = self._stage(name).name(f"regexp_matches({column.raw}, '[.][0-9]{{7}}')")
                yield Fault(long, "too_many_places", name, level)

    def _sql(self, leaf: Leaf, level: Level, key: str | None) -> LeafSql | None:
        found = self._expression(leaf, level)
        if found is None:
            return self._without_columns(leaf, key)
        sql = found.sql
        if key == "where":
            return LeafSql(sql, sql, f"coalesce({sql}, false)", found.faults)
        if key == "time" and found.kind != "VARCHAR":
            raw = f"(epoch_us({sql}) // 1000000)"
            return LeafSql(raw, raw, sql, found.faults, raw)
        wanted = Type(IMPLIED[key]) if key in _READ_AGAIN and leaf.as_ is None else leaf.as_
        if found.kind == "VARCHAR" and wanted is not None:
            told = ", ".join(leaf_columns(leaf)) or leaf.sql or ""
            cell = self._cell(f"nullif(trim({sql}), '')", wanted, level, told, leaf)
            cell = replace(cell, faults=(*found.faults, *cell.faults))
            return self._with_default(cell, leaf, wanted)
        made = result(sql, found, leaf.as_, in_value=key == "$value")
        made = replace(made, faults=(*made.faults, *unwhole(sql, leaf, level)))
        if leaf.default is None:
            return made
        return self._with_default(made, leaf, default_type(self.bound.schema, leaf, key))

    def _without_columns(self, leaf: Leaf, key: str | None) -> LeafSql | None:
        if leaf.default is None:
            return None
        return self._constant(leaf.default, default_type(self.bound.schema, leaf, key))

    def _sum(self, leaf: Leaf, key: str | None) -> LeafSql | None:
        found = self._expression(leaf, "line")
        if found is None:
            return self._without_columns(leaf, key)
        sql = found.sql
        if not found.kind.startswith("DECIMAL"):
            sql = f"try_cast({sql} as decimal(38,6))"
        elif found.scale > SUM_SCALE:
            sql = f"try_cast({sql} as decimal(38,{SUM_SCALE}))"
        if leaf.default is not None:
            sql = f"coalesce({sql}, try_cast({quote(leaf.default)} as decimal(38,6)))"
        part = self.line_values.name(f"case when abs({sql}::double) < {SUM_BOUND} then {sql} end")
        missing = self.gathered.name(f"any_of({self.line_values.name(f'({part} is null)')})")
        total = self.gathered.name(f"sum_of({part})")
        scale = min(found.scale, SUM_SCALE) if found.kind.startswith("DECIMAL") else 6
        summed = replace(
            found, kind=f"DECIMAL(38,{scale})", faults=self.gather_faults(found.faults)
        )
        made = result(total, summed, leaf.as_, in_value=key == "$value")
        absent = Fault(missing, "no_value_in_sum", leaf.sum or "", "order")
        return replace(made, faults=(*summed.faults, absent, *unwhole(total, leaf, "order")))

    def _each(self, leaf: Leaf) -> LeafSql | None:
        assert leaf.each is not None  # noqa: S101
        inner = self.compile(leaf.each, "line")
        if inner is None:
            return None
        part = self.line_values.name(inner.json)
        listed = self.gathered.name(f"list_of({part})")
        json = f"('[' || {listed} || ']')"
        return LeafSql(json, json, json, self.gather_faults(inner.faults), json)

    def _object(self, leaf: Leaf, level: Level) -> LeafSql | None:
        members = [
            (name, self.compile(member, level)) for name, member in (leaf.object or {}).items()
        ]
        present = [(name, member) for name, member in members if member is not None]
        json = json_object([(name, member.json) for name, member in present])
        faults = tuple(fault for _, member in present for fault in member.faults)
        return LeafSql(json, json, json, faults, json)

    def gather_faults(self, faults: Sequence[Fault]) -> tuple[Fault, ...]:
        """Faults of single rows as faults of their order; those of order columns stay as is."""
        found = []
        for fault in faults:
            if fault.level == "line":
                part = self.line_values.name(fault.condition)
                fault = replace(  # noqa: PLW2901
                    fault, condition=self.gathered.name(f"any_of({part})"), level="order"
                )
            found.append(fault)
        return tuple(found)


def _taken(cell: str, take: str | None) -> str:
    """First or last name out of a whole one: "Ada Lovelace" or "Lovelace, Ada"."""
    match take:
        case "first_name":
            plain, comma = f"split_part({cell}, ' ', 1)", f"trim(split_part({cell}, ',', 2))"
        case "last_name":
            rest = f"trim(substr({cell}, instr({cell}, ' ')))"
            plain = f"case when contains({cell}, ' ') then {rest} end"
            comma = f"trim(split_part({cell}, ',', 1))"
        case _:
            return cell
    return f"nullif(case when contains({cell}, ',') then {comma} else {plain} end, '')"


def _faults(stage: Stage, read: CellSql, column: str, level: Level) -> tuple[Fault, ...]:
    return tuple(
        Fault(stage.name(condition), reason, column, level) for condition, reason in read.faults
    )


def _mapped(cell: str, leaf: Leaf, column: str, level: Level) -> tuple[str, tuple[Fault, ...]]:
    if leaf.map is None:
        return cell, ()
    cases = " ".join(f"when {quote(old)} then {quote(new)}" for old, new in leaf.map.items())
    if leaf.otherwise is not None:
        other = f"when {cell} is not null then {quote(leaf.otherwise)}"
        known = ", ".join(quote(old) for old in leaf.map)
        mapped = f"case when {cell} in ({known}) then case {cell} {cases} end {other} end"
        return f"nullif({mapped}, '')", ()
    known = ", ".join(quote(old) for old in leaf.map)
    fault = Fault(f"({cell} not in ({known}))", "not_in_map", column, level)
    return f"nullif(case {cell} {cases} end, '')", (fault,)


def json_object(members: Sequence[tuple[str, str]]) -> str:
    """SQL for an object of the members that are not NULL; NULL where there are none."""
    if not members:
        return "null::varchar"
    pairs = ", ".join(f"{quote(json_text(name) + ':')} || {sql}" for name, sql in members)
    return f"('{{' || nullif(concat_ws(',', {pairs}), '') || '}}')"


def json_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def first_fault(faults: Sequence[Fault]) -> str:
    """SQL for ``reason U+001F column`` of the first fault that holds, NULL where none does."""
    if not faults:
        return "null::varchar"
    arms = " ".join(
        f"when {fault.condition} then {quote(fault.reason + SEPARATOR + fault.column)}"
        for fault in dict.fromkeys(faults)
    )
    return f"(case {arms} end)"

"""A leaf of a schema as SQL: its JSON, its text, and what makes its order a reject."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from backfill.mapping.cell_sql import Beside
from backfill.mapping.cells import read_cell
from backfill.mapping.computed import Computed, LeafSql, fault_of_fraction, result
from backfill.mapping.faults import Fault, of_order
from backfill.mapping.query import NULL, Query, Sql, Stage, join, quote, sql
from backfill.mapping.unnest import MISFIT, misfits
from backfill.mapping.values import as_json, as_sql, as_text
from backfill.schema.bind import BoundSchema
from backfill.schema.columns import CellPart
from backfill.schema.expression import result_type
from backfill.schema.model import Leaf
from backfill.schema.template import LineNumberPart, parse_template
from backfill.schema.types import Type
from backfill.schema.uses import (
    IMPLIED_KINDS,
    SQL_TYPES,
    column_type,
    default_type,
    leaf_columns,
    leaf_expression,
    leaf_type,
)

SUM_BOUND: Final = 10**15
SUM_SCALE: Final = 18
"""A line's part of a sum is below the one and has at most so many places, so that no sum of a
hundred thousand lines can leave DECIMAL(38)."""

_READ_AGAIN: Final = ("$email", "$phone_number", "currency")
"""Fields whose texts fit or do not, those that SQL makes too."""

LINE_NUMBER: Final = "line"
"""The lines' column that counts them: 1, 2, 3 … in each order."""


@dataclass(slots=True, kw_only=True)
class LeafCompiler:
    """Compiles leaves, and collects what the query has to tell of them besides their values."""

    bound: BoundSchema
    query: Query
    columns: Mapping[str, Sql]
    """For each name that a schema may use: its column."""
    temporal: frozenset[str]
    """The names of columns that the export itself holds as dates or times."""
    clocks: dict[Sql, str] = field(default_factory=dict)
    """Does an order have a time that a clock ``skipped``, or showed twice, ``doubled``?"""
    left_out: dict[Sql, tuple[str, str]] = field(default_factory=dict)
    """Was a cell of an order left out? Its column, and the reason."""

    def compile(self, leaf: Leaf, key: str | None = None) -> LeafSql | None:
        """The leaf's SQL; None where it is optional and the export lacks its column.

        Args:
            leaf: of the schema.
            key: the documented field that it fills, ``$email``, ``time`` …; None for others.
        """
        kind = leaf_type(self.bound.schema, leaf, key)
        match leaf.kind:
            case "value":
                return self._constant(leaf.value or "", kind)
            case "column":
                return self._column(leaf, kind)
            case "template":
                return self._template(leaf, kind)
            case "sql":
                return self._sql(leaf, key)
            case "sum":
                return self._sum(leaf, key)
            case "each":
                return self._each(leaf)
            case _:
                return self._object(leaf)

    def has(self, names: Sequence[str]) -> bool:
        """Does the export have all of these columns, or what they are made of?"""
        return all(name in self.columns for name in names)

    # cells -------------------------------------------------------------------------------------

    def _cell(self, cell: Sql, kind: Type, column: str, leaf: Leaf | None = None) -> LeafSql:
        """``cell`` read as ``kind``; ``column`` is what its faults name."""
        beside = self._beside(kind, leaf.zone if leaf is not None else None)
        typed = column in self.temporal
        read = read_cell(cell, kind, beside, self.query.named, typed=typed)
        value = read.value if read.value == cell else self.query.named(read.value)
        faults = tuple(
            Fault(self.query.named(condition), reason, column) for condition, reason in read.faults
        )
        if leaf is not None and leaf.unfit == "leave_out":
            self._leave_out(faults)
            faults = ()
        faults = (*self._misfits(column), *faults)
        if read.clock is not None:
            self._clock(self.query.named(read.clock))
        return LeafSql(
            json=self.query.named(as_json(value, kind)),
            text=self.query.named(as_text(value, kind)),
            value=as_sql(value, kind),
            raw=value,
            faults=faults,
        )

    def _beside(self, kind: Type, zone_column: str | None) -> Beside:
        """What of the same row, or of the schema, decides how a cell is read."""
        timezone = self.bound.schema.source.timezone
        zone = None if timezone is None else quote(timezone)
        country = None
        if kind.country is not None and self.has([kind.country]):
            cell = self.columns[kind.country]
            country = self.query.named(sql("backfill_country($cell)", cell=cell))
        if zone_column is None or not self.has([zone_column]):
            return Beside(zone, country=country)
        cell = self.columns[zone_column]
        found = self.query.named(sql("backfill_zone($cell)", cell=cell))
        in_row = self.query.named(
            sql(
                "(case when $cell is null then $zone else $found end)",
                cell=cell,
                zone=zone or Sql("null"),
                found=found,
            )
        )
        unknown = sql("($cell is not null and $found is null)", cell=cell, found=found)
        return Beside(in_row, unknown, country)

    def _leave_out(self, faults: Sequence[Fault]) -> None:
        """Count the orders in which the first of these faults is this one."""
        earlier = [sql("not coalesce($it, false)", it=fault.condition) for fault in faults]
        for at, fault in enumerate(faults):
            here = sql("($all)", all=join(" and ", [fault.condition, *earlier[:at]]))
            self.left_out[self._of_order(here)] = (fault.column, fault.reason)

    def _clock(self, clock: Sql) -> None:
        for state, case in (("skipped", 1), ("doubled", 2)):
            self.clocks[self._of_order(sql(f"($clock = {case})", clock=clock))] = state

    def _of_order(self, condition: Sql) -> Sql:
        """A condition over an order; one of a line holds where any line has it."""
        if condition.stage is Stage.LINE:
            return self.query.gathered("any", condition)
        return condition

    def _misfits(self, name: str) -> tuple[Fault, ...]:
        """Faults of the cell that a part was taken from."""
        piece = self.bound.derived.get(name)
        if not isinstance(piece, CellPart):
            return ()
        cell = self.columns[name]
        return tuple(
            Fault(
                sql("($cell = $mark)", cell=cell, mark=quote(MISFIT + reason)), reason, piece.base
            )
            for reason in misfits(piece)
        )

    def _plain(self, name: str, leaf: Leaf | None = None) -> LeafSql:
        """A column as it is declared; ``leaf`` says what becomes of a cell that does not fit."""
        own = None if leaf is None else leaf.model_copy(update={"zone": None})
        return self._cell(self.columns[name], column_type(self.bound.schema, name), name, own)

    # leaves ------------------------------------------------------------------------------------

    def _constant(self, text: str, kind: Type) -> LeafSql:
        """A constant in the schema, read by the same grammar as a cell."""
        beside = self._beside(replace(kind, country=None), None)
        value = read_cell(quote(text), kind, beside).value
        return LeafSql(
            json=as_json(value, kind),
            text=as_text(value, kind),
            value=as_sql(value, kind),
            raw=sql("($value)", value=value),
        )

    def _column(self, leaf: Leaf, kind: Type) -> LeafSql | None:
        name = leaf.column or ""
        if not self.has([name]):
            return None if leaf.default is None else self._constant(leaf.default, kind)
        cell, faults = _mapped(_taken(self.columns[name], leaf.take), leaf, name)
        found = self._with_default(self._cell(cell, kind, name, leaf), leaf, kind)
        return replace(found, faults=(*faults, *found.faults))

    def _with_default(self, found: LeafSql, leaf: Leaf, kind: Type) -> LeafSql:
        if leaf.default is None:
            return found
        other = self._constant(leaf.default, kind)

        def either(one: Sql, default: Sql) -> Sql:
            return sql("coalesce($one, $default)", one=one, default=default)

        return LeafSql(
            json=either(found.json, other.json),
            text=either(found.text, other.text),
            value=either(found.value, other.value),
            raw=either(found.raw, other.raw),
            faults=found.faults,
        )

    def _template(self, leaf: Leaf, kind: Type) -> LeafSql | None:
        template = parse_template(leaf.template or "")
        if not self.has(template.columns):
            return None if leaf.default is None else self._constant(leaf.default, kind)
        pieces: list[Sql] = []
        faults: list[Fault] = []
        for part in template.parts:
            if isinstance(part, str):
                pieces.append(quote(part))
            elif isinstance(part, LineNumberPart):
                number = self.query.column(LINE_NUMBER, Stage.LINE)
                pieces.append(sql("$number::varchar", number=number))
            else:
                column = self._plain(part.name, leaf)
                pieces.append(column.text)
                faults += column.faults
        name = leaf.template or ""
        cell, unmapped = _mapped(sql("($text)", text=join(" || ", pieces)), leaf, name)
        made = self._cell(cell, kind, name, leaf)
        made = replace(made, faults=(*faults, *unmapped, *made.faults))
        return self._with_default(made, leaf, kind)

    def _each(self, leaf: Leaf) -> LeafSql | None:
        assert leaf.each is not None  # noqa: S101
        inner = self.compile(leaf.each)
        if inner is None:
            return None
        listed = self.query.gathered("list", inner.json)
        whole = sql("('[' || $listed || ']')", listed=listed)
        faults = of_order(inner.faults, self.query)
        return LeafSql(json=whole, text=whole, value=whole, raw=whole, faults=faults)

    def _object(self, leaf: Leaf) -> LeafSql | None:
        members = {name: self.compile(member) for name, member in (leaf.object or {}).items()}
        present = {name: member for name, member in members.items() if member is not None}
        whole = json_object({name: member.json for name, member in present.items()})
        faults = tuple(fault for member in present.values() for fault in member.faults)
        return LeafSql(json=whole, text=whole, value=whole, raw=whole, faults=faults)

    # SQL in the schema -------------------------------------------------------------------------

    def _sql(self, leaf: Leaf, key: str | None) -> LeafSql | None:
        found = self._expression(leaf)
        if found is None:
            return self._without_columns(leaf, key)
        value = found.sql
        if key == "where":
            holds = sql("coalesce($value, false)", value=value)
            return LeafSql(json=value, text=value, value=holds, raw=value, faults=found.faults)
        if key == "time" and found.kind != "VARCHAR":
            raw = sql("(epoch_us($value) // 1000000)", value=value)
            return LeafSql(json=raw, text=raw, value=value, raw=raw, faults=found.faults)
        wanted = Type(IMPLIED_KINDS[key]) if key in _READ_AGAIN and leaf.as_ is None else leaf.as_
        if found.kind == "VARCHAR" and wanted is not None:
            columns = ", ".join(leaf_columns(leaf)) or leaf.sql or ""
            text = sql("nullif(trim($value), '')", value=value)
            cell = self._cell(text, wanted, columns, leaf)
            cell = replace(cell, faults=(*found.faults, *cell.faults))
            return self._with_default(cell, leaf, wanted)
        made = result(found, leaf.as_, in_value=key == "$value")
        made = replace(made, faults=(*made.faults, *fault_of_fraction(value, leaf)))
        if leaf.default is None:
            return made
        return self._with_default(made, leaf, default_type(self.bound.schema, leaf, key))

    def _sum(self, leaf: Leaf, key: str | None) -> LeafSql | None:
        found = self._expression(leaf)
        if found is None:
            return self._without_columns(leaf, key)
        is_decimal = found.kind.startswith("DECIMAL")
        scale = min(found.scale, SUM_SCALE) if is_decimal else 6
        part = found.sql
        if not is_decimal or found.scale > SUM_SCALE:
            part = sql(f"try_cast($part as decimal(38,{scale}))", part=part)
        if leaf.default is not None:
            default = sql("try_cast($text as decimal(38,6))", text=quote(leaf.default))
            part = sql("coalesce($part, $default)", part=part, default=default)
        bounded = sql(f"case when abs($part::double) < {SUM_BOUND} then $part end", part=part)
        line = self.query.named(bounded, Stage.LINE)
        faults = (
            *of_order(found.faults, self.query),
            Fault(
                self.query.gathered("any", sql("($line is null)", line=line)),
                "no_value_in_sum",
                leaf.sum or "",
            ),
        )
        total = self.query.gathered("sum", line)
        summed = replace(found, sql=total, kind=f"DECIMAL(38,{scale})", faults=faults)
        made = result(summed, leaf.as_, in_value=key == "$value")
        return replace(made, faults=(*faults, *fault_of_fraction(total, leaf)))

    def _without_columns(self, leaf: Leaf, key: str | None) -> LeafSql | None:
        """A leaf of SQL whose columns the export lacks: its default, if it has one."""
        if leaf.default is None:
            return None
        return self._constant(leaf.default, default_type(self.bound.schema, leaf, key))

    def _expression(self, leaf: Leaf) -> Computed | None:
        """What a leaf's SQL computes; None where the export lacks a column of it."""
        expression = leaf_expression(leaf)
        if expression is None or not self.has(expression.columns):
            return None
        columns = {name: self._plain(name) for name in expression.columns}
        values = {name: self.query.named(column.value) for name, column in columns.items()}
        types = {name: column_type(self.bound.schema, name) for name in columns}
        text = expression.sql(lambda name: values[name].text, lambda name: columns[name].text.text)
        used = [*values.values(), *(column.text for column in columns.values())]
        computed = Sql(text, tuple(dict.fromkeys(value for one in used for value in one.uses)))
        # try() makes NULL of an overflow or a failed cast, as it does of a value that is not there
        failed = sql("(try($computed is null) is null)", computed=computed)
        return Computed(
            sql=self.query.named(sql("try($computed)", computed=computed)),
            kind=result_type(expression, {name: SQL_TYPES[t.kind] for name, t in types.items()}),
            money=tuple(kind for kind in types.values() if kind.kind == "money"),
            faults=(
                *self._column_faults(columns, types),
                Fault(self.query.named(failed), "sql_failed", expression.text),
            ),
        )

    def _column_faults(
        self, columns: dict[str, LeafSql], types: dict[str, Type]
    ) -> Iterator[Fault]:
        """Those of the cells. SQL computes with six places, so a number may have no more."""
        for name, column in columns.items():
            yield from column.faults
            if types[name].kind == "number":
                long = sql("regexp_matches($number, '[.][0-9]{7}')", number=column.raw)
                yield Fault(self.query.named(long), "too_many_places", name)


def json_object(members: Mapping[str, Sql]) -> Sql:
    """A JSON object of the members, given as JSON, that are not NULL; NULL where there are none."""
    if not members:
        return NULL
    pairs = (
        sql("$key || $value", key=quote(json.dumps(name, ensure_ascii=False) + ":"), value=member)
        for name, member in members.items()
    )
    return sql("('{' || nullif(concat_ws(',', $pairs), '') || '}')", pairs=join(", ", pairs))


def _taken(cell: Sql, take: str | None) -> Sql:
    """First or last name out of a whole one: "Ada Lovelace" or "Lovelace, Ada"."""
    match take:
        case "first_name":
            plain, comma = "split_part($cell, ' ', 1)", "trim(split_part($cell, ',', 2))"
        case "last_name":
            rest = "trim(substr($cell, instr($cell, ' ')))"
            plain = f"case when contains($cell, ' ') then {rest} end"
            comma = "trim(split_part($cell, ',', 1))"
        case _:
            return cell
    either = f"case when contains($cell, ',') then {comma} else {plain} end"
    return sql(f"nullif({either}, '')", cell=cell)


def _mapped(cell: Sql, leaf: Leaf, column: str) -> tuple[Sql, tuple[Fault, ...]]:
    """A cell through the leaf's ``map``, and the fault of a value that is not in it."""
    if leaf.map is None:
        return cell, ()
    known = join(", ", map(quote, leaf.map))
    cases = join(
        " ",
        (
            sql("when $old then $new", old=quote(old), new=quote(new))
            for old, new in leaf.map.items()
        ),
    )
    if leaf.otherwise is None:
        unknown = sql("($cell not in ($known))", cell=cell, known=known)
        mapped = sql("nullif(case $cell $cases end, '')", cell=cell, cases=cases)
        return mapped, (Fault(unknown, "not_in_map", column),)
    mapped = sql(
        "nullif(case when $cell in ($known) then case $cell $cases end "
        "when $cell is not null then $other end, '')",
        cell=cell,
        known=known,
        cases=cases,
        other=quote(leaf.otherwise),
    )
    return mapped, ()

"""A leaf of a schema as SQL: its JSON, its text, and what makes its order a reject."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from backfill.mapping.amount_marks import MarkSql, mark_sql
from backfill.mapping.cell_sql import CellContext, unreadable
from backfill.mapping.cells import read_cell
from backfill.mapping.computed import Computed, LeafSql, fraction_faults, result_leaf
from backfill.mapping.counted_lines import ALL_LINES, CountedLines, counted_lines
from backfill.mapping.faults import Fault, order_faults
from backfill.mapping.money import places_sql, rounded_amount
from backfill.mapping.query import (
    Query,
    Sql,
    Stage,
    coalesce,
    join,
    quote,
    sql,
    values_of,
)
from backfill.mapping.texts import NO_NAME, apply_map, part_of_name
from backfill.mapping.unnest import part_faults
from backfill.mapping.values import as_json, as_sql, as_text, json_object
from backfill.schema.bind import BoundSchema
from backfill.schema.column_uses import (
    column_type,
    default_type,
    expression_type,
    leaf_columns,
    leaf_expression,
    leaf_type,
)
from backfill.schema.columns import CellPart
from backfill.schema.model import Leaf
from backfill.schema.template import LineNumberPart, parse_template
from backfill.schema.types import Type
from backfill.sources.text import OUT_OF_RANGE

SUM_BOUND: Final = 10**15
SUM_SCALE: Final = 18
"""A line's part of a sum is below SUM_BOUND and has at most SUM_SCALE decimal places, so that the
sum of a hundred thousand lines fits into DECIMAL(38)."""

_CHECKED_FIELDS: Final = ("$email", "$phone_number", "currency")
"""Fields whose texts are read as cells are, also where SQL makes them."""

LINE_NUMBER: Final = "line_number"
"""The column of ``lines`` that counts them: 1, 2, 3 … in each order."""


@dataclass(slots=True, kw_only=True)
class LeafCompiler:
    """Compiles leaves, and collects the conditions on orders that are counted."""

    bound: BoundSchema
    query: Query
    columns: Mapping[str, Sql]
    """The columns that the export has, by their names in the schema."""
    temporal: frozenset[str]
    """The names of columns in which the export itself holds dates or times."""
    numeric: frozenset[str]
    """The names of columns in which the export itself holds numbers."""
    clock_changes: dict[Sql, Literal["skipped", "doubled"]] = field(default_factory=dict)
    """Conditions: an order has a local time that its clock skipped, or showed twice."""
    left_out: dict[Sql, tuple[str, str]] = field(default_factory=dict)
    """Conditions: a cell of an order was left out; with its column and the reason."""
    rounded: dict[Sql, str] = field(default_factory=dict)
    """Conditions: an order has an amount of more places than its currency; with its column."""
    marks: dict[MarkSql, str] = field(default_factory=dict)
    """What the amounts of an order show about the decimal mark of their column."""

    def compile(self, leaf: Leaf, key: str | None = None) -> LeafSql | None:
        """A leaf's SQL; None where it is optional and the export lacks its column.

        Args:
            leaf: of the schema.
            key: the documented field that it fills, ``$email``, ``time`` …; None for others.
        """
        cell_type = leaf_type(self.bound.schema, leaf, key)
        match leaf.kind:
            case "value":
                return self._constant(leaf.value or "", cell_type)
            case "column":
                return self._column(leaf, cell_type)
            case "template":
                return self._template(leaf, cell_type)
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

    def _cell(self, cell: Sql, cell_type: Type, column: str, leaf: Leaf | None = None) -> LeafSql:
        """A cell read as a type.

        Args:
            cell: its text.
            cell_type: the type.
            column: the column that its faults name.
            leaf: says which column has the zone, and whether an unfit cell is left out.
        """
        context = self._context(cell_type, leaf.zone if leaf is not None else None)
        temporal = column in self.temporal
        read = read_cell(cell, cell_type, context, self.query.sql, temporal=temporal)
        value = read.value if read.value == cell else self.query.named(read.value)
        if cell_type.kind == "money" and column not in self.numeric:
            self._note_marks(cell, value, cell_type, column)
        reasons, part = read.faults, self.bound.derived.get(column)
        if column in self.columns:
            beyond = unreadable(self.columns[column], self._text(column))
            reasons = ((beyond, "value_out_of_range"), *reasons)
        faults = tuple(Fault(self.query.named(one), reason, column) for one, reason in reasons)
        if column in self._left_out_columns() or (leaf is not None and leaf.unfit == "leave_out"):
            self._count_left_out(faults)
            faults = ()
        of_part = part_faults(part, self.columns[column]) if isinstance(part, CellPart) else ()
        if read.clock_change is not None:
            self._count_clock_changes(self.query.named(read.clock_change))
        return LeafSql(
            json=self.query.named(as_json(value, cell_type, context.places)),
            text=self.query.named(as_text(value, cell_type, context.places)),
            value=value,
            faults=(*of_part, *faults),
        )

    def _text(self, name: str) -> Sql:
        """The text of a column's cell, NULL where a source holds a time that no calendar has."""
        in_range = "(case when not contains($cell, $mark) then $cell end)"
        return self.query.sql(in_range, cell=self.columns[name], mark=quote(OUT_OF_RANGE))

    def _left_out_columns(self) -> set[str | None]:
        """The columns of a person whose unfit cells are left out, wherever they are read."""
        leaves = self.bound.schema.customer_properties.values()
        return {leaf.column for leaf in leaves if leaf.unfit == "leave_out"}

    def _context(self, cell_type: Type, zone_column: str | None) -> CellContext:
        """What else decides how a cell is read, in the schema or in the same row."""
        timezone = self.bound.schema.source.timezone
        zone = None if timezone is None else quote(timezone)
        country, places = self.columns.get(cell_type.country or ""), self._places(cell_type)
        if country is not None:
            country = self.query.sql("backfill_country($cell)", cell=country)
        if zone_column is None or not self.has([zone_column]):
            return CellContext(zone, country=country, places=places)
        cell = self.columns[zone_column]
        found = self.query.sql("backfill_zone($cell)", cell=cell)
        in_row = self.query.sql(
            "(case when $cell is null then $zone else $found end)",
            cell=cell,
            zone=zone or Sql("null"),
            found=found,
        )
        unknown = sql("($cell is not null and $found is null)", cell=cell, found=found)
        return CellContext(in_row, unknown, country, places)

    def _places(self, cell_type: Type) -> Sql | None:
        """The decimal places of the row's currency, where a column holds it."""
        code = self.columns.get(cell_type.currency_column or "")
        if code is None:
            return None
        return self.query.named(places_sql(code, stripe=cell_type.stripe))

    def _count_left_out(self, faults: Sequence[Fault]) -> None:
        """Count the orders by the first of these faults that they have."""
        earlier = [sql("not coalesce($it, false)", it=fault.condition) for fault in faults]
        for at, fault in enumerate(faults):
            first = sql("($all)", all=join(" and ", [fault.condition, *earlier[:at]]))
            self.left_out[self._of_order(first)] = (fault.column, fault.reason)

    def _note_marks(self, cell: Sql, value: Sql, cell_type: Type, column: str) -> None:
        is_part = isinstance(self.bound.derived.get(column), CellPart)
        row_places = self._places(cell_type)
        found = mark_sql(cell, value, cell_type, row_places, self.query.sql, is_part=is_part)
        if found is not None:
            self.marks[found.each(self._of_order)] = column

    def _count_rounded(self, value: Sql, cell_type: Type, column: str) -> None:
        rounded = rounded_amount(value, cell_type.currency, self._places(cell_type))
        self.rounded[self._of_order(sql("($a <> $b)", a=value, b=rounded))] = column

    def _count_clock_changes(self, change: Sql) -> None:
        skipped, doubled = (sql(f"($change = {number})", change=change) for number in (1, 2))
        self.clock_changes[self._of_order(skipped)] = "skipped"
        self.clock_changes[self._of_order(doubled)] = "doubled"

    def _of_order(self, condition: Sql) -> Sql:
        """A condition on an order; a condition on a line holds where any line meets it."""
        if condition.stage is Stage.LINE:
            return self.query.aggregated("any", condition)
        return condition

    def _declared(self, name: str, leaf: Leaf | None = None) -> LeafSql:
        """A column by its own type; ``leaf`` says whether an unfit cell is left out."""
        own = None if leaf is None else leaf.model_copy(update={"zone": None})
        return self._cell(self._text(name), column_type(self.bound.schema, name), name, own)

    # leaves ------------------------------------------------------------------------------------

    def _constant(self, text: str, cell_type: Type) -> LeafSql:
        """A constant of the schema, read by the same grammar as a cell."""
        context = self._context(replace(cell_type, country=None), None)
        value = read_cell(quote(text), cell_type, context).value
        return LeafSql(
            json=as_json(value, cell_type, context.places),
            text=as_text(value, cell_type, context.places),
            value=sql("($value)", value=value),
        )

    def _default(self, leaf: Leaf, cell_type: Type) -> LeafSql | None:
        """The default of a leaf, if it has one: its value where the export lacks its columns."""
        return None if leaf.default is None else self._constant(leaf.default, cell_type)

    def _with_default(self, found: LeafSql, leaf: Leaf, cell_type: Type) -> LeafSql:
        default = self._default(leaf, cell_type)
        if default is None:
            return found
        return LeafSql(
            json=coalesce(found.json, default.json),
            text=coalesce(found.text, default.text),
            value=coalesce(found.value, default.value),
            faults=found.faults,
        )

    def _column(self, leaf: Leaf, cell_type: Type) -> LeafSql | None:
        name = leaf.column or ""
        if not self.has([name]):
            return self._default(leaf, cell_type)
        if leaf.take is not None:
            unfit = self.query.named(sql(f"coalesce({NO_NAME}, false)", cell=self.columns[name]))
            self._count_left_out([Fault(unfit, "not_a_name", name)])
        cell, unmapped = apply_map(part_of_name(self._text(name), leaf.take), leaf, name)
        found = self._cell(cell, cell_type, name, leaf)
        found = replace(found, faults=(*unmapped, *found.faults))
        if cell_type.kind == "money":
            self._count_rounded(found.value, cell_type, name)
        return self._with_default(found, leaf, cell_type)

    def _template(self, leaf: Leaf, cell_type: Type) -> LeafSql | None:
        template = parse_template(leaf.template or "")
        if not self.has(template.columns):
            return self._default(leaf, cell_type)
        texts: list[Sql] = []
        faults: list[Fault] = []
        for part in template.parts:
            if isinstance(part, str):
                texts.append(quote(part))
            elif isinstance(part, LineNumberPart):
                number = self.query.column(LINE_NUMBER, Stage.LINE)
                texts.append(sql("$number::varchar", number=number))
            else:
                column = self._declared(part.name, leaf)
                texts.append(column.text)
                faults += column.faults
        name = leaf.template or ""
        cell, unmapped = apply_map(sql("($text)", text=join(" || ", texts)), leaf, name)
        found = self._cell(cell, cell_type, name, leaf)
        found = replace(found, faults=(*faults, *unmapped, *found.faults))
        return self._with_default(found, leaf, cell_type)

    def _each(self, leaf: Leaf) -> LeafSql | None:
        assert leaf.each is not None  # noqa: S101
        inner = self.compile(leaf.each)
        if inner is None:
            return None
        counted = self._counted(leaf)
        if counted is None:
            return None
        listed = self.query.aggregated("list", counted.value(inner.json))
        faults = order_faults(counted.faults(inner.faults), self.query)
        return LeafSql.of(sql("('[' || $listed || ']')", listed=listed), faults=faults)

    def _counted(self, leaf: Leaf) -> CountedLines | None:
        """The lines that a sum or a list counts; None where the export lacks a column of them."""
        if leaf.where is None:
            return ALL_LINES
        found = self._expression(Leaf.condition(leaf.where))
        return None if found is None else counted_lines(found, leaf.where, self.query)

    def _object(self, leaf: Leaf) -> LeafSql | None:
        members = {name: self.compile(member) for name, member in (leaf.object or {}).items()}
        present = {name: member for name, member in members.items() if member is not None}
        faults = tuple(fault for member in present.values() for fault in member.faults)
        whole = json_object({name: member.json for name, member in present.items()})
        return LeafSql.of(whole, faults=faults)

    # SQL in the schema -------------------------------------------------------------------------

    def _sql(self, leaf: Leaf, key: str | None) -> LeafSql | None:
        found = self._expression(leaf)
        if found is None:
            return self._without_columns(leaf, key)
        value = found.sql
        if key == "where":
            return LeafSql.of(value, faults=found.faults)
        if key == "time" and found.sql_type != "VARCHAR":
            seconds = sql("(epoch_us($value) // 1000000)", value=value)
            return LeafSql.of(seconds, faults=found.faults)
        wanted = leaf.as_
        if key in _CHECKED_FIELDS and wanted is None:
            wanted = leaf_type(self.bound.schema, leaf, key)
        if found.sql_type == "VARCHAR" and wanted is not None:
            columns = ", ".join(leaf_columns(leaf)) or leaf.sql or ""
            text = sql("nullif(trim($value), '')", value=value)
            cell = self._cell(text, wanted, columns, leaf)
            cell = replace(cell, faults=(*found.faults, *cell.faults))
            return self._with_default(cell, leaf, wanted)
        made = result_leaf(found, leaf.as_, in_value=key == "$value")
        made = replace(made, faults=(*made.faults, *fraction_faults(value, leaf)))
        if leaf.default is None:
            return made
        return self._with_default(made, leaf, default_type(self.bound.schema, leaf, key))

    def _sum(self, leaf: Leaf, key: str | None) -> LeafSql | None:
        found, counted = self._expression(leaf), self._counted(leaf)
        if found is None or counted is None:
            return self._without_columns(leaf, key)
        is_decimal = found.sql_type.startswith("DECIMAL")
        scale = min(found.scale, SUM_SCALE) if is_decimal else 6
        part = found.sql
        if not is_decimal or found.scale > SUM_SCALE:
            part = sql(f"try_cast($part as decimal(38,{scale}))", part=part)
        default = None
        if leaf.default is not None:
            default = sql("try_cast($text as decimal(38,6))", text=quote(leaf.default))
            part = coalesce(part, default)
        bounded = sql(f"case when abs($part::double) < {SUM_BOUND} then $part end", part=part)
        line = self.query.named(bounded, Stage.LINE)
        lacking = counted.condition(sql("($line is null)", line=line))
        faults = (
            *order_faults(counted.faults(found.faults), self.query),
            Fault(self.query.aggregated("any", lacking), "no_value_in_sum", leaf.sum or ""),
        )
        total = self.query.aggregated("sum", counted.value(line))
        if leaf.where is not None and default is not None:
            total = coalesce(total, default)  # no line counts
        row_places = found.places
        if row_places is not None and row_places.stage is Stage.LINE:
            row_places = self.query.aggregated("first", counted.value(row_places))
        summed = replace(
            found, sql=total, sql_type=f"DECIMAL(38,{scale})", places=row_places, faults=faults
        )
        made = result_leaf(summed, leaf.as_, in_value=key == "$value")
        return replace(made, faults=(*faults, *fraction_faults(total, leaf)))

    def _without_columns(self, leaf: Leaf, key: str | None) -> LeafSql | None:
        """A leaf of SQL whose columns the export lacks: its default, if it has one."""
        if leaf.default is None:
            return None
        return self._constant(leaf.default, default_type(self.bound.schema, leaf, key))

    def _expression(self, leaf: Leaf) -> Computed | None:
        """The result of a leaf's SQL; None where the export lacks one of its columns."""
        expression = leaf_expression(leaf)
        if expression is None or not self.has(expression.columns):
            return None
        columns = {name: self._declared(name) for name in expression.columns}
        types = {name: column_type(self.bound.schema, name) for name in columns}
        values = {
            name: self.query.named(as_sql(column.value, types[name]))
            for name, column in columns.items()
        }
        text = expression.sql(lambda name: values[name].text, lambda name: columns[name].text.text)
        used = [*values.values(), *(column.text for column in columns.values())]
        computed = Sql(text, values_of(used))
        # try() makes NULL of an overflow or a failed cast, as it does of a value that is not there
        failed = self.query.sql("(try($computed is null) is null)", computed=computed)
        return Computed(
            sql=self.query.sql("try($computed)", computed=computed),
            sql_type=expression_type(self.bound.schema, expression),
            money=tuple(one for one in types.values() if one.kind == "money"),
            places=next(filter(None, map(self._places, types.values())), None),
            faults=(
                *self._column_faults(columns, types),
                Fault(failed, "sql_failed", expression.text),
            ),
        )

    def _column_faults(
        self, columns: dict[str, LeafSql], types: dict[str, Type]
    ) -> Iterator[Fault]:
        """The faults of an expression's cells; a number may have six places, as SQL computes."""
        for name, column in columns.items():
            yield from column.faults
            if types[name].kind == "number":
                long = "regexp_matches($number, '[.][0-9]{7}')"
                yield Fault(self.query.sql(long, number=column.value), "too_many_places", name)

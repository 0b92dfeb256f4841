"""The uses of a schema's columns: the place of each, its level and its type."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from backfill.schema.columns import makes_lines, matches_any
from backfill.schema.currencies import currency_code
from backfill.schema.document import KeyPath
from backfill.schema.expression import Expression, is_numeric, parse_expression, result_type
from backfill.schema.model import Event, Leaf, Schema
from backfill.schema.template import parse_template
from backfill.schema.types import TEXT, Kind, Type

Level = Literal["order", "line"]

FIELD_KINDS: Final[dict[str, tuple[Kind, ...]]] = {
    "$email": ("email",),
    "$phone_number": ("phone",),
    "$consent": ("list",),
    "$value": ("money", "number", "integer"),
    "time": ("time",),
    "currency": ("currency",),
}
"""The kinds of type that a documented field takes; a column without a type has the first of them.
"""

_SQL_TYPES: Final[dict[Kind, str]] = {
    "integer": "BIGINT",
    "number": "DECIMAL(38,6)",
    "money": "DECIMAL(38,6)",
    "boolean": "BOOLEAN",
    "time": "TIMESTAMP",  # in UTC
    "date": "DATE",
    "list": "VARCHAR[]",
    "json": "JSON",
    "pairs": "JSON",
}
"""The SQL type of a column inside ``sql``, ``sum`` and ``where``, by its kind; VARCHAR for others.
"""


@dataclass(frozen=True, slots=True)
class Use:
    """One leaf, or one condition, at its place."""

    path: KeyPath
    leaf: Leaf
    level: Level
    """Does it have one value per order, or per line?"""
    field: str | None = None
    """The documented field that it fills (``$email``, ``$event_id``, ``time`` …); None for others.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        return leaf_columns(self.leaf)


def uses(schema: Schema) -> Iterator[Use]:
    """Every leaf and condition of a schema; a leaf that holds others comes before them."""
    for name, leaf in schema.customer_properties.items():
        yield from _leaf_uses(("customer_properties", name), leaf, "order", documented_field(name))
    for at, event in enumerate(schema.events):
        yield from event_uses(event, ("events", at))


def event_uses(event: Event, path: KeyPath = ()) -> Iterator[Use]:
    level: Level = event.per
    yield from _leaf_uses((*path, "time"), event.time, level, "time")
    if event.currency is not None:
        yield from _leaf_uses((*path, "currency"), event.currency, level, "currency")
    if event.where is not None:
        yield Use((*path, "where"), Leaf.condition(event.where), level, "where")
    for name, leaf in event.properties.items():
        yield from _leaf_uses((*path, "properties", name), leaf, level, documented_field(name))


def documented_field(name: str) -> str | None:
    """The property's name if Klaviyo documents it, else None: a shop may have a ``time`` too."""
    return name if name.startswith("$") else None


def _leaf_uses(path: KeyPath, leaf: Leaf, level: Level, field: str | None) -> Iterator[Use]:
    yield Use(path, leaf, level, field)
    if leaf.where is not None:
        condition = Leaf.condition(leaf.where, optional=leaf.optional)
        yield Use((*path, "where"), condition, "line", "where")
    if leaf.each is not None:
        yield from _leaf_uses((*path, "each"), leaf.each, "line", None)
    for name, member in (leaf.object or {}).items():
        yield from _leaf_uses((*path, "object", name), member, level, None)


def leaf_columns(leaf: Leaf) -> tuple[str, ...]:
    """The columns of the leaf itself, not of leaves inside it; () where it does not parse."""
    try:
        if leaf.template is not None:
            return parse_template(leaf.template).columns
        expression = leaf_expression(leaf)
    except ValueError:
        return ()
    if expression is not None:
        return expression.columns
    return (leaf.column,) if leaf.column is not None else ()


def needed_columns(schema: Schema, leaf: Leaf) -> tuple[str, ...]:
    """The columns of the leaf, and those that decide how they are read: zone, country, currency."""
    own = leaf_columns(leaf)
    types = [schema.columns[name] for name in own if name in schema.columns]
    if leaf.as_ is not None:
        types.append(leaf.as_)
    context = [leaf.zone]
    for cell_type in types:
        context += [cell_type.country, cell_type.currency_column]
    return tuple(dict.fromkeys([*own, *(name for name in context if name is not None)]))


def leaf_expression(leaf: Leaf) -> Expression | None:
    """The SQL of a leaf of ``sql`` or ``sum``; None for other leaves. Raises ExpressionError."""
    text = leaf.sql if leaf.sql is not None else leaf.sum
    return parse_expression(text) if text is not None else None


def column_type(schema: Schema, name: str) -> Type:
    """The type of a column; an amount in $value that names no currency has that of the event."""
    return _in_currency(schema, schema.columns.get(name, TEXT), name)


def _in_currency(schema: Schema, cell_type: Type, name: str | None) -> Type:
    if cell_type.kind != "money" or cell_type.currency or cell_type.currency_column:
        return cell_type
    given = [event.currency for event in schema.events if name in _value_columns(event)]
    leaf = given[0] if given else None
    if leaf is None or leaf.map is not None or any(one != leaf for one in given):
        return cell_type
    if leaf.value is not None:
        return replace(cell_type, currency=currency_code(str(leaf.value)))
    of_order = not is_line_column(schema, name or "")
    if leaf.column is None or (of_order and is_line_column(schema, leaf.column)):
        return cell_type
    return replace(cell_type, currency_column=leaf.column)


def _value_columns(event: Event) -> tuple[str, ...]:
    leaf = event.properties.get("$value")
    return () if leaf is None else leaf_columns(leaf)


def leaf_type(schema: Schema, leaf: Leaf, field: str | None) -> Type:
    """The type of a leaf's text: ``as``, else the column's, else the field's, else text."""
    declared = schema.columns.get(leaf.column) if leaf.column is not None else None
    if leaf.as_ is not None:
        found = leaf.as_
    elif declared is not None and leaf.take is None:
        found = declared
    else:
        found = Type(FIELD_KINDS[field][0]) if field in FIELD_KINDS else TEXT
    return _in_currency(schema, found, leaf.column)


def default_type(schema: Schema, leaf: Leaf, field: str | None) -> Type:
    """The type of a leaf's default. Raises ExpressionError."""
    expression = leaf_expression(leaf)
    if leaf.as_ is not None or expression is None or field == "currency":
        return leaf_type(schema, leaf, field)
    found = expression_type(schema, expression)
    return Type("number" if is_numeric(found) else "boolean" if found == "BOOLEAN" else "text")


def expression_type(schema: Schema, expression: Expression) -> str:
    """The SQL type of an expression's result. Raises ExpressionError."""
    return result_type(expression, {name: sql_type(schema, name) for name in expression.columns})


def sql_type(schema: Schema, name: str) -> str:
    """The SQL type of a column inside ``sql``, ``sum`` and ``where``."""
    return _SQL_TYPES.get(column_type(schema, name).kind, "VARCHAR")


def is_line_column(schema: Schema, name: str) -> bool:
    return makes_lines(name) or matches_any(name, schema.source.line)

"""Where a schema uses which columns, and as what."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from backfill.schema.columns import fits, unfolds
from backfill.schema.document import Place
from backfill.schema.expression import Expression, is_numeric, parse_expression, result_type
from backfill.schema.model import Event, Leaf, Schema
from backfill.schema.template import parse_template
from backfill.schema.types import TEXT, Kind, Type

Level = Literal["order", "line"]

IMPLIED: Final[dict[str, Kind]] = {
    "$email": "email",
    "$phone_number": "phone",
    "$consent": "list",
    "$value": "money",
    "time": "time",
    "currency": "currency",
}
"""What a column is read as where the schema does not declare it but Klaviyo's field says it."""

SQL_TYPES: Final[dict[Kind, str]] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DECIMAL(38,6)",
    "money": "DECIMAL(38,6)",
    "boolean": "BOOLEAN",
    "time": "TIMESTAMP",  # in UTC
    "date": "DATE",
    "email": "VARCHAR",
    "phone": "VARCHAR",
    "country": "VARCHAR",
    "currency": "VARCHAR",
    "list": "VARCHAR[]",
    "json": "JSON",
    "pairs": "JSON",
}
"""What a column of a type is inside ``sql``, ``sum`` and ``where``."""


@dataclass(frozen=True, slots=True)
class Use:
    """One leaf, or one condition, at its place."""

    path: Place
    leaf: Leaf
    level: Level
    field: str | None = None
    """The documented field that it fills: ``$email``, ``$event_id``, ``time`` …; or None."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the leaf itself, not of those inside it; () where it does not parse."""
        return leaf_columns(self.leaf)


def uses(schema: Schema) -> Iterator[Use]:
    for name, leaf in schema.customer_properties.items():
        yield from _within(("customer_properties", name), leaf, "order", documented(name))
    for at, event in enumerate(schema.events):
        yield from event_uses(event, ("events", at))


def event_uses(event: Event, path: Place = ()) -> Iterator[Use]:
    level: Level = event.per
    yield from _within((*path, "time"), event.time, level, "time")
    if event.currency is not None:
        yield from _within((*path, "currency"), event.currency, level, "currency")
    if event.where is not None:
        yield Use((*path, "where"), Leaf.condition(event.where), level, "where")
    for name, leaf in event.properties.items():
        yield from _within((*path, "properties", name), leaf, level, documented(name))


def documented(name: str) -> str | None:
    """A property's name where Klaviyo documents it; a shop may call its own one ``time``."""
    return name if name.startswith("$") else None


def _within(path: Place, leaf: Leaf, level: Level, field: str | None) -> Iterator[Use]:
    yield Use(path, leaf, level, field)
    if leaf.each is not None:
        yield from _within((*path, "each"), leaf.each, "line", None)
    for name, member in (leaf.object or {}).items():
        yield from _within((*path, "object", name), member, level, None)


def leaf_columns(leaf: Leaf) -> tuple[str, ...]:
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
    """The columns of the leaf itself, and those that say how theirs are read."""
    own = leaf_columns(leaf)
    kinds = [schema.columns[name] for name in own if name in schema.columns]
    if leaf.as_ is not None:
        kinds.append(leaf.as_)
    beside = [name for kind in kinds for name in beside_columns(kind)]
    zone = [leaf.zone] if leaf.zone is not None else []
    return tuple(dict.fromkeys([*own, *zone, *beside]))


def beside_columns(kind: Type) -> tuple[str, ...]:
    """The columns of the same row that say how a cell of this type is read."""
    return (kind.country,) if kind.country is not None else ()


def leaf_expression(leaf: Leaf) -> Expression | None:
    """Raises ExpressionError."""
    text = leaf.sql if leaf.sql is not None else leaf.sum
    return parse_expression(text) if text is not None else None


def column_type(schema: Schema, name: str) -> Type:
    return schema.columns.get(name, TEXT)


def leaf_type(schema: Schema, leaf: Leaf, field: str | None) -> Type:
    """What a leaf's text is read as: ``as``, the column's type, what the field implies, text."""
    if leaf.as_ is not None:
        return leaf.as_
    declared = schema.columns.get(leaf.column) if leaf.column is not None else None
    if declared is not None and leaf.take is None:
        return declared
    return Type(IMPLIED[field]) if field in IMPLIED else TEXT


def default_type(schema: Schema, leaf: Leaf, field: str | None) -> Type:
    """What a leaf's default is read as. Raises ExpressionError."""
    expression = leaf_expression(leaf)
    if leaf.as_ is not None or expression is None or field == "currency":
        return leaf_type(schema, leaf, field)
    types = {name: SQL_TYPES[column_type(schema, name).kind] for name in expression.columns}
    found = result_type(expression, types)
    return Type("number" if is_numeric(found) else "boolean" if found == "BOOLEAN" else "text")


def is_line_column(schema: Schema, name: str) -> bool:
    return unfolds(name) or fits(name, schema.source.line)

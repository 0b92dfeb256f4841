"""A value that was read from a cell, as JSON, as text, and inside the SQL of a schema."""

from backfill.mapping.money import amount_text
from backfill.mapping.query import Sql, sql
from backfill.mapping.times import moment
from backfill.schema.types import Type


def as_json(value: Sql, kind: Type) -> Sql:
    """The JSON text, NULL where there is no value."""
    match kind.kind:
        case "integer" | "boolean" | "money":
            return as_text(value, kind)
        case "number" | "json" | "pairs":
            return value
        case "time" | "date":
            return sql("""('"' || $text || '"')""", text=as_text(value, kind))
        case _:
            return sql("to_json($value)::varchar", value=value)


def as_text(value: Sql, kind: Type) -> Sql:
    """The same value inside a template or an id."""
    match kind.kind:
        case "integer" | "boolean":
            return sql("($value)::varchar", value=value)
        case "money":
            return amount_text(value, kind.currency)
        case "time":
            return sql("strftime($moment, '%Y-%m-%dT%H:%M:%SZ')", moment=moment(value))
        case "date":
            return sql("strftime($value, '%Y-%m-%d')", value=value)
        case "list":
            return sql("array_to_string($value, ', ')", value=value)
        case _:
            return value


def as_sql(value: Sql, kind: Type) -> Sql:
    """The same value inside ``sql``, ``sum`` and ``where``: what ``SQL_TYPES`` says of its type."""
    match kind.kind:
        case "number":
            return sql("try_cast($value as decimal(38,6))", value=value)
        case "time":
            return moment(value)
        case "json" | "pairs":
            return sql("($value)::json", value=value)
        case _:
            return value

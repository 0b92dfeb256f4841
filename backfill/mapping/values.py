"""A value that was read from a cell, as JSON, as text, and inside the SQL of a schema."""

import json
from collections.abc import Mapping

from backfill.mapping.money import amount_text
from backfill.mapping.query import NULL, Sql, join, quote, sql
from backfill.mapping.times import timestamp
from backfill.schema.types import Type


def as_json(value: Sql, value_type: Type, places: Sql | None = None) -> Sql:
    """The JSON text, NULL where there is no value.

    Args:
        value: as it was read.
        value_type: its type.
        places: the decimal places of the row's currency, where a column holds it.
    """
    match value_type.kind:
        case "integer" | "boolean" | "money":
            return as_text(value, value_type, places)
        case "number" | "json" | "pairs":
            return value
        case "time" | "date":
            return sql("""('"' || $text || '"')""", text=as_text(value, value_type))
        case _:
            return sql("to_json($value)::varchar", value=value)


def as_text(value: Sql, value_type: Type, places: Sql | None = None) -> Sql:
    """The same value inside a template or an id; for arguments see ``as_json``."""
    match value_type.kind:
        case "integer" | "boolean":
            return sql("($value)::varchar", value=value)
        case "money":
            return amount_text(value, value_type.currency, places)
        case "time":
            return sql("strftime($time, '%Y-%m-%dT%H:%M:%SZ')", time=timestamp(value))
        case "date":
            return sql("strftime($value, '%Y-%m-%d')", value=value)
        case "list":
            return sql("array_to_string($value, ', ')", value=value)
        case _:
            return value


def as_sql(value: Sql, value_type: Type) -> Sql:
    """The same value inside ``sql``, ``sum`` and ``where``, of the column's SQL type."""
    match value_type.kind:
        case "number":
            return sql("try_cast($value as decimal(38,6))", value=value)
        case "time":
            return timestamp(value)
        case "json" | "pairs":
            return sql("($value)::json", value=value)
        case _:
            return value


def json_object(members: Mapping[str, Sql]) -> Sql:
    """A JSON object of the members, given as JSON, that are not NULL; NULL where there are none."""
    if not members:
        return NULL
    pairs = (
        sql("$key || $value", key=quote(json.dumps(name, ensure_ascii=False) + ":"), value=member)
        for name, member in members.items()
    )
    return sql("('{' || nullif(concat_ws(',', $pairs), '') || '}')", pairs=join(", ", pairs))

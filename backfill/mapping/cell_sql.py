"""SQL that reads a cell: its value, and the reasons why it may not fit its type."""

from dataclasses import dataclass
from typing import Final, Protocol

from backfill.mapping.query import Sql, sql
from backfill.schema.types import Kind

MISMATCH_REASONS: Final[dict[Kind, str]] = {
    "text": "",
    "integer": "not_an_integer",
    "number": "not_a_number",
    "money": "not_money",
    "boolean": "not_a_boolean",
    "time": "not_a_time",
    "date": "not_a_date",
    "email": "not_an_email",
    "phone": "not_a_phone",
    "country": "not_a_country",
    "currency": "not_a_currency",
    "list": "not_a_list",
    "json": "not_json",
    "pairs": "not_pairs",
}
"""The reason of a reject whose cell does not fit a type, by the type's kind."""

INTEGER: Final = r"[+-]?[0-9]{1,19}(\.0+)?"
NUMBER: Final = r"[+-]?[0-9]{1,26}(\.[0-9]{1,30})?"


class Named(Protocol):
    """Makes an expression from a template, and gives it a name: it is computed once.

    ``Query.sql`` does so; ``query.sql`` makes the same expression without a name.
    """

    def __call__(self, template: str, **parts: Sql) -> Sql: ...


@dataclass(frozen=True, slots=True)
class CellSql:
    """A cell read as a type."""

    value: Sql
    """NULL where the cell is empty or does not fit."""
    faults: tuple[tuple[Sql, str], ...] = ()
    """Conditions, each with the reason why the cell does not fit. The first that holds counts."""
    clock_change: Sql | None = None
    """For a local time: 1 if its clock skipped the hour, 2 if it showed the hour twice, else 0."""


@dataclass(frozen=True, slots=True)
class CellContext:
    """What else decides how a cell is read: the schema, or other cells of the row."""

    zone: Sql | None = None
    """The time zone of a time without an offset, by DuckDB's name; None where nothing names one."""
    unknown_zone: Sql | None = None
    """A condition: the row names a time zone that does not exist."""
    country: Sql | None = None
    """The ISO 3166 code of a phone number's country; NULL for none."""
    places: Sql | None = None
    """The decimal places of the row's currency, NULL where it has none that is known; None where
    no column holds the currency."""


NO_CONTEXT: Final = CellContext()


def matches(cell: Sql, pattern: str) -> Sql:
    """A condition: the whole cell matches ``pattern``, which is ours, with doubled quotes."""
    return sql(f"regexp_full_match($cell, '{pattern}')", cell=cell)


def unreadable(cell: Sql, value: Sql) -> Sql:
    """A condition: the cell is not empty, and has no value."""
    return sql("($cell is not null and $value is null)", cell=cell, value=value)

"""What reading a cell gives: SQL for its value, and for why it does not fit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from backfill.mapping.query import Sql, sql

NOT_OF_TYPE: Final = {
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
"""The reason of a reject, by the type that its cell does not fit."""

INTEGER: Final = r"[+-]?[0-9]{1,19}(\.0+)?"
NUMBER: Final = r"[+-]?[0-9]{1,26}(\.[0-9]{1,30})?"


Name = Callable[[Sql], Sql]
"""Gives an expression that stands in several places a name, so that it is computed once."""


@dataclass(frozen=True, slots=True)
class CellSql:
    """A cell read as a type."""

    value: Sql
    """NULL where there is no cell, or one that does not fit."""
    faults: tuple[tuple[Sql, str], ...] = ()
    """Conditions, each with the reason why the cell does not fit. The first that holds counts."""
    clock: Sql | None = None
    """Of a local time: 1 where the clock skipped its hour, 2 where it showed it twice, else 0."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What decides with the cell how it is read: a constant, or another cell of the same row."""

    zone: Sql | None = None
    """The name of the zone of a time without an offset, as DuckDB knows it."""
    unknown_zone: Sql | None = None
    """Does the row name a zone that is none?"""
    country: Sql | None = None
    """The ISO 3166 code of a phone number's country; NULL for none."""


NOTHING_BESIDE: Final = Beside()


def inline(expression: Sql) -> Sql:
    """For ``read_cell``: no names, each part stands wherever it is used."""
    return expression


def matches(cell: Sql, pattern: str) -> Sql:
    """Does the whole cell match? ``pattern`` is ours, with doubled quotes."""
    return sql(f"regexp_full_match($cell, '{pattern}')", cell=cell)


def fault_of(cell: Sql, value: Sql) -> Sql:
    """There is a cell, and it has no value."""
    return sql("($cell is not null and $value is null)", cell=cell, value=value)

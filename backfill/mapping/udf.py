"""Functions that SQL calls for cells that it cannot read, such as phone numbers and countries."""

import functools
import json
import re
from collections.abc import Callable
from typing import Any, Final

import duckdb
import phonenumbers
import pyarrow as pa

from backfill.engine.duck import add_function
from backfill.mapping.structured import Number, read_exact, write_exact
from backfill.schema.countries import country_code
from backfill.schema.currencies import currency_code
from backfill.schema.zones import zone_reader

_LETTER: Final = re.compile(r"[^\W\d_]")
"""A letter: phonenumbers would read 1-800-FLOWERS, and find a number in any sentence."""

CACHE: Final = 65_536
"""The number of distinct cells that are remembered: an export repeats them."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the functions to a connection.

    ``backfill_phone(cell, region)``, ``backfill_country(cell)``, ``backfill_currency(cell)``,
    ``backfill_zone(cell)`` and ``backfill_json(cell)`` give NULL for a cell that does not fit.
    ``backfill_built(json)`` cleans the JSON that SQL made for a payload.
    """
    phone = functools.lru_cache(CACHE)(_phone)

    def phones(cells: pa.ChunkedArray, regions: pa.ChunkedArray) -> pa.Array:
        pairs = zip(cells.to_pylist(), regions.to_pylist(), strict=True)
        numbers = [None if cell is None else phone(cell, region) for cell, region in pairs]
        return pa.array(numbers, pa.string())

    add_function(connection, "backfill_phone", phones)
    add_function(connection, "backfill_country", _for_each(country_code))
    add_function(connection, "backfill_zone", _for_each(zone_reader(_zones_of(connection))))
    add_function(connection, "backfill_currency", _for_each(currency_code))
    add_function(connection, "backfill_json", _for_each(_json))
    add_function(connection, "backfill_built", _for_each(_built))


def _zones_of(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The zones that ``timezone()`` takes on this connection; it fails on others."""
    found = connection.execute("select name from pg_timezone_names()").fetchall()
    return [name for (name,) in found]


def _for_each(read: Callable[[str], str | None]) -> Callable[[pa.ChunkedArray], pa.Array]:
    """A function of a column from one of a cell; it remembers results."""
    known = functools.lru_cache(CACHE)(read)

    def column(cells: pa.ChunkedArray) -> pa.Array:
        values = [None if cell is None else known(cell) for cell in cells.to_pylist()]
        return pa.array(values, pa.string())

    return column


def _phone(cell: str, region: str) -> str | None:
    """A phone number as Klaviyo takes it: E.164; None where it may be one of two numbers.

    Source: docs/klaviyo.md, "Phone numbers".
    """
    if _LETTER.search(cell):
        return None
    text = cell.strip("' ")
    readings = {_e164(text, region)}
    if region and not text.startswith("+"):
        # 49 151 … may have Germany's prefix without its plus, or be of an area whose code is 49.
        digits = re.sub("[^0-9]", "", text)
        if digits.startswith(str(phonenumbers.country_code_for_region(region))):
            readings.add(_e164(f"+{digits}", None))
    numbers = readings - {None}
    return numbers.pop() if len(numbers) == 1 else None


def _e164(text: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or number.extension:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _json(cell: str) -> str | None:
    """The same JSON without blanks, nulls and empty values; numbers stay as they are written."""
    try:
        kept = _without_nulls(read_exact(cell))
        text = "null" if kept is None else write_exact(kept)
        text.encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return None
    return text


def _built(text: str) -> str | None:
    """SQL's JSON without nulls, infinities, empty values, and zeros at the end of decimals."""
    read = json.loads(text, parse_float=_shortened, parse_int=Number, parse_constant=lambda _: None)
    value = _without_nulls(read)
    return None if value is None else write_exact(value)


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            kept = {key: _without_nulls(member) for key, member in value.items()}
            return {key: member for key, member in kept.items() if member is not None} or None
        case list():
            members = [_without_nulls(member) for member in value]
            return [member for member in members if member is not None] or None
        case "":
            return None
        case _:
            return value


def _shortened(number: str) -> Number:
    plain = "e" not in number.lower()
    return Number(number.rstrip("0").rstrip(".") if plain else number)

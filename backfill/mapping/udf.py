"""Cells that SQL cannot read: phone numbers, countries, JSON; as functions that SQL calls."""

import functools
import inspect
import json
import re
from collections.abc import Callable
from typing import Any, Final

import duckdb
import phonenumbers
import pyarrow as pa

from backfill.mapping.currencies import currency_code
from backfill.mapping.structured import Number, read_exact, write_exact
from backfill.schema.countries import country_code
from backfill.schema.zones import zone_reader

_NO_NUMBER: Final = re.compile(r"[^\W\d_]")
"""Letters: phonenumbers would dial 1-800-FLOWERS, and find a number in any sentence."""
CACHE: Final = 65_536
"""Distinct cells that are remembered: an export repeats them."""


def teach(connection: duckdb.DuckDBPyConnection) -> None:
    """Make known what SQL then calls.

    ``backfill_phone(cell, region)``, ``backfill_country(cell)``, ``backfill_currency(cell)``,
    ``backfill_zone(cell)`` and ``backfill_json(cell)`` give NULL for a cell that does not fit;
    ``backfill_built(json)`` makes of SQL's own JSON what a payload may hold.
    """
    phone = functools.lru_cache(CACHE)(_phone)

    def phones(cells: pa.ChunkedArray, regions: pa.ChunkedArray) -> pa.Array:
        pairs = zip(cells.to_pylist(), regions.to_pylist(), strict=True)
        numbers = [None if cell is None else phone(cell, region) for cell, region in pairs]
        return pa.array(numbers, pa.string())

    functions: dict[str, Callable[..., pa.Array]] = {
        "backfill_phone": phones,
        "backfill_country": _each(country_code),
        "backfill_zone": _each(zone_reader(_zones_of(connection))),
        "backfill_currency": _each(currency_code),
        "backfill_json": _each(_json),
        "backfill_built": _each(_built),
    }
    for name, function in functions.items():
        cells = ["VARCHAR"] * len(inspect.signature(function).parameters)
        connection.create_function(  # type: ignore[call-overload]  # its stubs take no texts
            name,
            function,
            cells,
            "VARCHAR",
            type="arrow",
            null_handling="special",
        )


def _zones_of(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Every name of a zone that ``timezone()`` takes on this connection; of others it dies."""
    found = connection.execute("select name from pg_timezone_names()").fetchall()
    return [name for (name,) in found]


def _each(read: Callable[[str], str | None]) -> Callable[[pa.ChunkedArray], pa.Array]:
    known = functools.lru_cache(CACHE)(read)

    def over(cells: pa.ChunkedArray) -> pa.Array:
        values = [None if cell is None else known(cell) for cell in cells.to_pylist()]
        return pa.array(values, pa.string())

    return over


def _phone(cell: str, region: str) -> str | None:
    """E.164. Source: Klaviyo's OpenAPI file 2026-07-15, ``phone_number``."""
    if _NO_NUMBER.search(cell):
        return None
    try:
        number = phonenumbers.parse(cell.lstrip("'"), region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or number.extension:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _json(cell: str) -> str | None:
    """The same JSON, compact, without nulls and what is empty; numbers as they stand."""
    try:
        kept = _without_nulls(read_exact(cell))
        text = "null" if kept is None else write_exact(kept)
        text.encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return None
    return text


def _built(text: str) -> str | None:
    """Without nulls and infinities, what holds nothing, and places that say nothing."""
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

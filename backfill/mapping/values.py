"""Cells that SQL cannot read: phone numbers, countries, JSON; each distinct one is read once."""

import functools
import json
from collections.abc import Iterable
from typing import Any, Final

import phonenumbers
import pyarrow as pa
import pycountry

from backfill.schema.types import Type

CACHE: Final = 65_536


def read_values(cells: Iterable[str], kind: Type) -> pa.Table:
    """A table of ``cell`` and ``value``, NULL where a cell does not fit."""
    wanted = list(cells)
    values = [_read(cell, kind.kind, kind.region) for cell in wanted]
    return pa.table({"cell": pa.array(wanted, pa.string()), "value": pa.array(values, pa.string())})


@functools.lru_cache(CACHE)
def _read(cell: str, kind: str, region: str | None) -> str | None:
    match kind:
        case "phone":
            return _phone(cell, region)
        case "country":
            return _country(cell)
        case _:
            return _json(cell)


def _phone(cell: str, region: str | None) -> str | None:
    """E.164. Source: Klaviyo's OpenAPI file 2026-07-15, ``phone_number``."""
    try:
        number = phonenumbers.parse(cell.lstrip("'"), region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or number.extension:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _country(cell: str) -> str | None:
    """The ISO 3166 code of two letters, from a code of two or three letters or a name."""
    try:
        found = pycountry.countries.lookup(cell)
    except LookupError:
        return None
    return str(found.alpha_2)


def _json(cell: str) -> str | None:
    """The same JSON, compact; numbers as they stand."""
    try:
        value = json.loads(
            cell,
            parse_float=_Verbatim,
            parse_int=_Verbatim,
            parse_constant=_refuse,
            object_pairs_hook=_once,
        )
        return _write(value)
    except (ValueError, RecursionError):
        return None


class _Verbatim(str):
    __slots__ = ()


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _write(value: Any) -> str:
    match value:
        case _Verbatim():
            return str(value)
        case dict():
            members = (f"{_write(key)}:{_write(member)}" for key, member in value.items())
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(_write(member) for member in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)

"""Klaviyo's filters: ``equals(metric_id,"M1"),greater-or-equal(datetime,2022-01-01T00:00:00Z)``.

Conditions stand side by side or inside ``and(…)``, and all of them hold.
Source: developers.klaviyo.com/en/docs/filtering_, read 2026-11-23.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from backfill.sandbox.json_api.problems import Problem, Turned

_OPEN: Final = re.compile(r"\s*([a-z-]+)\(\s*")
_CLOSE: Final = re.compile(r"\s*\)")
_FIELD: Final = re.compile(r"([A-Za-z_$.]+)\s*(?:,\s*)?")
_VALUE: Final = re.compile(r"""("(?:[^"\\]|\\.)*")|('(?:[^'\\]|\\.)*')|([^,()"']+)""")
_OFFSET_LOST: Final = re.compile(r":[0-9]{2}(\.[0-9]+)? [0-9]{2}:?[0-9]{2}\Z")
_BETWEEN: Final = re.compile(r"\s*,\s*")

ORDER: Final = {
    "greater-or-equal": ">=",
    "greater-than": ">",
    "less-or-equal": "<=",
    "less-than": "<",
}
"""Operators that compare, and SQL's for them."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``text`` is the value as it stands, without its quotes; None where there is none."""

    operator: str
    field: str
    text: str | None


def parse(text: str, allowed: Mapping[str, Sequence[str]]) -> list[Condition]:
    """``allowed`` are the operators of each field.

    Raises: Turned.
    """
    found, end = _conditions(text, 0)
    if end != len(text):
        raise _no(f"Invalid filter provided, at character {end}.")
    for condition in found:
        if condition.field not in allowed:
            raise _no("Filtering is not allowed on that field.")
        if condition.operator not in allowed[condition.field]:
            raise _no(f"That operator is not allowed on '{condition.field}'.")
    return found


def instant(condition: Condition, zone: tzinfo = UTC) -> datetime:
    """In ``zone`` where it has no offset of its own. Raises: Turned, where it is no date-time."""
    text = (condition.text or "").strip()
    # A + in a URL that was not escaped has become a space; what ends in one is an offset.
    text = re.sub(r" (?=[0-9]{2}:?[0-9]{2}\Z)", "+", text) if _OFFSET_LOST.search(text) else text
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _no(f"Invalid date-time for '{condition.field}'.") from None
    return found if found.tzinfo else found.replace(tzinfo=zone)


def number(condition: Condition) -> float:
    """Raises: Turned."""
    try:
        return float(condition.text or "")
    except ValueError:
        raise _no(f"Invalid number for '{condition.field}'.") from None


def _conditions(text: str, start: int) -> tuple[list[Condition], int]:
    found: list[Condition] = []
    at = start
    while True:
        more, at = _one(text, at)
        found += more
        between = _BETWEEN.match(text, at)
        if between is None:
            return found, at
        at = between.end()


def _one(text: str, start: int) -> tuple[list[Condition], int]:
    opening = _expected(_OPEN, text, start)
    if opening[1] == "and":
        found, at = _conditions(text, opening.end())
        return found, _closed(text, at)
    field = _expected(_FIELD, text, opening.end())
    value = _VALUE.match(text, field.end())
    if value is None:
        return [Condition(opening[1], field[1], None)], _closed(text, field.end())
    return [Condition(opening[1], field[1], _plain(value))], _closed(text, value.end())


def _plain(value: re.Match[str]) -> str:
    if value[1] is not None:
        return str(json.loads(value[1]))
    return value[2][1:-1] if value[2] is not None else value[3].strip()


def _expected(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        raise _no(f"Invalid filter provided, at character {at}.")
    return found


def _closed(text: str, at: int) -> int:
    return _expected(_CLOSE, text, at).end()


def _no(detail: str) -> Turned:
    return Turned([Problem("filter", detail, parameter="filter")])

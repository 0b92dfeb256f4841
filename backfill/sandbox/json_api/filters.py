"""Klaviyo's filters: ``equals(metric_id,"M1"),greater-or-equal(datetime,2022-01-01T00:00:00Z)``.

Commas or ``and(…)`` join conditions, and all of them must hold.
Source: developers.klaviyo.com/en/docs/filtering_, read 2026-11-23.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from backfill.sandbox.json_api.problems import invalid_parameter

_OPEN: Final = re.compile(r"\s*([a-z-]+)\(\s*")
_CLOSE: Final = re.compile(r"\s*\)")
_FIELD: Final = re.compile(r"([A-Za-z_$.]+)\s*(?:,\s*)?")
_VALUE: Final = re.compile(r"""("(?:[^"\\]|\\.)*")|('(?:[^'\\]|\\.)*')|([^,()"']+)|""")
_COMMA: Final = re.compile(r"\s*,\s*")
_UNESCAPED_OFFSET: Final = re.compile(r"(:[0-9]{2}(?:\.[0-9]+)?) (?=[0-9]{2}:?[0-9]{2}\Z)")
"""A time whose offset began with a + that a URL did not escape: it has become a space."""

ORDER: Final = {
    "greater-or-equal": ">=",
    "greater-than": ">",
    "less-or-equal": "<=",
    "less-than": "<",
}
"""Operators that compare, and SQL's for them."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``text`` is the value without its quotes; "" where there is none."""

    operator: str
    field: str
    text: str


def parse(text: str, allowed: Mapping[str, Sequence[str]]) -> list[Condition]:
    """The conditions of a filter; ``allowed`` are the operators of each field.

    Raises:
        ProblemsError: it is not a filter, or has a field or an operator that is not allowed.
    """
    conditions, end = _conditions(text, 0)
    if end != len(text):
        raise _invalid_at(end)
    for condition in conditions:
        if condition.field not in allowed:
            raise _invalid("Filtering is not allowed on that field.")
        if condition.operator not in allowed[condition.field]:
            raise _invalid(f"That operator is not allowed on '{condition.field}'.")
    return conditions


def read_time(condition: Condition, zone: tzinfo = UTC) -> datetime:
    """A condition's time, in ``zone`` if it has no offset. Raises: ProblemsError."""
    text = _UNESCAPED_OFFSET.sub(r"\1+", condition.text.strip())
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise _invalid(f"Invalid date-time for '{condition.field}'.") from None
    return time if time.tzinfo else time.replace(tzinfo=zone)


def read_number(condition: Condition) -> float:
    """A condition's number. Raises: ProblemsError."""
    try:
        return float(condition.text)
    except ValueError:
        raise _invalid(f"Invalid number for '{condition.field}'.") from None


def _conditions(text: str, start: int) -> tuple[list[Condition], int]:
    """The conditions from ``start`` on, and where they end."""
    conditions, at = _condition(text, start)
    while comma := _COMMA.match(text, at):
        more, at = _condition(text, comma.end())
        conditions += more
    return conditions, at


def _condition(text: str, start: int) -> tuple[list[Condition], int]:
    """One condition, or all conditions of one ``and(…)``, and where they end."""
    operator = _match(_OPEN, text, start)
    if operator[1] == "and":
        conditions, at = _conditions(text, operator.end())
    else:
        field = _match(_FIELD, text, operator.end())
        value = _match(_VALUE, text, field.end())
        conditions, at = [Condition(operator[1], field[1], _unquoted(value))], value.end()
    return conditions, _match(_CLOSE, text, at).end()


def _unquoted(value: re.Match[str]) -> str:
    if value[1] is not None:
        return str(json.loads(value[1]))
    return value[2][1:-1] if value[2] is not None else value[0].strip()


def _match(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        raise _invalid_at(at)
    return found


def _invalid_at(place: int) -> Exception:
    return _invalid(f"Invalid filter provided, at character {place}.")


def _invalid(detail: str) -> Exception:
    return invalid_parameter("filter", detail)

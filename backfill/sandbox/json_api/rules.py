"""Rules for events that Klaviyo states in prose alone: sizes, counts, and forms of text.

Each function adds what is wrong with a value, at its place, to ``problems``.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import iso4217

from backfill import limits
from backfill.sandbox.json_api.problems import Place, Problems

_FIRST_REVISION_WITH_1990S: Final = "2026-07-15"
_TIME_2000_S: Final = 946_684_800
_TIME: Final = re.compile(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"(Z|[+-][0-2][0-9]:?[0-5][0-9])\Z"
)
_MAX_CHARS_SURELY_FITTING: Final = limits.MAX_STRING_BYTES // 4
"""So many characters are never too many bytes: UTF-8 has at most four for one."""
_CURRENCIES: Final = frozenset(currency.code for currency in iso4217.Currency)


def check_properties(properties: dict[str, object], place: Place, problems: Problems) -> None:
    """Check an event's properties. Source: docs/klaviyo.md, "Limits"."""
    if len(properties) > limits.MAX_PROPERTIES:
        detail = f"An event must not exceed {limits.MAX_PROPERTIES} properties."
        problems.add("limit", detail, place)
    check_values(properties.items(), place, problems)


def check_values(
    values: Iterable[tuple[str | int, object]], place: Place, problems: Problems, level: int = 1
) -> None:
    """Check the values of an object or an array, by key or index."""
    if level > limits.MAX_LEVELS:
        problems.add("limit", f"Nesting must not exceed {limits.MAX_LEVELS} levels.", place)
        return
    for key, value in values:
        if isinstance(value, str):
            if len(value) > _MAX_CHARS_SURELY_FITTING:
                _check_bytes(value, (place, key), problems)
        elif isinstance(value, int):
            check_integer(value, (place, key), problems)
        elif isinstance(value, dict):
            check_values(value.items(), (place, key), problems, level + 1)
        elif isinstance(value, list):
            _check_array(value, (place, key), problems, level + 1)


def _check_array(array: list[object], place: Place, problems: Problems, level: int) -> None:
    if len(array) > limits.MAX_ELEMENTS:
        problems.add("limit", f"An array must not exceed {limits.MAX_ELEMENTS} elements.", place)
    else:
        check_values(enumerate(array), place, problems, level)


def _check_bytes(text: str, place: Place, problems: Problems) -> None:
    if len(text.encode()) > limits.MAX_STRING_BYTES:
        detail = f"A string must not be larger than {limits.MAX_STRING_BYTES // 1000} KB."
        problems.add("limit", detail, place)


def check_integer(number: float | None, place: Place, problems: Problems) -> None:
    if isinstance(number, int) and not limits.MIN_INTEGER <= number <= limits.MAX_INTEGER:
        problems.add("limit", "An integer must fit into 64 bits.", place)


def check_metric(name: str, place: Place, problems: Problems) -> None:
    if not name.strip():
        problems.add("metric", "This field may not be blank.", place)
    elif len(name) > limits.MAX_METRIC_CHARS:
        detail = f"The name of a metric must be less than {limits.MAX_METRIC_CHARS + 1} characters."
        problems.add("metric", detail, place)


def check_unique_id(unique_id: str | None, place: Place, problems: Problems) -> None:
    if unique_id is not None and not 1 <= len(unique_id) <= limits.MAX_UNIQUE_ID_CHARS:
        detail = f"unique_id must have 1 to {limits.MAX_UNIQUE_ID_CHARS} characters."
        problems.add("unique_id", detail, place)


def check_currency(currency: str | None, place: Place, problems: Problems) -> None:
    if currency is not None and currency not in _CURRENCIES:
        detail = "value_currency must be a code of ISO 4217, as in USD."
        problems.add("value_currency", detail, place)


def read_time(
    time: str | None, place: Place, problems: Problems, *, revision: str, now_s: float
) -> int | None:
    """Unix seconds, rounded down; None where no time is given, or no time can be read.

    A time without an offset is refused: Klaviyo does not say which zone it would be in.
    """
    if time is None:
        return None
    try:
        time_s = _unix_seconds(time)
    except ValueError:
        problems.add("time", "Invalid ISO 8601 date-time.", place)
        return None
    year, earliest_s = 1990, limits.MIN_TIME_S
    if revision < _FIRST_REVISION_WITH_1990S:
        year, earliest_s = 2000, _TIME_2000_S
    if not earliest_s <= time_s <= now_s + limits.MAX_FUTURE_S:
        detail = f"The time must be after {year} and at most 1 year in the future."
        problems.add("time", detail, place)
    return time_s


def _unix_seconds(time: str) -> int:
    if _TIME.match(time) is None:
        raise ValueError
    return int(datetime.fromisoformat(time).timestamp() // 1)

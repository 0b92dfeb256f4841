"""What Klaviyo asks of an event in prose alone: sizes, counts, and forms of text."""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Final

import pycountry

from backfill import limits
from backfill.sandbox.json_api.problems import Place, Problem, pointer

_BEFORE_1990_REVISION: Final = "2026-07-15"
_TIME_2000_S: Final = 946_684_800
_TIME: Final = re.compile(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"(Z|[+-][0-2][0-9]:?[0-5][0-9])\Z"
)
_SURELY_SHORT: Final = limits.MAX_STRING_BYTES // 4
"""So many characters are never too many bytes: UTF-8 has at most four for one."""

Problems = list[Problem]


def properties(given: dict[str, object], place: Place, problems: Problems) -> None:
    """Source: events_api_overview, "Limitations"; klaviyo/facts.md 2.8."""
    if len(given) > limits.MAX_PROPERTIES:
        most = limits.MAX_PROPERTIES
        problems.append(_limit(f"An event must not exceed {most} properties.", place))
    _values(given.items(), place, 1, problems)


def own_properties(given: dict[str, object], place: Place, problems: Problems) -> None:
    """A profile's: the limits of values, and no limit of their number."""
    _values(given.items(), place, 1, problems)


def _values(
    given: Iterable[tuple[str | int, object]], place: Place, level: int, problems: Problems
) -> None:
    """What stands in an object or an array, by key or index."""
    if level > limits.MAX_LEVELS:
        problems.append(_limit(f"Nesting must not exceed {limits.MAX_LEVELS} levels.", place))
        return
    for key, one in given:
        if isinstance(one, str):
            if len(one) > _SURELY_SHORT:
                _string(one, (place, key), problems)
        elif isinstance(one, int):
            if not limits.MIN_INTEGER <= one <= limits.MAX_INTEGER:
                _integer((place, key), problems)
        elif isinstance(one, dict):
            _values(one.items(), (place, key), level + 1, problems)
        elif isinstance(one, list):
            _array(one, (place, key), level + 1, problems)


def _array(given: list[object], place: Place, level: int, problems: Problems) -> None:
    if len(given) > limits.MAX_ELEMENTS:
        most = limits.MAX_ELEMENTS
        problems.append(_limit(f"An array must not exceed {most} elements.", place))
    else:
        _values(enumerate(given), place, level, problems)


def _string(given: str, place: Place, problems: Problems) -> None:
    if len(given.encode()) > limits.MAX_STRING_BYTES:
        most = limits.MAX_STRING_BYTES // 1000
        problems.append(_limit(f"A string must not be larger than {most} KB.", place))


def _integer(place: Place, problems: Problems) -> None:
    problems.append(_limit("An integer must fit into 64 bits.", place))


def metric(name: str, place: Place, problems: Problems) -> None:
    if not name.strip():
        problems.append(Problem("metric", "This field may not be blank.", pointer(place)))
    elif len(name) > limits.MAX_METRIC_CHARS:
        most = limits.MAX_METRIC_CHARS + 1
        detail = f"The name of a metric must be less than {most} characters."
        problems.append(Problem("metric", detail, pointer(place)))


def unique_id(given: str | None, place: Place, problems: Problems) -> None:
    if given is not None and not 1 <= len(given) <= limits.MAX_UNIQUE_ID_CHARS:
        detail = f"unique_id must have 1 to {limits.MAX_UNIQUE_ID_CHARS} characters."
        problems.append(Problem("unique_id", detail, pointer(place)))


def value(given: float | None, place: Place, problems: Problems) -> None:
    if type(given) is int and not limits.MIN_INTEGER <= given <= limits.MAX_INTEGER:
        _integer(place, problems)


def currency(given: str | None, place: Place, problems: Problems) -> None:
    if given is not None and given not in _currencies():
        detail = "value_currency must be a code of ISO 4217, as in USD."
        problems.append(Problem("value_currency", detail, pointer(place)))


def time_s(
    given: str | None, now_s: float, revision: str, place: Place, problems: Problems
) -> int | None:
    """Truncated to seconds. A time without an offset is refused: nobody says which zone it has."""
    if given is None:
        return None
    try:
        found = _instant_s(given)
    except ValueError:
        problems.append(Problem("time", "Invalid ISO 8601 date-time.", pointer(place)))
        return None
    earliest_s = limits.MIN_TIME_S if revision >= _BEFORE_1990_REVISION else _TIME_2000_S
    if not earliest_s <= found <= now_s + limits.MAX_FUTURE_S:
        year = 1990 if earliest_s == limits.MIN_TIME_S else 2000
        detail = f"The time must be after {year} and at most 1 year in the future."
        problems.append(Problem("time", detail, pointer(place)))
    return found


def _instant_s(given: str) -> int:
    if _TIME.match(given) is None:
        raise ValueError
    return int(datetime.fromisoformat(given).timestamp() // 1)


@cache
def _currencies() -> frozenset[str]:
    return frozenset(currency.alpha_3 for currency in pycountry.currencies)


def _limit(detail: str, place: Place) -> Problem:
    return Problem("limit", detail, pointer(place))

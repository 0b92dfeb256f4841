"""Query Metric Aggregates: events counted and summed by intervals of a time zone.

No OpenAPI file that we have holds it: its contract is the official SDK klaviyo-api 25.0.0
(``MetricAggregateQueryResourceObjectAttributes``, ``PostMetricAggregateResponse``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from backfill.sandbox import strict_json
from backfill.sandbox.json_api import filters
from backfill.sandbox.json_api.filters import Condition
from backfill.sandbox.json_api.problems import Problem, Turned
from backfill.sandbox.store.event import Refused

_ATTRIBUTES: Final = "/data/attributes"
_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    "metric_id": (str,),
    "page_cursor": (str, type(None)),
    "measurements": (list,),
    "interval": (str, type(None)),
    "page_size": (int, type(None)),
    "by": (list, type(None)),
    "return_fields": (list, type(None)),
    "filter": (list,),
    "timezone": (str, type(None)),
    "sort": (str, type(None)),
}
_REQUIRED: Final = ("metric_id", "measurements", "filter")
_MEASUREMENTS: Final = ("count", "sum_value", "unique")
_INTERVALS: Final = ("hour", "day", "week", "month")
_ALLOWED: Final = {"datetime": ("greater-or-equal", "less-than")}
_YEAR: Final = timedelta(days=366)
"""Source: scalably-io/klaviyo-mcp, ``metric_aggregate``; not confirmed by Klaviyo's own pages."""
_DECEMBER: Final = 12


@dataclass(frozen=True, slots=True)
class Query:
    metric_id: str
    measurements: tuple[str, ...]
    interval: str
    zone: ZoneInfo
    start: datetime
    end: datetime


def read(body: bytes) -> Query:
    """Raises: Turned."""
    try:
        parsed = strict_json.parse(body.decode())
    except (UnicodeDecodeError, Refused):
        raise _no("/data", "JSON parse error.") from None
    given = _attributes(parsed)
    zone = _zone(given.get("timezone"))
    start, end = _range(given["filter"], zone)
    if given.get("by"):
        raise _no(f"{_ATTRIBUTES}/by", "The sandbox groups by time alone.")
    interval = given.get("interval") or "day"
    if interval not in _INTERVALS:
        raise _no(f"{_ATTRIBUTES}/interval", f"Expected one of: {', '.join(_INTERVALS)}.")
    measurements = given["measurements"]
    if not measurements or any(one not in _MEASUREMENTS for one in measurements):
        raise _no(f"{_ATTRIBUTES}/measurements", f"Expected some of: {', '.join(_MEASUREMENTS)}.")
    return Query(given["metric_id"], tuple(measurements), interval, zone, start, end)


def tally(query: Query, events: Sequence[tuple[int, int, float]]) -> dict[str, Any]:
    """``events`` as time in seconds, profile, value; intervals without any are there too."""
    # By instant: two hours of one name, as when summer time ends, are equal as datetimes.
    starts = {date.timestamp(): date for date in _dates(query)}
    count = dict.fromkeys(starts, 0)
    total = dict.fromkeys(starts, 0.0)
    people: dict[float, set[int]] = {start_s: set() for start_s in starts}
    floor = _FLOORS[query.interval]
    for time_s, profile, value in events:
        start_s = floor(datetime.fromtimestamp(time_s, query.zone)).timestamp()
        count[start_s] += 1
        total[start_s] += value
        people[start_s].add(profile)
    every: dict[str, list[float]] = {
        "count": [float(count[start_s]) for start_s in starts],
        "sum_value": [total[start_s] for start_s in starts],
        "unique": [float(len(people[start_s])) for start_s in starts],
    }
    row = {"dimensions": [], "measurements": {name: every[name] for name in query.measurements}}
    return {"dates": [date.isoformat() for date in starts.values()], "data": [row]}


def _attributes(parsed: Mapping[str, Any]) -> dict[str, Any]:
    inside = parsed.get("data")
    if not isinstance(inside, dict) or inside.get("type") != "metric-aggregate":
        raise _no("/data/type", "Expected one of: 'metric-aggregate'.")
    given = inside.get("attributes")
    if not isinstance(given, dict):
        raise _no(_ATTRIBUTES, "Expected an object.")
    problems = [
        Problem("schema", _field_detail(key), f"{_ATTRIBUTES}/{key}")
        for key, one in given.items()
        if not isinstance(one, _FIELDS.get(key, ()))
    ]
    problems += [
        Problem("schema", f"'{key}' is a required field.", f"{_ATTRIBUTES}/{key}")
        for key in _REQUIRED
        if key not in given
    ]
    if problems:
        raise Turned(problems)
    return given


def _field_detail(key: str) -> str:
    if key in _FIELDS:
        return f"'{key}' is of another type."
    return f"'{key[:60]}' is not a valid field for the resource 'metric-aggregate'."


def _zone(name: str | None) -> ZoneInfo:
    if name is not None and name not in available_timezones():
        raise _no(f"{_ATTRIBUTES}/timezone", "Not a time zone of the IANA database.")
    return ZoneInfo(name or "UTC")


def _range(texts: Sequence[object], zone: ZoneInfo) -> tuple[datetime, datetime]:
    conditions = [
        condition
        for text in texts
        for condition in filters.parse(text if isinstance(text, str) else "", _ALLOWED)
    ]
    start = _bound(conditions, "greater-or-equal", zone)
    end = _bound(conditions, "less-than", zone)
    if not start < end <= start + _YEAR:
        raise _no(f"{_ATTRIBUTES}/filter", "The time range must be at most one year.")
    return start, end


def _bound(conditions: Sequence[Condition], operator: str, zone: ZoneInfo) -> datetime:
    found = [one for one in conditions if one.operator == operator]
    if len(found) != 1:
        detail = "A time range is required: greater-or-equal and less-than on datetime."
        raise _no(f"{_ATTRIBUTES}/filter", detail)
    return filters.instant(found[0], zone).astimezone(zone)


def _dates(query: Query) -> Iterator[datetime]:
    """The intervals' beginnings, the first at ``start`` or before.

    Steps of hours are of the clock's own (a day of summer time's end has 25), longer ones are of
    the calendar.
    """
    floor, date = _FLOORS[query.interval], _FLOORS[query.interval](query.start)
    while date < query.end:
        yield date
        date = floor(_later(date, query))


def _later(date: datetime, query: Query) -> datetime:
    match query.interval:
        case "hour":
            after = date.timestamp() + 3600
            return datetime.fromtimestamp(after, query.zone)
        case "day":
            return date + timedelta(days=1)
        case "week":
            return date + timedelta(days=7)
    years, month = divmod(date.month, _DECEMBER)
    return date.replace(year=date.year + years, month=month + 1)


def _hour(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def _day(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


_FLOORS: Final[Mapping[str, Callable[[datetime], datetime]]] = {
    "hour": _hour,
    "day": _day,
    "week": lambda time: _day(time) - timedelta(days=time.weekday()),
    "month": lambda time: _day(time).replace(day=1),
}


def _no(pointer: str, detail: str) -> Turned:
    return Turned([Problem("query", detail, pointer)])

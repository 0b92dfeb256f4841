"""Query Metric Aggregates: events counted and summed by intervals of a time zone.

No OpenAPI file that we have holds it: its contract is the official SDK klaviyo-api 25.0.0
(``MetricAggregateQueryResourceObjectAttributes``, ``PostMetricAggregateResponse``).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from backfill.sandbox.json_api import filters
from backfill.sandbox.json_api.endpoint import parse_body
from backfill.sandbox.json_api.problems import BODY, Problem, Problems, ProblemsError, join

Interval = Literal["hour", "day", "week", "month"]

_FILTERS: Final = {"datetime": ("greater-or-equal", "less-than")}
_LONGEST: Final = timedelta(days=366)
"""Source: scalably-io/klaviyo-mcp, ``metric_aggregate``; not confirmed by Klaviyo's own pages."""


def _known_timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("Not a time zone of the IANA database.")
    return name


def _nothing(dimensions: list[str]) -> list[str]:
    if dimensions:
        raise ValueError("The sandbox groups by time alone.")
    return dimensions


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Attributes(_Strict):
    metric_id: str
    page_cursor: str | None = None
    measurements: list[Literal["count", "sum_value", "unique"]] = Field(min_length=1)
    interval: Interval | None = None
    page_size: int | None = None
    by: Annotated[list[str], AfterValidator(_nothing)] | None = None
    return_fields: list[str] | None = None
    filter: list[str]
    timezone: Annotated[str, AfterValidator(_known_timezone)] | None = None
    sort: str | None = None


class _Resource(_Strict):
    type: Literal["metric-aggregate"]
    attributes: _Attributes


class _Body(_Strict):
    data: _Resource


@dataclass(frozen=True, slots=True)
class Query:
    """``start`` and ``end`` are in ``zone``; ``end`` itself is left out."""

    asked: _Attributes
    zone: ZoneInfo
    start: datetime
    end: datetime

    @property
    def interval(self) -> Interval:
        return self.asked.interval or "day"


def parse_query(body: bytes) -> Query:
    """Raises: ProblemsError."""
    try:
        asked = _Body.model_validate(parse_body(body)).data.attributes
    except ValidationError as error:
        raise _problems(error) from None
    zone = ZoneInfo(asked.timezone or "UTC")
    return Query(asked, zone, *_time_range(asked.filter, zone))


def aggregate(query: Query, events: Sequence[tuple[int, int, float]]) -> dict[str, Any]:
    """The answer's attributes; intervals without events are there too.

    ``events`` are time in Unix seconds, profile, value of each, all of them in the query's range.
    """
    starts = list(_interval_starts(query))
    # By instant: two hours of one name, as when summer time ends, are equal as datetimes.
    starts_s = [start.timestamp() for start in starts]
    count = [0.0] * len(starts)
    sum_value = [0.0] * len(starts)
    profiles: list[set[int]] = [set() for _ in starts]
    for time_s, profile, value in events:
        interval = bisect_right(starts_s, time_s) - 1
        count[interval] += 1
        sum_value[interval] += value
        profiles[interval].add(profile)
    unique = [float(len(one)) for one in profiles]
    measured = {"count": count, "sum_value": sum_value, "unique": unique}
    row = {
        "dimensions": [],
        "measurements": {name: measured[name] for name in query.asked.measurements},
    }
    return {"dates": [start.isoformat() for start in starts], "data": [row]}


def _problems(error: ValidationError) -> ProblemsError:
    problems = Problems()
    for found in error.errors():
        detail = found["msg"].removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            field = str(found["loc"][-1])[:60]
            detail = f"'{field}' is not a valid field for the resource 'metric-aggregate'."
        problems.add("query", detail, join(BODY, *found["loc"]))
    return ProblemsError(*problems)


def _time_range(texts: Sequence[str], zone: ZoneInfo) -> tuple[datetime, datetime]:
    conditions = [condition for text in texts for condition in filters.parse(text, _FILTERS)]
    conditions.sort(key=lambda condition: condition.operator)
    if tuple(condition.operator for condition in conditions) != _FILTERS["datetime"]:
        raise _invalid_filter(
            "A time range is required: greater-or-equal and less-than on datetime."
        )
    start, end = (filters.read_time(one, zone).astimezone(zone) for one in conditions)
    if not start < end <= start + _LONGEST:
        raise _invalid_filter("The time range must be at most one year.")
    return start, end


def _invalid_filter(detail: str) -> ProblemsError:
    pointer = "/data/attributes/filter"
    return ProblemsError(Problem("query", detail, pointer=pointer))


def _interval_starts(query: Query) -> Iterator[datetime]:
    """The first is the query's start or before it.

    Hours are 3,600 seconds each (a day on which summer time ends has 25), longer intervals go by
    the calendar.
    """
    floor, step = _FLOORS[query.interval], _STEPS[query.interval]
    start = floor(query.start)
    while start < query.end:
        yield start
        if query.interval == "hour":
            start = datetime.fromtimestamp(start.timestamp() + step.total_seconds(), query.zone)
        else:
            start = floor(start + step)


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


_FLOORS: Final[Mapping[Interval, Callable[[datetime], datetime]]] = {
    "hour": lambda time: time.replace(minute=0, second=0, microsecond=0),
    "day": _midnight,
    "week": lambda time: _midnight(time) - timedelta(days=time.weekday()),
    "month": lambda time: _midnight(time).replace(day=1),
}
_STEPS: Final[Mapping[Interval, timedelta]] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=31),  # from the first of a month, always into the next one
}

"""What Klaviyo says that it has of one metric: sums by day of UTC, and ids event by event."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from backfill import event, limits
from backfill.account.metrics import Reader, understood

MAX_DAYS: Final = 365
"""In one question for sums.

Source: a third party's tool for this endpoint (scalably-io/klaviyo-mcp, ``metric_aggregate``: at
most a year a call; read 2026-11-23). Klaviyo's own pages that we have name no such limit: the
smaller reading."""

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Tally:
    """Events of one day, and the sum of their values."""

    events: int = 0
    value: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.events + other.events, self.value + other.value)


@dataclass(frozen=True, slots=True)
class Found:
    """One event that Klaviyo has; ``key`` is None where it carries no id."""

    day: date
    key: bytes | None


@dataclass(frozen=True, slots=True)
class Span:
    """Days from ``first`` up to, not with, ``end``."""

    first: date
    end: date


def day_of(time_s: int) -> date:
    return datetime.fromtimestamp(time_s, UTC).date()


def windows(days: Iterable[date], most: int = MAX_DAYS) -> Iterator[Span]:
    """As few spans as hold all days, none longer than ``most``; each begins and ends with one."""
    first = last = None
    for day in sorted(days):
        if first is None or last is None or (day - first).days >= most:
            if first is not None and last is not None:
                yield Span(first, last + DAY)
            first = day
        last = day
    if first is not None and last is not None:
        yield Span(first, last + DAY)


def tallies(reader: Reader, metric_id: str, days: Iterable[date]) -> dict[date, Tally]:
    """The sums of every day in the windows over ``days``; a day without events is there too."""
    found: dict[date, Tally] = {}
    for span in windows(days):
        count = (span.end - span.first).days
        found |= {span.first + DAY * at: Tally() for at in range(count)}
        answer = reader.post(limits.AGGREGATES_PATH, _question(metric_id, span))
        with understood(limits.AGGREGATES_PATH):
            for day, tally in _tallies(answer["data"]["attributes"]):
                if day in found:
                    found[day] += tally
    return found


def events_of(reader: Reader, metric: str, metric_id: str, span: Span) -> Iterator[Sequence[Found]]:
    """Every event of a span of days, a page at a time; ``metric`` is its name in the schema."""
    query = {
        "filter": (
            f'and(equals(metric_id,"{metric_id}"),'
            f"greater-or-equal(datetime,{span.first.isoformat()}T00:00:00Z),"
            f"less-than(datetime,{span.end.isoformat()}T00:00:00Z))"
        ),
        "fields[event]": "datetime,event_properties,timestamp",
        "page[size]": str(limits.EVENTS_PAGE),
        "sort": "datetime",
    }
    for page in reader.pages(limits.EVENTS_PATH, query):
        with understood(limits.EVENTS_PATH):
            found = [_found(metric, one["attributes"]) for one in page["data"]]
        yield found


def _question(metric_id: str, span: Span) -> dict[str, Any]:
    attributes = {
        "metric_id": metric_id,
        "measurements": ["count", "sum_value"],
        "interval": "day",
        "timezone": "UTC",
        "filter": [
            f"greater-or-equal(datetime,{span.first.isoformat()}T00:00:00)",
            f"less-than(datetime,{span.end.isoformat()}T00:00:00)",
        ],
    }
    return {"data": {"type": "metric-aggregate", "attributes": attributes}}


def _tallies(attributes: dict[str, Any]) -> Iterator[tuple[date, Tally]]:
    """``dates`` of the answer and the lists that run beside them, a row for each dimension."""
    days = [_utc(text).date() for text in attributes["dates"]]
    for row in attributes["data"]:
        counts, sums = row["measurements"]["count"], row["measurements"]["sum_value"]
        for day, events, value in zip(days, counts, sums, strict=True):
            yield day, Tally(int(events), float(value))


def _found(metric: str, attributes: dict[str, Any]) -> Found:
    said = (attributes.get("event_properties") or {}).get("$event_id")
    time_s = attributes.get("timestamp")
    day = day_of(time_s) if time_s is not None else _utc(attributes["datetime"]).date()
    # An id of digits alone may come back as a number.
    is_id = isinstance(said, str | int) and not isinstance(said, bool)
    return Found(day, event.key(metric, str(said)) if is_id else None)


def _utc(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
